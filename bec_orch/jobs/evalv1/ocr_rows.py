"""What an OCR job left for a page: the row of a dependency's artefact."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bec_orch.core.transcripts import MAIN
from bec_orch.jobs.evalv1.config import wrong_dependency
from bec_orch.jobs.pipeline.page_input import InputRow, InputRows

_COLUMNS = (
    *("img_file_name", "source_etag", "ok", "skipped", "skip_reason", "error_type"),
    *("line_texts", "line_confidences", "page_text"),
)


@dataclass(frozen=True, slots=True)
class OcrPage:
    """A page's text in reading order, its lines, and the confidence of each line (0 to 1)."""

    text: str
    lines: Sequence[str]
    confidences: Sequence[float]


def ocr_page(row: InputRow, kinds: Collection[str] = (MAIN,)) -> OcrPage:
    """Return what was read on a page, in the lines of some kinds.

    Lines of other kinds than main text that stand above it come first, as in transcriptions of whole pages, and the
    rest after it. An artefact that tells no kinds has main text alone.
    """
    texts, confidences = row["line_texts"] or (), row["line_confidences"] or ()
    told, boxes = row["line_kinds"], row["line_bboxes"] or ()
    if told is None:
        return OcrPage(row["page_text"] or "", texts, confidences)
    picked = [place for place, kind in enumerate(told) if kind in kinds]
    top = min((box["y"] for box, kind in zip(boxes, told, strict=True) if kind == MAIN), default=0)
    picked.sort(key=lambda place: told[place] == MAIN or boxes[place]["y"] >= top)
    lines = [texts[place] for place in picked]
    return OcrPage("\n".join(lines), lines, [confidences[place] for place in picked])


def require_ocr(rows: Mapping[str, InputRows], jobs: Sequence[str]) -> None:
    """Check that jobs are OCR jobs, by the columns that they left.

    Raises:
        ConfigError: one is not (E_EVAL_DEPENDENCY).
    """
    for job in jobs:
        missing = sorted(set(_COLUMNS) - set(rows[job].table.column_names))
        if missing:
            raise wrong_dependency(f"The artefact of '{job}' has no column {missing[0]}: it is not an OCR job's.")
