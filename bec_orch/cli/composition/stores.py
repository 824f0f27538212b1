"""Object stores, and the services of AWS, where the settings say that they are."""

from pathlib import Path

from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.stores.storage import S3Options, Stores
from bec_orch.settings.config import Settings


def open_stores(settings: Settings, links_below: Path | None = None) -> Stores:
    """Return the opener of object stores; `links_below` as `Stores` has it."""
    options = S3Options(
        endpoint_url=settings.aws_endpoint_url,
        region=settings.region,
        requester_pays=frozenset(settings.s3_requester_pays),
        anonymous=frozenset(settings.s3_anonymous),
    )
    return Stores(options, follow_links=settings.follow_links, links_below=links_below)


def aws_options(settings: Settings) -> AwsOptions:
    """Return where AWS's services are."""
    return AwsOptions(settings.region, settings.aws_endpoint_url)
