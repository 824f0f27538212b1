"""Job type `evalv1`: evaluates the text that an OCR job left of every page of a volume.

It needs no page images, but those of pages without any text; so it does not run on the page pipeline, which reads all.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import anyio

from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_worker import JobContext, RowStore, WorkerResources
from bec_orch.core.metrics import Metrics, Stopwatch
from bec_orch.core.models import ModelInfo, Page, PageOutcome, PageState
from bec_orch.errors import BecError, PageError, RetryableError
from bec_orch.jobs.evalv1.config import Evalv1Config
from bec_orch.jobs.evalv1.ink import ink_share, reduction
from bec_orch.jobs.evalv1.ocr_rows import OcrJobs, OcrPage
from bec_orch.jobs.evalv1.page_row import COUNTED, SCHEMA, Row, row_of
from bec_orch.jobs.evalv1.truth import TruthStore, VolumeTruth
from bec_orch.jobs.images import decode, probe
from bec_orch.jobs.pipeline.steps import isolated
from bec_orch.jobs.pipeline.volume_run import error_outcome

if TYPE_CHECKING:
    import pyarrow as pa


class Evalv1Worker:
    """Evaluates volumes, one page after the other: a page takes a few milliseconds of one core.

    Args:
        config: the job's config, checked.
        resources: gives the store of ground truth.

    Raises:
        ConfigError: the URL of the ground truth is no store's.
        StorageError: there is no such store.
    """

    job_type: ClassVar[str] = "evalv1"
    needs: ClassVar[tuple[str, ...]] = ("ocrv1",)
    config_type: ClassVar[type[JobConfig]] = Evalv1Config
    code_version: ClassVar[str] = "2"

    def __init__(self, config: Evalv1Config, resources: WorkerResources) -> None:
        self._config = config
        self._max_pixels = resources.max_image_pixels
        self._truth = TruthStore(config, resources.open_store(config.truth_url) if config.truth_url else None)

    @classmethod
    def create(cls, config: Mapping[str, Any], resources: WorkerResources) -> Self:
        """Check the config, and open the store of ground truth."""
        return cls(cast("Evalv1Config", cls.config_type.parse(config)), resources)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """There are none: what read the text is told by the artefact that was evaluated."""
        return ()

    @property
    def schema(self) -> "pa.Schema":
        """The job's own columns."""
        return SCHEMA

    @property
    def counted(self) -> Mapping[str, str]:
        """The volume's sums."""
        return COUNTED

    def run(self, context: JobContext) -> Metrics:
        """Evaluate every page that is not finished.

        Raises:
            ConfigError: the job's dependencies are no OCR jobs, or the config leaves open which is meant.
            RetryableError: an artefact, the truth or an image is out of reach.
            Interrupted, LeaseLost: as `context.stop.check` raises them; the finished pages are flushed first.
        """
        watch = Stopwatch()
        with watch.stage("read"):
            ocr = OcrJobs.read(self._config, context.dependencies, context.manifest)
            truth = self._truth.volume(context.volume)
        with _flushed(context.rows):
            _VolumeEvaluation(self._config, self._max_pixels, context, ocr, truth, watch).run()
        return watch.metrics()

    def close(self) -> None:
        """There is nothing to free."""


@dataclass(frozen=True, slots=True)
class _VolumeEvaluation:
    """One volume's way from OCR rows to rows of its own."""

    config: Evalv1Config
    max_pixels: int
    context: JobContext
    ocr: OcrJobs
    truth: VolumeTruth
    watch: Stopwatch

    def run(self) -> None:
        finished = self.context.rows.finished()
        done = len(finished)
        for page in self.context.manifest.pages:
            if page.index not in finished:
                self.context.stop.check()
                with self.context.working(page):
                    outcome = self._outcome(page)
                self.context.rows.add(outcome)
                self.watch.count("pages")
                done += 1
                self.context.progress(done)

    def _outcome(self, page: Page) -> PageOutcome:
        if page.skip_reason:
            return _skipped(page, page.skip_reason)
        reason = self.ocr.first.skip_reason(page)
        if reason:
            return _skipped(page, reason)
        try:
            row = isolated("finish", partial(self._row, page))
        except PageError as error:
            return error_outcome(page, page.etag, error)
        return PageOutcome(page.index, PageState.OK, page.etag or self.ocr.first.etag(page), row)

    def _row(self, page: Page) -> Row:
        read = self.ocr.first.page(page)
        with self.watch.stage("truth"):
            truth = self.truth.of(page)
        ink = None if read.text.strip() else self._ink(page)
        with self.watch.stage("compare"):
            return row_of(read, self.config, truth=truth, second=self._second(page), ink=ink)

    def _second(self, page: Page) -> OcrPage | None:
        """Give what the second OCR job read; pages that it did not read are not compared."""
        second = self.ocr.second
        return second.page(page) if second and second.skip_reason(page) is None else None

    def _ink(self, page: Page) -> float:
        with self.watch.stage("ink"):
            data = anyio.run(self.context.pages.read, page).data
            header = probe(data, max_pixels=self.max_pixels)
            return ink_share(decode(data, header, reduce=reduction(header.width)))


def _skipped(page: Page, reason: str) -> PageOutcome:
    return PageOutcome(page.index, PageState.SKIPPED, page.etag, skip_reason=reason)


@contextmanager
def _flushed(rows: RowStore) -> Iterator[None]:
    """Flush after the block, and when it fails; its first fault tells more than one of the flush."""
    try:
        yield
    except BecError:
        with suppress(RetryableError):
            rows.flush()
        raise
    rows.flush()
