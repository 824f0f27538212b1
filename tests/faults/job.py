"""A job whose answer is known, slow enough to be hit in the middle, and deadly where a page's bytes say so."""

import os
import signal
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import anyio
from pydantic import Field

from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_worker import JobContext, WorkerResources
from bec_orch.core.models import Page
from tests.toy_job import ToyConfig, ToyJob

DEADLY = b"this page kills whoever reads it"


class ScarredConfig(ToyConfig):
    """`page_seconds` is how long each page takes."""

    page_seconds: float = Field(default=0.03, json_schema_extra={"affects_output": False})


class ScarredJob(ToyJob):
    """As the toy job: the length of each page's file, times `factor`."""

    job_type: ClassVar[str] = "scarred"
    config_type: ClassVar[type[JobConfig]] = ScarredConfig

    @classmethod
    def create(cls, config: Mapping[str, Any], _resources: WorkerResources) -> Self:
        parsed = ScarredConfig.parse(config)

        def at_page(context: JobContext, page: Page) -> None:
            time.sleep(parsed.page_seconds)
            if page.size == len(DEADLY) and anyio.run(context.pages.read, page).data == DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)

        return cls(parsed, at_page)
