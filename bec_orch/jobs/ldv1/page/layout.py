"""Where on the page a segment stands: in which column, in the body or beside it; and the order of reading.

A gutter is a strip that several rows in succession leave free, with text on both sides in as many rows. A string hole
leaves two or three rows free, a row of verse one: these are not gutters. Pechas need more rows for a gutter, as their
verses are set in aligned halves that are read across.

Columns are split at strips free of text, as by the X-Y cut (Nagy and Seth, ICPR 1984), of segments instead of pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.segment import Segment

GUTTER_ROWS = 4
GUTTER_ROWS_PECHA = 8
PECHA_SHAPE = 2.0
"""A body this much wider than high is a pecha's."""
GUTTER_WIDTH = 2.5
"""Narrowest gutter, in thicknesses of the page's usual segment."""
COLUMN_WIDTH = 12.0
"""Narrowest column, in the same unit: narrower than that are initials, numbers and end marks."""
OVERHANG = 2.0
"""Below its first rows, a column's line may reach over the gutter by this many thicknesses."""
LONG_IN_BODY = 0.25
"""Segments at least this long, as a share of the body's width, show where the body begins and ends."""
BODY_ROWS = 0.3
BODY_ROWS_PECHA = 0.5
"""The body is where this share of the rows has text: initials and verse numbers are in it, folio numbers are not."""
FIRM_EDGE = 2.0
FIRM_ROWS = 0.6
"""The body's edge is firm when this share of the rows ends within this many thicknesses of it."""
OVERRUN = 6.0
OVERRUN_INSIDE = 0.3
"""A segment that crosses a firm edge by this many thicknesses, and fills this share of the body, is text and a note."""
WIDE_ROWS = 1
"""So many rows in succession may cross a gutter without ending it: a heading, or lines that ran into each other."""
SPREAD_ROWS = 2
"""Rows beyond such a row are in columns when so many have text on both sides of the gutter."""
CROSSING_REACH = 18.0
"""Lines that ran into each other over a gutter are looked for so many thicknesses above and below its block."""
MARGIN_ROWS = 4
"""On a page of fewer rows a body cannot be distinguished from a margin."""
BODY_GRID = 400

Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Gutter:
    """A gutter between columns, the skew removed: from `left` to `right`, between the rows `top` and `bottom`."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Boxes:
    """Level boxes of segments, the page's skew removed."""

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    y: NDArray[np.float64]
    thickness: float

    def of(self, picked: NDArray[np.int_]) -> "Boxes":
        """Some of the boxes."""
        return Boxes(self.left[picked], self.right[picked], self.y[picked], self.thickness)


def level_boxes(segments: Sequence[Segment], slope: float, thickness: float) -> Boxes:
    """Return the segments' boxes with the page's skew removed, by shearing both ways."""
    middles = np.array([part.middle for part in segments]).reshape(-1, 2)
    aside = slope * middles[:, 1]
    return Boxes(
        np.array([part.left for part in segments]) + aside,
        np.array([part.right for part in segments]) + aside,
        middles[:, 1] - slope * middles[:, 0],
        thickness,
    )


def groups_of(boxes: Boxes) -> NDArray[np.int_]:
    """Number the groups of segments that may form lines with each other: blocks, columns and margins.

    Columns count up in reading order (blocks from top to bottom, in them columns from left to right); each has three
    groups: left of its body, the body, right of it.
    """
    groups = np.zeros(len(boxes.y), np.int_)
    for number, members in enumerate(columns_of(boxes)):
        groups[members] = 3 * number + _sides(boxes.of(members))
    return groups


def column_of(group: NDArray[np.int_]) -> NDArray[np.int_]:
    """Return the column that each group belongs to."""
    return group // 3


def in_margin(group: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Return which groups stand beside the body of their column."""
    return np.asarray(group % 3 != 1)


def overrun_edges(boxes: Boxes) -> list[float]:
    """Return the edges of a pecha's body that a segment runs over, because it goes on as a note in the margin.

    The edge must be firm: most rows end there. It lies just outside of them.
    """
    rows = rows_of(boxes)
    if len(rows) < MARGIN_ROWS or not _is_pecha(boxes):
        return []
    low, high = _where_rows_have_text(boxes)
    inside = np.minimum(boxes.right, high) - np.maximum(boxes.left, low)
    crossing = inside >= OVERRUN_INSIDE * (high - low)
    starts = np.array([boxes.left[row][boxes.right[row] > low].min(initial=np.inf) for row in rows])
    ends = np.array([boxes.right[row][boxes.left[row] < high].max(initial=-np.inf) for row in rows])
    left = _overrun(starts, boxes.left[crossing], boxes.thickness)
    right = _overrun(-ends, -boxes.right[crossing], boxes.thickness)
    return [*left, *(-edge for edge in right)]


def _overrun(starts: NDArray[np.float64], crossing: NDArray[np.float64], thickness: float) -> list[float]:
    """Return the firm left edge of rows that start at these places, if a segment of the body starts well before it."""
    edge = np.median(starts)
    if not np.isfinite(edge):
        return []  # most rows have nothing in the body
    near = np.abs(starts - edge) <= FIRM_EDGE * thickness
    if near.mean() < FIRM_ROWS or crossing.min(initial=np.inf) > edge - OVERRUN * thickness:
        return []
    return [float(starts[near].min()) - 2]


def _sides(boxes: Boxes) -> NDArray[np.int_]:
    """Return for each segment of a column whether it stands left of its body (0), in it (1) or right of it (2)."""
    if len(rows_of(boxes)) < MARGIN_ROWS:
        return np.ones(len(boxes.y), np.int_)
    low, high = _body(boxes)
    return np.where(boxes.right < low, 0, np.where(boxes.left > high, 2, 1))


def _body(boxes: Boxes) -> Span:
    """Return the left and right edge of the body: where half of the rows have text, and its long segments end."""
    low, high = _where_rows_have_text(boxes)
    long = boxes.right - boxes.left >= LONG_IN_BODY * (boxes.right.max() - boxes.left.min())
    stray = 1 if np.count_nonzero(long) > GUTTER_ROWS else 0
    if long.any():
        low = min(low, float(np.sort(boxes.left[long])[stray]))
        high = max(high, float(np.sort(boxes.right[long])[-1 - stray]))
    return low, high


def _where_rows_have_text(boxes: Boxes) -> Span:
    """Return the outermost places where at least half of the rows (and two) have a segment."""
    rows = rows_of(boxes)
    grid = np.linspace(boxes.left.min(), boxes.right.max(), BODY_GRID)
    first, after = np.searchsorted(grid, boxes.left), np.searchsorted(grid, boxes.right, side="right")
    has_text = np.zeros((len(rows), BODY_GRID), np.bool_)
    for covered, row in zip(has_text, rows, strict=True):
        for index in row:
            covered[first[index] : after[index]] = True
    covered_rows = has_text.sum(axis=0)
    share = BODY_ROWS_PECHA if _is_pecha(boxes) else BODY_ROWS
    places = grid[covered_rows >= max(2, share * len(rows))]
    if not len(places):
        return float(grid[-1]), float(grid[0])
    return float(places[0]), float(places[-1])


def columns_of(boxes: Boxes) -> list[NDArray[np.int_]]:
    """Split the page into columns, in reading order, and return the numbers of the segments in each."""
    rows = rows_of(boxes)
    columns = []
    start = 0
    for end, gutters in _blocks_of_page(boxes, rows):
        columns += _split(boxes, np.concatenate(rows[start:end]), gutters)
        start = end
    return columns


def gutters_of(boxes: Boxes) -> list[Gutter]:
    """Return the gutters between columns, block by block."""
    rows = rows_of(boxes)
    found: list[Gutter] = []
    start = 0
    for end, gutters in _blocks_of_page(boxes, rows):
        levels = boxes.y[np.concatenate(rows[start:end])]
        found += [Gutter(*span, float(levels.min()), float(levels.max())) for span in gutters]
        start = end
    return found


def crossing(boxes: Boxes, gutter: Gutter) -> NDArray[np.int_]:
    """Return the numbers of the segments that stand on both sides of a gutter, in its block or near it."""
    aside, away = OVERHANG * boxes.thickness, CROSSING_REACH * boxes.thickness
    over = (boxes.left < gutter.left - aside) & (boxes.right > gutter.right + aside)
    return np.flatnonzero(over & (boxes.y >= gutter.top - away) & (boxes.y <= gutter.bottom + away))


def _blocks_of_page(boxes: Boxes, rows: Sequence[NDArray[np.int_]]) -> list[tuple[int, list[Span]]]:
    needed = GUTTER_ROWS_PECHA if _is_pecha(boxes) else GUTTER_ROWS
    return _spread(boxes, rows, _blocks(boxes, rows, needed))


def _is_pecha(boxes: Boxes) -> bool:
    return bool(boxes.right.max() - boxes.left.min() > PECHA_SHAPE * max(np.ptp(boxes.y), 1.0))


def rows_of(boxes: Boxes) -> list[NDArray[np.int_]]:
    """Group segments into rows that do not overlap in height."""
    order = np.argsort(boxes.y, kind="stable")
    if not len(order):
        return []
    levels = boxes.y[order]
    steps = np.flatnonzero(levels[1:] - levels[:-1] > 0.6 * boxes.thickness) + 1
    return [order[start:end] for start, end in pairwise((0, *steps.tolist(), len(order)))]


def _blocks(boxes: Boxes, rows: Sequence[NDArray[np.int_]], needed: int) -> list[tuple[int, list[Span]]]:
    """Split the rows into blocks from top to bottom: for each, the row after its last, and its gutters."""
    blocks: list[tuple[int, list[Span]]] = []
    start = 0
    while start < len(rows):
        end, gutters = _block_with_gutter(boxes, rows, start, needed)
        if blocks and not gutters and not blocks[-1][1]:
            blocks.pop()
        blocks.append((end, gutters))
        start = end
    return blocks


def _spread(
    boxes: Boxes, rows: Sequence[NDArray[np.int_]], blocks: Sequence[tuple[int, list[Span]]]
) -> list[tuple[int, list[Span]]]:
    """Give rows near a block with gutters the same gutters where they keep to them: one wide row does not decide."""
    gutters: list[list[Span]] = []
    for end, spans in blocks:
        gutters += [spans] * (end - len(gutters))
    for order in (range(len(rows)), range(len(rows) - 1, -1, -1)):
        _spread_along(boxes, rows, gutters, order)
    last = [at for at in range(len(rows)) if at + 1 == len(rows) or gutters[at + 1] is not gutters[at]]
    return [(at + 1, gutters[at]) for at in last]


def _spread_along(
    boxes: Boxes, rows: Sequence[NDArray[np.int_]], gutters: list[list[Span]], order: Sequence[int]
) -> None:
    """Carry the gutters of each block on to the rows that come after it in this order."""
    carried: list[Span] = []
    wide, run = 0, list[int]()
    for at in order:
        if gutters[at]:
            _take(boxes, rows, gutters, run, carried)
            carried, wide, run = gutters[at], 0, []
        elif carried and _stays_in_columns(boxes, rows[at], carried):
            run.append(at)
        else:
            wide = 1 if _take(boxes, rows, gutters, run, carried) else wide + 1
            run = []
            carried = carried if wide <= WIDE_ROWS else []
    _take(boxes, rows, gutters, run, carried)


def _take(
    boxes: Boxes,
    rows: Sequence[NDArray[np.int_]],
    gutters: list[list[Span]],
    run: Sequence[int],
    carried: list[Span],
) -> bool:
    """Give a run of rows the gutters, if enough of them have text on both sides; return whether they have."""
    taken = sum(_has_both_sides(boxes, rows[at], carried) for at in run) >= SPREAD_ROWS
    for at in run if taken else ():
        gutters[at] = carried
    return taken


def _has_both_sides(boxes: Boxes, row: NDArray[np.int_], gutters: Sequence[Span]) -> bool:
    left, right = boxes.left[row], boxes.right[row]
    return all(bool((right <= end).any() and (left >= start).any()) for start, end in gutters)


def _block_with_gutter(
    boxes: Boxes, rows: Sequence[NDArray[np.int_]], start: int, needed: int
) -> tuple[int, list[Span]]:
    """Return the end and the gutters of the longest block from `start`; without a gutter, a single row and none.

    A first row may have text on one side alone: that of columns which stand half a line apart.
    """
    longest: tuple[int, list[Span]] = (start + 1, [])
    for end in range(start + 2, len(rows) + 1):
        if not _free_spans(boxes, np.concatenate(rows[start:end])):
            break
        gutters = _gutters(boxes, rows[start:end], needed) if end - start >= needed else []
        longest = (end, gutters) if gutters else longest
    end, gutters = longest
    while gutters and end < len(rows) and _stays_in_columns(boxes, rows[end], gutters):
        end += 1
    return end, gutters


def _stays_in_columns(boxes: Boxes, row: NDArray[np.int_], gutters: Sequence[Span]) -> bool:
    """Return whether each segment of a row stands on one side of each gutter; a line's last word may reach over it."""
    left, right = boxes.left[row], boxes.right[row]
    reach = OVERHANG * boxes.thickness
    return all(
        bool(np.all(((left < start) & (right <= end + reach)) | (left >= end - reach))) for start, end in gutters
    )


def _free_spans(boxes: Boxes, members: NDArray[np.int_]) -> list[Span]:
    """Return the strips between the members' outermost ends that none of them enters, wide enough for a gutter."""
    order = members[np.argsort(boxes.left[members])]
    reached = np.maximum.accumulate(boxes.right[order])
    ends = zip(reached[:-1], boxes.left[order][1:], strict=True)
    return [(float(a), float(b)) for a, b in ends if b - a >= GUTTER_WIDTH * boxes.thickness]


def _gutters(boxes: Boxes, rows: Sequence[NDArray[np.int_]], needed: int) -> list[Span]:
    """Return the gutters that rows share: real columns of enough rows on both sides."""
    members = np.concatenate(rows)
    spans = _free_spans(boxes, members)
    edges = [boxes.left[members].min(), *(b for _, b in spans)], [*(a for a, _ in spans), boxes.right[members].max()]
    wide = [right - left >= COLUMN_WIDTH * boxes.thickness for left, right in zip(*edges, strict=True)]
    return [
        span
        for span, beside in zip(spans, pairwise(wide), strict=True)
        if all(beside) and _rows_on_both_sides(boxes, rows, span) >= needed
    ]


def _rows_on_both_sides(boxes: Boxes, rows: Sequence[NDArray[np.int_]], gutter: Span) -> int:
    """Return the smaller of the numbers of rows left and right of a gutter."""
    left = sum(bool(np.any(boxes.right[row] <= gutter[0])) for row in rows)
    right = sum(bool(np.any(boxes.left[row] >= gutter[1])) for row in rows)
    return min(left, right)


def _split(boxes: Boxes, members: NDArray[np.int_], gutters: Sequence[Span]) -> list[NDArray[np.int_]]:
    edges = [-np.inf, *((left + right) / 2 for left, right in gutters), np.inf]
    middles = (boxes.left[members] + boxes.right[members]) / 2
    parts = [members[(middles > low) & (middles <= high)] for low, high in pairwise(edges)]
    return [part for part in parts if len(part)]
