"""Reads lines and text of pages from the rows of `ldv1`, `ocrv1` and `importv1`."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from typing_extensions import override

from bec_orch.core.ports.views import ContentOf
from bec_orch.core.transcripts import MAIN, Line, PageContent, Point, known
from bec_orch.jobs.handed_on.outlines import baseline, outline
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1.cut.straighten import straightening
from bec_orch.jobs.ocrv1.found_lines import NEEDED, lines_of
from bec_orch.jobs.pipeline.page_input import InputRow


@dataclass(frozen=True, slots=True)
class Reader(ContentOf):
    """What reads the rows of a job type.

    Attributes:
        read: returns the content of each of some rows.
        usual: formats of documents that a run writes by default.
    """

    read: Callable[[pa.Table, Mapping[str, pa.Table]], Iterator[PageContent]]
    usual: tuple[str, ...] = ()

    @override
    def __call__(self, rows: pa.Table, inputs: Mapping[str, pa.Table]) -> Iterator[PageContent]:
        return self.read(rows, inputs)


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a line is."""

    polygon: tuple[Point, ...]
    baseline: tuple[Point, ...]
    kind: str
    score: float | None = None


def found_lines(rows: pa.Table, inputs: Mapping[str, pa.Table]) -> Iterator[PageContent]:  # noqa: ARG001  (see `Reader`)
    """Return the lines of each row of `ldv1`, without text."""
    for place in range(rows.num_rows):
        row = InputRow("", rows, place)
        if row["contours"] is None:
            yield PageContent()
            continue
        lines = lines_of(row)
        found = tuple(
            Line(shape.polygon, shape.baseline, kind=shape.kind, score=shape.score) for shape in _shapes(row, lines)
        )
        yield PageContent(found, _told_size(row), lines.rotation_angle)


def read_lines(rows: pa.Table, inputs: Mapping[str, pa.Table]) -> Iterator[PageContent]:
    """Return the lines of each row of `ocrv1` with their text.

    Their outlines are those of the job that found them. Where its artefact is gone, or no longer what was read, a
    line's box stands for its outline.
    """
    lines_by = next((table for table in inputs.values() if set(NEEDED) <= set(table.column_names)), None)
    for place in range(rows.num_rows):
        row = InputRow("", rows, place)
        found = InputRow("", lines_by, place) if lines_by is not None else None
        yield _read_page(row, found if found and found["contours"] is not None else None)


def imported_lines(rows: pa.Table, inputs: Mapping[str, pa.Table]) -> Iterator[PageContent]:  # noqa: ARG001  (see `Reader`)
    """Return the lines of each row of `importv1`, as the document had them."""
    for place in range(rows.num_rows):
        row = InputRow("", rows, place)
        yield PageContent(
            tuple(_imported(*told) for told in zip(*(row[column] or () for column in _IMPORTED), strict=True)),
            (row["width"], row["height"]) if row["width"] else None,
            row["rotation_angle"],
        )


_IMPORTED = ("contours", "line_baselines", "line_texts", "line_confidences", "line_kinds")


def _imported(
    contour: Sequence[Mapping[str, int]],
    line: Sequence[Mapping[str, int]],
    text: str | None,
    confidence: float | None,
    kind: str,
) -> Line:
    polygon, along = (tuple((point["x"], point["y"]) for point in points) for points in (contour, line))
    # Rows have no other way to say that nobody read a line.
    return Line(polygon, along, None if not text and confidence is None else text, sure(confidence), known(kind))


def _read_page(row: InputRow, found: InputRow | None) -> PageContent:
    texts = row["line_texts"] or []
    lines = lines_of(found) if found else None
    shapes = _shapes(found, lines) if found and lines else []
    if len(shapes) != len(texts):
        # The earlier system tells no boxes.
        boxes = row["line_bboxes"] or [None] * len(texts)
        shapes = [Shape(_corners(box) if box else (), (), MAIN) for box in boxes]
    kinds = row["line_kinds"] or [shape.kind for shape in shapes]
    confidences = row["line_confidences"] or [None] * len(texts)
    told = zip(shapes, texts, confidences, kinds, strict=True)
    return PageContent(
        tuple(
            Line(shape.polygon, shape.baseline, text, sure(value), known(kind), shape.score)
            for shape, text, value, kind in told
        ),
        _told_size(found) if found else None,
        row["rotation_angle"],
    )


def _told_size(row: InputRow) -> tuple[int, int] | None:
    return (row["width"], row["height"]) if row["width"] and row["height"] else None


def _shapes(row: InputRow, lines: PageLines) -> list[Shape]:
    frame = straightening(lines)
    size = (lines.width, lines.height)
    told = row["line_baselines"]
    scores = row["scores"] or [None] * len(lines.contours)
    shapes = []
    for number, kind in lines.kinds_by_line.items():
        own = [place for place, line in enumerate(lines.line_ids) if line == number]
        contours = [lines.contours[place] for place in own]
        along = tuple((point["x"], point["y"]) for place in own for point in told[place]) if told else ()
        score = min((value for place in own if (value := sure(scores[place])) is not None), default=None)
        shapes.append(Shape(outline(contours), along or baseline(contours, frame, size), kind, score))
    return shapes


def sure(confidence: float | None) -> float | None:
    """Return a confidence that documents can hold: 0 to 1, or None."""
    return None if confidence is None or not math.isfinite(confidence) else min(max(confidence, 0.0), 1.0)


def _corners(box: Mapping[str, int]) -> tuple[Point, ...]:
    left, top, right, bottom = box["x"], box["y"], box["x"] + box["w"] - 1, box["y"] + box["h"] - 1
    return (left, top), (right, top), (right, bottom), (left, bottom)


LDV1 = Reader(found_lines)
OCRV1 = Reader(read_lines, ("txt",))
IMPORTV1 = Reader(imported_lines)
