"""A job type that needs the toy job, and fails a volume whose toy rows are not there."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import JobContext, WorkerResources
from bec_orch.core.volumes import Page
from bec_orch.errors import ConfigError
from tests.support.jobs.toy_job import ToyConfig, ToyJob


class ReaderConfig(ToyConfig):
    """As the toy's."""


class ReaderJob(ToyJob):
    """As the toy job, after a look at what that left."""

    job_type: ClassVar[str] = "reader"
    config_type: ClassVar[type[JobConfig]] = ReaderConfig
    needs: ClassVar[tuple[str, ...]] = ("toy",)

    @classmethod
    def create(cls, config: Mapping[str, Any], _resources: WorkerResources) -> Self:
        def at_page(context: JobContext, page: Page) -> None:
            assert context.dependencies["toy"]().column("img_file_name")[page.index].as_py() == page.filename

        return cls(ReaderConfig.parse(config), at_page)


class LackingJob(ReaderJob):
    """Needs the toy job, and an engine that no machine has."""

    job_type: ClassVar[str] = "lacking"

    @classmethod
    def create(cls, _config: Mapping[str, Any], _resources: WorkerResources) -> Self:
        raise ConfigError("The engine is not installed.", code="E_EXTRA_MISSING")


class CircleJob(ToyJob):
    """Needs a type that needs it."""

    job_type: ClassVar[str] = "circle"
    needs: ClassVar[tuple[str, ...]] = ("round",)


class RoundJob(ToyJob):
    """Needs a type that needs it."""

    job_type: ClassVar[str] = "round"
    needs: ClassVar[tuple[str, ...]] = ("circle",)
