"""A job that stops before one page until a test lets it go on, and writes down each page that it does."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import JobContext, WorkerResources
from bec_orch.core.volumes import Page
from tests.support.jobs.toy_job import ToyConfig, ToyJob


class GatedConfig(ToyConfig):
    """`gate` is a folder: the job makes `reached` in it before page `index`, and waits there for `open`."""

    gate: Path = Field(json_schema_extra={"affects_output": False})
    index: int = Field(default=2, json_schema_extra={"affects_output": False})


class GatedJob(ToyJob):
    """As the toy job, but it waits at its gate; a stop ends the waiting."""

    job_type: ClassVar[str] = "gated"
    config_type: ClassVar[type[JobConfig]] = GatedConfig

    @classmethod
    def create(cls, config: Mapping[str, Any], _resources: WorkerResources) -> Self:
        parsed = GatedConfig.parse(config)

        def at_page(context: JobContext, page: Page) -> None:
            if page.index == parsed.index:
                _wait_at(parsed.gate, context)
            with (parsed.gate / "pages").open("a") as pages:
                pages.write(f"{page.index}\n")

        return cls(parsed, at_page)


def _wait_at(gate: Path, context: JobContext) -> None:
    (gate / "reached").touch()
    while not (gate / "open").exists() and context.stop.reason() is None:
        time.sleep(0.01)
