"""The base class that most jobs want: one row per page, by three pure functions on top of the page pipeline.

A whole job worker, which tells how bright pages are:

    class BrightnessConfig(PageJobConfig):
        reduce: Literal[1, 2, 4, 8] = 1

    class BrightnessWorker(PageJobWorker[BrightnessConfig, Image, float, None]):
        job_type = "brightness"
        config_type: ClassVar[type[JobConfig]] = BrightnessConfig
        code_version = "1"
        schema = pa.schema([("brightness", pa.float32())])

        def decode(self, page: Page, data: bytes) -> Round[Image, None]:
            image = self.read_image(data, reduce=self.config.reduce)
            return Round([image], None, image.nbytes)

        def infer(self, items: Sequence[Image]) -> list[float]:
            return [float(image.mean()) for image in items]

        def finish(self, page: Page, state: None, outputs: Sequence[float]) -> Row:
            return {"brightness": outputs[0]}

Named in the entry points of group `bec_orch.jobs`, it is found by `bec`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_worker import JobContext, WorkerResources
from bec_orch.core.metrics import Metrics
from bec_orch.core.models import ModelInfo, Page
from bec_orch.jobs.formats.header import ImageHeader
from bec_orch.jobs.images import decode, probe
from bec_orch.jobs.pipeline.page_job import ItemT, OutputT, Round, Row, StateT
from bec_orch.jobs.pipeline.pipeline import Limits, Pipeline

if TYPE_CHECKING:
    import pyarrow as pa

Image = NDArray[np.uint8]


class PageJobConfig(JobConfig):
    """What every page job's config has."""

    batch_size: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Inputs that the model is given at once, at most. 1 is fastest on CPUs.",
        json_schema_extra={"affects_output": False},
    )
    page_timeout: float = Field(
        default=300.0,
        gt=0,
        description="Seconds that the work on one page may take; a page that takes longer is an error.",
        json_schema_extra={"affects_output": False},
    )


ConfigT = TypeVar("ConfigT", bound=PageJobConfig)


class PageJobWorker(ABC, Generic[ConfigT, ItemT, OutputT, StateT]):
    """A job worker whose pages do not depend on each other.

    A subclass sets the class attributes and `schema`, and writes `decode`, `infer` and `finish`; see `PageJob` for what
    these may raise. Models are loaded in `__init__`, after `super().__init__`.

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

    def __init__(self, config: ConfigT, resources: WorkerResources) -> None:
        self.config = config
        self.resources = resources
        # A page more than cores: while one waits for its decoder's process, its core has another. 4 % of all time.
        limits = Limits(resources.threads + 1, resources.memory_budget, config.page_timeout)
        self._pipeline = Pipeline(self, limits)

    @classmethod
    def create(cls, config: Mapping[str, Any], resources: WorkerResources) -> Self:
        """Check the config, and load what all volumes share.

        Raises:
            ConfigError: the config or a model is wrong.
        """
        return cls(cast("ConfigT", cls.config_type.parse(config)), resources)

    @property
    def batch_size(self) -> int:
        """How many items `infer` is given at most."""
        return self.config.batch_size

    def measure(self, page: Page, data: bytes) -> int:  # noqa: ARG002  (other jobs may look at the page)
        """Tell what the page will take of memory: what decoding the whole image takes."""
        return self.probe(data).decoding_bytes()

    @abstractmethod
    def decode(self, page: Page, data: bytes) -> Round[ItemT, StateT]:
        """Make the model's inputs of a page's bytes."""

    @abstractmethod
    def infer(self, items: Sequence[ItemT]) -> Sequence[OutputT]:
        """Run the model on items of any pages; one output per item, in their order."""

    @abstractmethod
    def finish(self, page: Page, state: StateT, outputs: Sequence[OutputT]) -> Row | Round[ItemT, StateT]:
        """Make the page's row (a value for each column of `schema`), or ask for another round."""

    def probe(self, data: bytes) -> ImageHeader:
        """Read an image's headers, and refuse what is no image or too large.

        Raises:
            PageError: see `images.probe`.
        """
        return probe(data, max_pixels=self.resources.max_image_pixels)

    def read_image(self, data: bytes, *, reduce: int = 1) -> Image:
        """Decode an image at 1/`reduce` of its size: grey (H, W) or BGR (H, W, 3), 8 bits.

        Raises:
            PageError: see `images.probe` and `images.decode`.
        """
        return decode(data, self.probe(data), reduce=reduce)

    def run(self, context: JobContext) -> Metrics:
        """Do every page of the volume that is not finished; see `Pipeline.run`."""
        return self._pipeline.run(context)

    def close(self) -> None:
        """Free what was loaded. Nothing by default: threads end with their volume, models with the worker."""
