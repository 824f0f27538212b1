"""A job that is fast, writes down each page that it does, and waits in the middle of some volumes."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import JobContext, WorkerResources
from bec_orch.core.volumes import Page
from tests.support.jobs.toy_job import ToyConfig, ToyJob

GATE_AT = 2


class FleetConfig(ToyConfig):
    """`gates` has a folder for each volume that is stopped: the process there is told in it, and waits for `open`."""

    gates: Path = Field(json_schema_extra={"affects_output": False})


class FleetJob(ToyJob):
    """As the toy job; `gates/pages` has a line for each page that was done."""

    job_type: ClassVar[str] = "fleet"
    config_type: ClassVar[type[JobConfig]] = FleetConfig

    @classmethod
    def create(cls, config: Mapping[str, Any], _resources: WorkerResources) -> Self:
        parsed = FleetConfig.parse(config)

        def at_page(context: JobContext, page: Page) -> None:
            gate = parsed.gates / context.volume.i_id
            if page.index == GATE_AT and gate.is_dir():
                _wait_at(gate, context)
            with (parsed.gates / "pages").open("a") as pages:
                pages.write(f"{context.volume.i_id} {page.index}\n")

        return cls(parsed, at_page)


def _wait_at(gate: Path, context: JobContext) -> None:
    waiting = gate / "waiting"
    waiting.write_text(str(os.getpid()))
    waiting.replace(gate / "reached")
    while not (gate / "open").exists() and context.stop.reason() is None:
        time.sleep(0.01)
