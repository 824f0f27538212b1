"""Job type `evalv1`: evaluates the text that an OCR job left of every page of a volume.

It fetches the images of pages without any text alone, to see whether there is ink on them.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from typing_extensions import override

from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import JobContext, WorkerResources
from bec_orch.jobs.evalv1.config import Evalv1Config
from bec_orch.jobs.evalv1.ink import WIDTH, ink_share
from bec_orch.jobs.evalv1.ocr_rows import OcrPage, ocr_page, require_ocr
from bec_orch.jobs.evalv1.page_row import COUNTED, SCHEMA, Row, row_of
from bec_orch.jobs.evalv1.truth import TruthStore, VolumeTruth
from bec_orch.jobs.pipeline.page_input import PageInput, VolumeInputs, read_rows
from bec_orch.jobs.pipeline.page_job import Round
from bec_orch.jobs.pipeline.page_worker import PageJobWorker
from bec_orch.jobs.shared.geometry import reduction

MOST_NAMED = 50
"""Files of truth without a page that are named; all are counted."""

log = logging.getLogger(__name__)

Ink = float | None
"""The share of a page's image that is ink; None where that was not looked at."""


@dataclass(frozen=True, slots=True)
class EvaluatedVolume:
    """The dependency whose text is evaluated, the one that it is compared with, if any, and the volume's truth.

    `unmatched` are the keys of truth that belongs to no page.
    """

    first: str
    second: str | None
    truth: VolumeTruth
    unmatched: tuple[str, ...] = ()


class Evalv1Worker(PageJobWorker[Evalv1Config, NoReturn, NoReturn, Ink, EvaluatedVolume]):
    """Evaluates volumes; there is no model.

    Raises:
        ConfigError: the URL of the ground truth is not a store's.
        StorageError: there is no such store.
    """

    job_type = "evalv1"
    needs: ClassVar[tuple[str, ...]] = ("ocrv1",)
    config_type: ClassVar[type[JobConfig]] = Evalv1Config
    code_version = "4"
    schema = SCHEMA
    counted = COUNTED

    def __init__(self, config: Evalv1Config, resources: WorkerResources) -> None:
        super().__init__(config, resources)
        self._truth = TruthStore(config, resources.open_store(config.truth_url) if config.truth_url else None)

    @override
    def open_volume(self, context: JobContext) -> VolumeInputs[EvaluatedVolume]:
        """Read the rows of the OCR jobs, and look up the volume's truth.

        Raises:
            ConfigError: the job's dependencies are not OCR jobs, or the config leaves open which is meant.
            RetryableError: an artefact or the truth is out of reach.
        """
        jobs = self.config.ocr_jobs(list(context.dependencies))
        rows = read_rows(context)
        require_ocr(rows, jobs)
        truth = self._truth.volume(context.volume)
        evaluated: list[Any] = rows[jobs[0]].table["img_file_name"].to_pylist()
        unmatched = truth.without_page([*(page.filename for page in context.manifest.pages), *evaluated])
        if unmatched:
            log.warning(
                "truth_unmatched",
                extra={"volume": str(context.volume), "files": len(unmatched), "first": unmatched[:MOST_NAMED]},
            )
        volume = EvaluatedVolume(jobs[0], jobs[1] if len(jobs) > 1 else None, truth, tuple(unmatched))
        return VolumeInputs(volume, rows, jobs[:1], self.config.skip_pages)

    @override
    def wants_image(self, page: PageInput[EvaluatedVolume]) -> bool:
        """Return whether the page is without text: has it ink?"""
        return not (page.rows[page.volume.first]["page_text"] or "").strip()

    @override
    def measure(self, page: PageInput[EvaluatedVolume]) -> int:
        return page.header.decoding_bytes(reduction(page.header.width, WIDTH)) if self.wants_image(page) else 0

    @override
    def decode(self, page: PageInput[EvaluatedVolume]) -> Round[NoReturn, Ink]:
        ink = ink_share(page.image(reduce=reduction(page.header.width, WIDTH))) if self.wants_image(page) else None
        return Round((), ink, 0)

    @override
    def infer(self, items: Sequence[NoReturn]) -> Sequence[NoReturn]:
        """Return nothing: no page has items for a model."""
        return items

    @override
    def finish(self, page: PageInput[EvaluatedVolume], state: Ink, outputs: Sequence[NoReturn]) -> Row:
        truth = page.volume.truth.of(page.page)
        kinds = truth.kinds if truth and truth.kinds else self.config.kinds
        read = ocr_page(page.rows[page.volume.first], kinds)
        row = row_of(read, self.config, truth=truth, second=_second(page, kinds), ink=state)
        # What is the volume's own stands in one row, so that it counts once.
        unmatched = page.volume.unmatched if (page.page.index, page.frame) == (0, 1) else ()
        return {**row, "unmatched_truth": unmatched[:MOST_NAMED], "nb_unmatched_truth": len(unmatched)}


def _second(page: PageInput[EvaluatedVolume], kinds: Collection[str]) -> OcrPage | None:
    """Return what the second OCR job read; pages that it did not read are not compared."""
    row = page.rows[page.volume.second] if page.volume.second else None
    return ocr_page(row, kinds) if row and row.skip_reason is None else None
