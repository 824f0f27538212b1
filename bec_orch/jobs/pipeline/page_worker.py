"""The base class that most jobs want: one row per page, by three pure functions on top of the page pipeline.

A whole job worker, which measures how bright pages are:

    class BrightnessConfig(PageJobConfig):
        reduce: Literal[1, 2, 4, 8] = 1

    class BrightnessWorker(PageJobWorker[BrightnessConfig, Image, float, None]):
        job_type = "brightness"
        config_type: ClassVar[type[JobConfig]] = BrightnessConfig
        code_version = "1"
        schema = pa.schema([("brightness", pa.float32())])

        def decode(self, page: PageInput) -> Round[Image, None]:
            image = page.image(reduce=self.config.reduce)
            return Round([image], None, image.nbytes)

        def infer(self, items: Sequence[Image]) -> list[float]:
            return [float(image.mean()) for image in items]

        def finish(self, page: PageInput, state: None, outputs: Sequence[float]) -> Row:
            return {"brightness": outputs[0]}

Named in the entry points of group `bec_orch.jobs`, it is found by `bec`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.job_config import JobConfig
from bec_orch.core.metrics import Metrics
from bec_orch.core.ports.job_worker import JobContext, WorkerResources
from bec_orch.errors import ConfigError
from bec_orch.jobs.pipeline.config import PageJobConfig, RequestJobConfig
from bec_orch.jobs.pipeline.page_input import PageInput, VolumeInputs, VolumeT, read_rows
from bec_orch.jobs.pipeline.page_job import PageJob, Round, Row, StateT
from bec_orch.jobs.pipeline.pipeline import Limits, Pipeline
from bec_orch.jobs.pipeline.seats import Ask, Batched, ItemT, OutputT, Requests, Seat

if TYPE_CHECKING:
    import pyarrow as pa


ConfigT = TypeVar("ConfigT", bound=PageJobConfig)


def _refuse_outdated(worker: "type[PageWorker[Any, Any, Any, Any, Any]]") -> None:
    """Refuse a class of a package that was written when `decode` took a page's bytes beside the page."""
    if "data" in signature(worker.decode).parameters:
        raise ConfigError(
            f"The job worker {worker.__module__}.{worker.__qualname__} was written for an older version of bec-orch: "
            "its `decode` takes the bytes of a page's image.",
            code="E_PLUGIN_OUTDATED",
            hint="Take one value, `page: PageInput`, in `decode` and `finish`, and import from `bec_orch.plugin` "
            "alone: docs/writing-a-job-worker.md shows it.",
        )


class PageWorker(PageJob[ItemT, OutputT, StateT, VolumeT], ABC, Generic[ConfigT, ItemT, OutputT, StateT, VolumeT]):
    """A job worker whose pages do not depend on each other, wherever its model sits.

    A subclass sets the class attributes and `schema`, and writes `decode` and `finish`; see `PageJob` for what these
    may raise. One whose pages need more than their images and the rows of its dependencies makes that ready in
    `open_volume`, and finds it in `page.volume`.

    Args:
        config: the job's config, checked.
        resources: what the worker may use of its process.
    """

    job_type: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    config_type: ClassVar[type[JobConfig]]
    code_version: ClassVar[str]
    schema: "pa.Schema"
    """The job's own columns of the Parquet file."""
    counted: Mapping[str, str] = MappingProxyType({})
    """Names of counters, each with the integer column that it sums."""
    models: tuple[ModelInfo, ...] = ()
    """The models that the output depends on."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _refuse_outdated(cls)

    def __init__(self, config: ConfigT, resources: WorkerResources) -> None:
        self.config = config
        self.resources = resources
        # A page more than cores: while one waits for its decoder's process, its core has another. 4 % of all time.
        self._limits = Limits(resources.threads + 1, resources.memory_budget, config.page_timeout)

    @classmethod
    def create(cls, config: Mapping[str, Any], resources: WorkerResources) -> Self:
        """Check the config, and load what all volumes share.

        Raises:
            ConfigError: the config or a model is wrong.
        """
        return cls(cast("ConfigT", cls.config_type.parse(config)), resources)

    @property
    @abstractmethod
    @override
    def seat(self) -> Seat[ItemT, OutputT]:
        """Where the model sits, and how it is asked."""

    @property
    @override
    def max_image_pixels(self) -> int:
        """Images of more pixels are refused."""
        return self.resources.max_image_pixels

    @property
    @override
    def all_frames(self) -> bool:
        """Every picture of a file gets a row, not the first alone."""
        return self.config.frames == "all"

    @override
    def open_volume(self, context: JobContext) -> VolumeInputs[VolumeT]:
        """Read the rows of all dependencies; a page that one of those that are there skipped or failed on is skipped.

        Raises:
            RetryableError: an artefact is gone, or its store away.
        """
        rows = read_rows(context)
        return VolumeInputs(cast("VolumeT", None), rows, tuple(context.dependencies), self.config.skip_pages)

    @override
    def wants_image(self, page: PageInput[VolumeT]) -> bool:
        """Return whether the page's image is to be fetched: yes, by default."""
        return True

    @override
    def measure(self, page: PageInput[VolumeT]) -> int:
        """Estimate what the page will take of memory: what decoding the whole image takes, if it is fetched."""
        return page.header.decoding_bytes() if self.wants_image(page) else 0

    @abstractmethod
    @override
    def decode(self, page: PageInput[VolumeT]) -> Round[ItemT, StateT]:
        """Make the model's inputs of a page."""

    @abstractmethod
    @override
    def finish(self, page: PageInput[VolumeT], state: StateT, outputs: Sequence[OutputT]) -> Row | Round[ItemT, StateT]:
        """Make the page's row (a value for each column of `schema`), or ask for another round."""

    @cached_property
    def _pipeline(self) -> Pipeline[ItemT, OutputT, StateT, VolumeT]:
        # Made when it is first used: by then the subclass has loaded its model.
        return Pipeline(self, self._limits)

    def run(self, context: JobContext) -> Metrics:
        """Do every page of the volume that is not finished; see `Pipeline.run`."""
        return self._pipeline.run(context)

    def close(self) -> None:
        """Free what was loaded. Nothing by default: threads end with their volume, models with the worker."""


class PageJobWorker(PageWorker[ConfigT, ItemT, OutputT, StateT, VolumeT]):
    """A page job whose model is in this process. Models are loaded in `__init__`, after `super().__init__`."""

    @property
    def batch_size(self) -> int:
        """The most items that `infer` is called with."""
        return self.config.batch_size

    @property
    @override
    def seat(self) -> Batched[ItemT, OutputT]:
        """The model is in this process: batches of `batch_size`."""
        return Batched(self.infer, self.batch_size)

    @abstractmethod
    def infer(self, items: Sequence[ItemT]) -> Sequence[OutputT]:
        """Run the model on items of any pages; one output per item, in their order."""


RequestConfigT = TypeVar("RequestConfigT", bound=RequestJobConfig)


class RequestJobWorker(PageWorker[RequestConfigT, ItemT, OutputT, StateT, VolumeT]):
    """A page job whose model is behind a server, asked about one item at a time, about many at once."""

    @property
    @override
    def seat(self) -> Requests[ItemT, OutputT]:
        """The model is behind a server: single requests in flight."""
        return Requests(self.connect, self.config.requests_at_once, self.config.request_timeout)

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[Ask[ItemT, OutputT]]:
        """Open a connection to the server, or a pool of them, for one volume; return what asks about one item.

        See `Ask` for what that may raise.
        """
