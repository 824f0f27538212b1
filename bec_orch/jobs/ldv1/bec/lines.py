"""Traced lines -> the page's lines in the stored bitmap: in reading order, one outline and one baseline each.

Main text comes first, column by column; after it what is of other kinds, kind by kind, from above to below.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.transcripts import KINDS, MAIN
from bec_orch.jobs.ldv1.bec.tracing import BLEED
from bec_orch.jobs.ldv1.kinds.by_place import with_kinds
from bec_orch.jobs.ldv1.kinds.traced import CORE_SHARE, MAP_PITCH, Traced
from bec_orch.jobs.ldv1.page.layout import columns_of, level_boxes, rows_of
from bec_orch.jobs.ldv1.page.page_lines import BASELINE, PageLines
from bec_orch.jobs.ldv1.page.placing import on_bitmap, placed
from bec_orch.jobs.ldv1.page.segment import CENTRE_POINTS, Segment
from bec_orch.jobs.ldv1.page.skew import page_slope
from bec_orch.jobs.shared.geometry import Affine, Points

ABOVE = 0.1
"""An outline reaches this share of its line's height above the upper edge, which leaves out the highest vowels."""
STEP = 6
"""An outline has a point at steps of this many pixels of the maps: half a pitch."""


def as_page_lines(lines: Sequence[Traced], to_stored: Affine, size: tuple[int, int], width: float) -> PageLines:
    """Return the lines of a view's maps as lines of the stored bitmap.

    Args:
        lines: the traced lines.
        to_stored: affine transform from the maps to the stored bitmap.
        size: (width, height) of the stored bitmap.
        width: of the view's maps, as far as they show the page.
    """
    slope = usual_slope([line for line in lines if line.is_main] or lines)
    ordered = in_reading_order(with_kinds(lines, width), slope)
    found = placed(
        [(_segment(line),) for line, _ in ordered], [_outline(line) for line, _ in ordered], slope, to_stored, size
    )
    baselines = on_bitmap([_baseline(line) for line, _ in ordered], to_stored, size)
    return replace(found, kinds=tuple(kind for _, kind in ordered), baselines=baselines)


def in_reading_order(lines: Sequence[tuple[Traced, str]], slope: float) -> list[tuple[Traced, str]]:
    """Return lines with their kinds, main text first."""
    main = [line for line, kind in lines if kind == MAIN]
    ordered: list[tuple[Traced, str]] = [(line, MAIN) for line in (_by_columns(main, slope) if main else ())]
    for wanted in KINDS[1:]:
        own = (line for line, kind in lines if kind == wanted)
        ordered += [(line, wanted) for line in sorted(own, key=lambda line: line.middle - slope * line.x.mean())]
    return ordered


def _by_columns(main: Sequence[Traced], slope: float) -> Iterator[Traced]:
    boxes = level_boxes([_segment(line) for line in main], slope, CORE_SHARE * MAP_PITCH)
    for column in columns_of(boxes):
        for row in rows_of(boxes.of(column)):
            yield from (main[column[at]] for at in sorted(row, key=boxes.of(column).left.__getitem__))


def usual_slope(lines: Sequence[Traced]) -> float:
    """Return the slope of a page's lines: the median over long ones, weighted by length."""
    return page_slope([_segment(line) for line in lines])


def _segment(line: Traced) -> Segment:
    """Return a line as what columns, skew and curves are worked out from."""
    picked = np.linspace(0, len(line.x) - 1, min(len(line.x), CENTRE_POINTS)).round().astype(int)
    return Segment(
        contour=np.empty((0, 2), np.int32),
        offset=0.0,
        score=line.chance,
        xs=line.x[picked].astype(np.float64),
        ys=line.y[picked].astype(np.float64),
        thickness=CORE_SHARE * MAP_PITCH,
        height=round(line.height),
        upright=False,
    )


def _outline(line: Traced) -> Points:
    above = np.float32(ABOVE * line.height)
    x, top, bottom = (_drawn(line, values) for values in (line.x, line.top - above, line.bottom))
    return np.concatenate([np.column_stack([x, top]), np.column_stack([x, bottom])[::-1]])


def _baseline(line: Traced) -> Points:
    """Return where a line's letters stand, as for lines of other models: this far down from its top."""
    x, y = (_drawn(line, values) for values in (line.x, line.top + BASELINE * (line.bottom - line.top)))
    return np.column_stack([x, y])


def _drawn(line: Traced, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a line's values at steps along it; its columns reach over both ends."""
    picked = np.unique(np.append(np.arange(0, len(values), STEP), len(values) - 1))
    drawn: Points = values[picked].astype(np.float64)
    if values is line.x:
        drawn[[0, -1]] += np.array([-BLEED, BLEED]) * MAP_PITCH
    return drawn
