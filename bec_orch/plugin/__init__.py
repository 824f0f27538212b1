"""What a package with job types of its own imports, and nothing else of `bec_orch`.

docs/writing-a-job-worker.md builds such a package. Everything here keeps its name and its meaning within a major
version; all other modules may change at any time.
"""

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.job_config import JobConfig, ReferenceFolder
from bec_orch.core.metrics import Metrics, Stopwatch
from bec_orch.core.ports.job_worker import (
    JobContext,
    JobWorker,
    ModelStore,
    PageBytes,
    PageReader,
    RowStore,
    Sidecars,
    WorkerResources,
)
from bec_orch.core.ports.views import ContentOf, JobReport, PageFigures, ShownPage, Tally, TruthOf
from bec_orch.core.transcripts import Line, PageContent
from bec_orch.core.volumes import Manifest, Page, PageOutcome, PageState, VolumeRef
from bec_orch.errors import ConfigError, Interrupted, LeaseLost, PageError, RetryableError, ServerBusy, TerminalError
from bec_orch.jobs.pipeline.config import PageJobConfig, RequestJobConfig
from bec_orch.jobs.pipeline.page_input import Image, InputRow, InputRows, PageInput, VolumeInputs, read_rows
from bec_orch.jobs.pipeline.page_job import Round, Row
from bec_orch.jobs.pipeline.page_worker import PageJobWorker, RequestJobWorker
from bec_orch.jobs.pipeline.seats import Ask
from bec_orch.jobs.pipeline.skip_rules import SkipRule

__all__ = [
    "Ask",
    "ConfigError",
    "ContentOf",
    "Image",
    "InputRow",
    "InputRows",
    "Interrupted",
    "JobConfig",
    "JobContext",
    "JobReport",
    "JobWorker",
    "LeaseLost",
    "Line",
    "Manifest",
    "Metrics",
    "ModelInfo",
    "ModelStore",
    "Page",
    "PageBytes",
    "PageContent",
    "PageError",
    "PageFigures",
    "PageInput",
    "PageJobConfig",
    "PageJobWorker",
    "PageOutcome",
    "PageReader",
    "PageState",
    "ReferenceFolder",
    "RequestJobConfig",
    "RequestJobWorker",
    "RetryableError",
    "Round",
    "Row",
    "RowStore",
    "ServerBusy",
    "ShownPage",
    "Sidecars",
    "SkipRule",
    "Stopwatch",
    "Tally",
    "TerminalError",
    "TruthOf",
    "VolumeInputs",
    "VolumeRef",
    "WorkerResources",
    "read_rows",
]
