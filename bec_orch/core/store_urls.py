"""URLs of object stores: `file:///folder`, `s3://bucket/prefix`, and `memory://name` for tests and tries."""

from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator

from bec_orch.core.wording import clause
from bec_orch.errors import ConfigError

_FORMS = "file:///absolute/folder or s3://bucket/prefix"


def split_store_url(url: str) -> SplitResult:
    """Take the URL of a store apart.

    Raises:
        ConfigError: it is of no kind that is known, or names no folder of this machine, or no bucket (E_STORAGE_URL).
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _no_store(url) from error
    named = {
        "file": parts.netloc in {"", "localhost"} and unquote(parts.path).startswith("/"),
        "s3": bool(parts.netloc),
        "memory": True,
    }
    if not named.get(parts.scheme):
        raise _no_store(url)
    return parts


def _no_store(url: str) -> ConfigError:
    return ConfigError(f"'{url}' is not the URL of a store.", code="E_STORAGE_URL", hint=f"Use {_FORMS}.")


def _store_url(url: str) -> str:
    """Check a value of a config; an empty one is none."""
    try:
        if url:
            split_store_url(url)
    except ConfigError as error:
        raise ValueError(f"{clause(error.message)}, such as {_FORMS}") from error
    return url


StoreUrl = Annotated[str, AfterValidator(_store_url)]
"""A field of a job's config that names a store, or is empty."""
