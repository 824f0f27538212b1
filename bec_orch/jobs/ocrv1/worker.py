"""Job type `ocrv1`: reads the text of the lines that another job found."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import JobContext, WorkerResources
from bec_orch.core.transcripts import UNSURE_PAGES
from bec_orch.errors import PageError
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1.cut.line_images import Box, cut_lines
from bec_orch.jobs.ocrv1.cut.line_windows import cut_windows
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import EMPTY, LineText, load_recogniser
from bec_orch.jobs.ocrv1.found_lines import line_job, lines_of
from bec_orch.jobs.pipeline.page_input import Image, PageInput, VolumeInputs, read_rows
from bec_orch.jobs.pipeline.page_job import Round, Row
from bec_orch.jobs.pipeline.page_worker import PageJobWorker
from bec_orch.jobs.shared.columns import BOX, STRAIGHTENING
from bec_orch.jobs.shared.geometry import in_grey
from bec_orch.jobs.shared.tibetan import in_order
from bec_orch.jobs.shared.trial import try_model

Grey = NDArray[np.uint8]

TRIAL = "bec_orch.jobs.ocrv1.trial"
_SPACES = re.compile(r"\s+")
_COLUMNS: dict[str, pa.DataType] = {
    **STRAIGHTENING,
    "line_bboxes": pa.list_(BOX),
    "line_texts": pa.list_(pa.string()),
    "line_kinds": pa.list_(pa.string()),
    "nb_lines": pa.int32(),
    "line_confidences": pa.list_(pa.float32()),
    "page_text": pa.string(),
    "nb_unsure_lines": pa.int32(),
    "nb_unsure_pages": pa.int32(),
    "nb_language_lines": pa.int32(),
}
SCHEMA = pa.schema(_COLUMNS)


@dataclass(frozen=True, slots=True)
class CutPage:
    """A page whose lines are cut out.

    Attributes:
        lines: what was found on it.
        boxes: the place of each line in the stored bitmap.
        inked: whether each line has ink; the engine does not see the others.
    """

    lines: PageLines
    boxes: tuple[Box, ...]
    inked: tuple[bool, ...]


class Ocrv1Worker(PageJobWorker[Ocrv1Config, Grey, LineText, CutPage, str]):
    """Reads text lines with the engine of the job's config.

    Raises:
        ConfigError: see `load_recogniser`.
    """

    job_type = "ocrv1"
    needs: ClassVar[tuple[str, ...]] = ("ldv1",)
    config_type: ClassVar[type[JobConfig]] = Ocrv1Config
    code_version = "4"
    schema = SCHEMA
    counted = MappingProxyType(
        {
            "lines": "nb_lines",
            "unsure_lines": "nb_unsure_lines",
            UNSURE_PAGES: "nb_unsure_pages",
            "language_lines": "nb_language_lines",
        }
    )

    def __init__(self, config: Ocrv1Config, resources: WorkerResources) -> None:
        super().__init__(config, resources)
        _try(config, resources)
        self._recogniser = load_recogniser(config, resources)
        self.models = self._recogniser.models

    @property
    @override
    def batch_size(self) -> int:
        """How many lines are read at once, at most: what the config says, else what the engine prefers."""
        return self.config.batch_size or self._recogniser.batch_size

    @override
    def open_volume(self, context: JobContext) -> VolumeInputs[str]:
        """Read the rows of all dependencies, and find out which of them has the lines: `page.volume` names it.

        Raises:
            TerminalError: not exactly one does (E_OCR_NO_LINES).
            RetryableError: an artefact is gone, or its store away.
        """
        rows = read_rows(context)
        lines = line_job(context.job, rows)
        return VolumeInputs(lines, rows, (lines,), self.config.skip_pages)

    @override
    def measure(self, page: PageInput[str]) -> int:
        header = page.header
        # The page as decoded, the same in grey, and its lines, which together are hardly larger than the page.
        return header.decoding_bytes() + 2 * header.pixels

    @override
    def decode(self, page: PageInput[str]) -> Round[Grey, CutPage]:
        lines = lines_of(page.rows[page.volume], _size(page))
        image = page.image()
        _require_size(image, lines)
        cutter = cut_windows if self._recogniser.with_neighbours else cut_lines
        cut = list(cutter(in_grey(image), lines, self._recogniser.line_height))
        items = [line.pixels for line in cut if line.pixels is not None]
        state = CutPage(lines, tuple(line.box for line in cut), tuple(line.pixels is not None for line in cut))
        return Round(items, state, sum(item.nbytes for item in items))

    @override
    def infer(self, items: Sequence[Grey]) -> Sequence[LineText]:
        return self._recogniser.recognise(items)

    @override
    def finish(self, page: PageInput[str], state: CutPage, outputs: Sequence[LineText]) -> Row:
        read = iter(outputs)
        texts = [next(read) if inked else EMPTY for inked in state.inked]
        row = row_of(state, texts, self.config.page_text_kinds)
        return {**row, **_doubts(state, texts, self._recogniser.unsure)}

    @override
    def close(self) -> None:
        """Free the engine."""
        self._recogniser.close()


def _try(config: Ocrv1Config, resources: WorkerResources) -> None:
    """Try the model that a config names; those that come with the engine are as good as its code."""
    field = "model" if config.chosen_engine == "ctc" else "tessdata"
    named = getattr(config, field)
    if named is None:
        return
    path = resources.models.local_path(named).absolute()
    request = {"config": {**config.model_dump(mode="json"), field: str(path)}}
    try_model(TRIAL, f"The OCR model '{named}'", path, request)


def row_of(page: CutPage, read: Sequence[LineText], page_text_kinds: Sequence[str]) -> Row:
    """Return a page's texts as the columns of `SCHEMA`; `page_text` has the lines of some kinds."""
    texts = [normalised(line.text) for line in read]
    kinds = list(page.lines.kinds_by_line.values())
    return {
        "rotation_angle": page.lines.rotation_angle,
        "tps_points": page.lines.tps_points,
        "tps_alpha": page.lines.tps_alpha,
        "line_bboxes": np.array(page.boxes, np.int32).reshape(-1, 4),
        "line_texts": texts,
        "line_kinds": kinds,
        "nb_lines": len(texts),
        "line_confidences": [line.confidence for line in read],
        "page_text": "\n".join(text for text, kind in zip(texts, kinds, strict=True) if kind in page_text_kinds),
    }


def _doubts(page: CutPage, read: Sequence[LineText], unsure: float) -> Row:
    """Count the lines that were read with little confidence, and those that a language model changed.

    A line with ink in which nothing was read is an unsure one.
    """
    sure = [line.confidence >= unsure for line, inked in zip(read, page.inked, strict=True) if inked]
    doubted = len(sure) - sum(sure)
    return {
        "nb_unsure_lines": doubted,
        "nb_unsure_pages": int(2 * doubted > len(sure)),
        "nb_language_lines": sum(line.by_language for line in read),
    }


def normalised(text: str) -> str:
    """Return a text in one spelling: NFC, Tibetan stacks in the order in which they are written.

    Nothing else is corrected; white space at the ends, repeated white space and control characters are left out.
    Normalising is idempotent.
    """
    kept = (char for char in text if char.isspace() or (unicodedata.category(char) != "Cc" and char != "\ufeff"))
    return in_order(_SPACES.sub(" ", "".join(kept))).strip()


def _size(page: PageInput[str]) -> tuple[int, int]:
    """Return the size of a page as its manifest tells it, else as its image's header does."""
    told = page.page.width, page.page.height
    return (told[0], told[1]) if told[0] and told[1] else (page.header.width, page.header.height)


def _require_size(image: Image, lines: PageLines) -> None:
    height, width = image.shape[:2]
    if (width, height) != (lines.width, lines.height):
        raise PageError(
            f"The image has {width} x {height} pixels; its lines were found in {lines.width} x {lines.height}.",
            stage="decode",
            code="E_PAGE_OTHER_SIZE",
            hint="The image was changed: find its lines again.",
        )
