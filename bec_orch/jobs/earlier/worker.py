"""Job types of the library's earlier system whose results are read, and which nothing here makes.

A task of such a job is done by adopting what that system left for the volume (`--adopt-foreign`); jobs that depend on
it then read its rows, in our columns.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import pyarrow as pa
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.job_config import JobConfig
from bec_orch.core.metrics import Metrics
from bec_orch.core.ports.job_worker import JobContext, JobWorker, WorkerResources
from bec_orch.errors import TerminalError


class EarlierConfig(JobConfig):
    """Nothing: what the earlier system's config said has no bearing on what is read."""


class EarlierWorker(JobWorker):
    """Ends each volume for which nothing was adopted."""

    job_type = "earlier"
    needs: ClassVar[tuple[str, ...]] = ()
    config_type: ClassVar[type[JobConfig]] = EarlierConfig
    code_version = "1"
    models: tuple[ModelInfo, ...] = ()
    schema = pa.schema([])
    counted: Mapping[str, str] = MappingProxyType({})

    @classmethod
    @override
    def create(cls, config: Mapping[str, Any], resources: WorkerResources) -> Self:
        cls.config_type.parse(config)
        return cls()

    @override
    def run(self, context: JobContext) -> Metrics:
        """End the volume.

        Raises:
            TerminalError: always (E_EARLIER_NOTHING).
        """
        raise TerminalError(
            f"The earlier system left nothing of '{context.job}' for {context.volume}, and nothing here makes it.",
            code="E_EARLIER_NOTHING",
            hint="Look whether the job's --artifact-prefix is the folder in which its artefacts lie.",
        )

    @override
    def close(self) -> None:
        """Free nothing."""
