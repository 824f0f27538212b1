"""What every page job's config has, whichever seat its model has (`seats.py`)."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from bec_orch.core.job_config import JobConfig
from bec_orch.errors import ConfigError
from bec_orch.jobs.pipeline.skip_rules import SkipRule

DAY = 86_400.0


def batch_size(default: int, description: str) -> Any:
    """Return the field of how many inputs a model is given at once; a default of 0 allows 0."""
    return Field(
        default=default, ge=default, le=1024, description=description, json_schema_extra={"affects_output": False}
    )


class PageJobConfig(JobConfig):
    """What every page job's config has."""

    batch_size: int = batch_size(1, "Inputs that the model is given at once, at most. 1 is fastest on CPUs.")
    page_timeout: float = Field(
        default=300.0,
        gt=0,
        le=DAY,
        description="Seconds that the work on one page may take; a page that takes longer is an error.",
        json_schema_extra={"affects_output": False},
    )
    frames: Literal["first", "all"] = Field(
        default="first",
        description="Which pictures of a file with several are done (pages of a TIFF, frames of a GIF or WebP): the "
        "first, the rest counted; or all, with rows `name`, `name#2`, `name#3`. A job that reads another's rows does "
        "those that the other has, one that reads documents those up to the last that has one.",
        json_schema_extra={"affects_output": "when set", "of_the_chain": True},
    )
    skip_pages: tuple[SkipRule, ...] = Field(
        default=(),
        description="Pages that another job labelled and that are skipped: rules with `job`, `column`, and `values`, "
        "`at_least` or `at_most`.",
        json_schema_extra={"affects_output": "when set"},
    )

    @override
    def check_dependencies(self, depends_on: Sequence[str]) -> None:
        """Check that the job depends on those whose labels it reads.

        Raises:
            ConfigError: it does not (E_SKIP_DEPENDENCY).
        """
        unknown = [rule.job for rule in self.skip_pages if rule.job not in depends_on]
        if unknown:
            raise ConfigError(
                f"skip_pages reads what the job '{unknown[0]}' left, which the job does not depend on.",
                code="E_SKIP_DEPENDENCY",
                hint=f"Give `bec jobs create` or `bec jobs update` --depends-on {unknown[0]}. `bec run` runs no jobs "
                "but those that the type needs: leave the rule out there.",
            )


class RequestJobConfig(PageJobConfig):
    """What every config of a page job has whose model is behind a server."""

    requests_at_once: int = Field(
        default=8,
        ge=1,
        le=1024,
        description="Requests in flight at once, at most; fewer when the server refuses more.",
        json_schema_extra={"affects_output": False},
    )
    request_timeout: float = Field(
        default=120.0,
        gt=0,
        le=DAY,
        description="Seconds that one request may take; it is asked again twice before its page is an error.",
        json_schema_extra={"affects_output": False},
    )
