"""What `bec pages` shows of each page of the job types here: a few figures of its row."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from bec_orch.core.ports.views import PageFigures

Figures = Mapping[str, float | str | None]


@dataclass(frozen=True, slots=True)
class RowFigures(PageFigures):
    """Figures that are worked out of some columns of a row.

    Attributes:
        wanted: the columns.
        of_row: returns the figures of a row.
        add_up: returns those of a volume.
    """

    wanted: Sequence[str]
    of_row: Callable[[Mapping[str, Any]], Figures]
    add_up: Callable[[Sequence[Figures]], Mapping[str, float | None]] = lambda _: {}

    @property
    @override
    def columns(self) -> Sequence[str]:
        return self.wanted

    @override
    def __call__(self, row: Mapping[str, Any]) -> Figures:
        return self.of_row(row)

    @override
    def of_volume(self, pages: Sequence[Figures]) -> Mapping[str, float | None]:
        return self.add_up(pages)


def _found(row: Mapping[str, Any]) -> Figures:
    return {"lines": row.get("nb_lines"), "pictures left": row.get("nb_unread_frames") or None}


def _read(row: Mapping[str, Any]) -> Figures:
    texts = row.get("line_texts") or ()
    sure = [value for value in row.get("line_confidences") or () if value is not None and math.isfinite(value)]
    return {
        "lines": len(texts),
        "characters": sum(len(text or "") for text in texts),
        "confidence": sum(sure) / len(sure) if sure else None,
    }


def _read_and_doubted(row: Mapping[str, Any]) -> Figures:
    return {**_read(row), "unsure": row.get("nb_unsure_lines")}


def _read_volume(pages: Sequence[Mapping[str, Any]]) -> Mapping[str, float | None]:
    """Add up characters; the mean confidence is that of lines, not of pages."""
    weights = [(page["confidence"], page["lines"]) for page in pages if page["confidence"] is not None]
    lines = sum(weight for _, weight in weights)
    return {
        "characters": sum(page["characters"] for page in pages),
        "confidence": sum(value * weight for value, weight in weights) / lines if lines else None,
    }


def _evaluated(row: Mapping[str, Any]) -> Figures:
    return {
        "lines": row.get("nb_lines"),
        "characters": row.get("nb_chars"),
        "confidence": row.get("mean_confidence"),
        "cer": row.get("cer"),
        "suspicion": row.get("suspicion"),
    }


def _classified(row: Mapping[str, Any]) -> Figures:
    return {"label": row.get("label"), "confidence": row.get("prob")}


CLASSES = RowFigures(("label", "prob"), _classified)
LDV1 = RowFigures(("nb_lines", "nb_unread_frames"), _found)
READ = RowFigures(("line_texts", "line_confidences"), _read, _read_volume)
OCRV1 = RowFigures((*READ.columns, "nb_unsure_lines"), _read_and_doubted, _read_volume)
EVALV1 = RowFigures(("nb_lines", "nb_chars", "mean_confidence", "cer", "suspicion"), _evaluated)
