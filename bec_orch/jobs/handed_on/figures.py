"""What `bec pages` shows of each page of the job types here: a few figures of its row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, float | str | None]


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Figures that are worked out of some columns of a row (a `PageFigures`).

    Attributes:
        columns: the columns.
        tell: returns the figures of a row.
    """

    columns: Sequence[str]
    tell: Callable[[Mapping[str, Any]], Figures]

    def __call__(self, row: Mapping[str, Any]) -> Figures:
        """Return the figures of a page."""
        return self.tell(row)


def _found(row: Mapping[str, Any]) -> Figures:
    # The library's older artefacts have contours alone.
    lines = row.get("nb_lines")
    return {"lines": row.get("nb_contours") if lines is None else lines}


def _read(row: Mapping[str, Any]) -> Figures:
    texts = row.get("line_texts") or ()
    sure = [value for value in row.get("line_confidences") or () if value is not None]
    return {
        "lines": len(texts),
        "characters": sum(len(text or "") for text in texts),
        "confidence": sum(sure) / len(sure) if sure else None,
    }


def _evaluated(row: Mapping[str, Any]) -> Figures:
    return {
        "lines": row.get("nb_lines"),
        "characters": row.get("nb_chars"),
        "confidence": row.get("mean_confidence"),
        "cer": row.get("cer"),
        "suspicion": row.get("suspicion"),
    }


LDV1 = RowFigures(("nb_lines", "nb_contours"), _found)
READ = RowFigures(("line_texts", "line_confidences"), _read)
EVALV1 = RowFigures(("nb_lines", "nb_chars", "mean_confidence", "cer", "suspicion"), _evaluated)
