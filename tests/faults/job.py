"""A job whose answer is known, slow enough to be hit in the middle, and poisoned where a page's bytes say so."""

import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import anyio
from pydantic import Field

from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import JobContext, WorkerResources
from bec_orch.core.volumes import Page
from bec_orch.errors import TaskFault
from tests.support.jobs.toy_job import ToyConfig, ToyJob, keep_answer

_MUCH = 2**30


def _kill() -> None:
    signal.raise_signal(signal.SIGKILL)


def _crash() -> None:
    signal.raise_signal(signal.SIGSEGV)


def _hang() -> None:
    time.sleep(3600)


def _eat_memory() -> None:
    eaten = bytearray(_MUCH)
    eaten[::4096] = b"x" * (_MUCH // 4096)  # touched, so that it is really taken


def _raise() -> None:
    raise TaskFault("This page is poison.", code="E_POISON")


POISON: Mapping[bytes, Callable[[], None]] = {
    b"this page kills whoever reads it": _kill,
    b"this page crashes a library": _crash,
    b"this page never ends": _hang,
    b"this page eats the memory": _eat_memory,
    b"this page makes the whole task fail": _raise,
}
"""What happens at a page of these bytes; what comes out of it otherwise is its length, as for any."""

_LENGTHS = frozenset(map(len, POISON))


class ScarredConfig(ToyConfig):
    """`page_seconds` is how long each page takes."""

    page_seconds: float = Field(default=0.03, json_schema_extra={"affects_output": False})


class ScarredJob(ToyJob):
    """As the toy job: the length of each page's file, times `factor`, and a sidecar file for each page."""

    job_type: ClassVar[str] = "scarred"
    config_type: ClassVar[type[JobConfig]] = ScarredConfig

    @classmethod
    def create(cls, config: Mapping[str, Any], _resources: WorkerResources) -> Self:
        parsed = ScarredConfig.parse(config)

        def at_page(context: JobContext, page: Page) -> None:
            with context.working(page):
                time.sleep(parsed.page_seconds)
                if page.size in _LENGTHS:
                    act = POISON.get(anyio.run(context.pages.read, page).data)
                    if act:
                        act()
            keep_answer(context, page)

        return cls(parsed, at_page)
