"""Gaps between columns: where the network marks one, where gutters show one, or where rows on both sides stop.

Coordinates are pixels of the network's maps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.bec.pieces import THRESHOLD, Piece
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Floats, boxes_of, slope_of
from bec_orch.jobs.ldv1.page.layout import Gutter, crossing, gutters_of

SHORTEST_GAP = 4.0
"""A gap between columns is so many pitches long; what is shorter is a string hole or a picture."""
BRIDGE = 8.0
"""A gap goes on over rows that hide it for at most this many pitches."""
GAP_SHARE = 0.4
"""Pieces are of two columns where this share of the way between them is marked as a gap."""
COLUMN_VIEW = 12.0
"""A gap between columns is looked for within this many pitches..."""
COLUMN_ROWS = 8
"""... in which at least this many rows stand on both sides of it..."""
FREE_ROWS = 1
"""... and at most this many reach into it."""
BESIDE = 2.0
"""Rows are counted this many pitches beside the gap."""
VIEWS = 0.9 * COLUMN_VIEW * MAP_PITCH / 2 * np.linspace(-1, 1, 5)
"""Middles of the views that are looked at, from the row of a piece."""
SURELY_ONE = 0.97
"""Lines of two columns ran into each other where the probability in the gutter between them is lower than this."""
CROSSING = 0.5
"""A gutter reaches this many pitches above and below the rows that show it."""

Way: TypeAlias = tuple[int, int, int]
"""The way from one piece to the next: the columns of pixels where it begins and ends, and its row."""


@dataclass(frozen=True, slots=True, eq=False)
class Guides:
    """What shows that two pieces are two lines.

    Attributes:
        gap: where there is a gap between columns.
        rows: number of rows of text within half of `COLUMN_VIEW` above and below each pixel.
        gutters: gutters between columns as many pieces show them.
        slope: slope of the page's lines.
    """

    gap: NDArray[np.bool_]
    rows: Floats
    gutters: Sequence[Gutter] = ()
    slope: float = 0.0

    def in_gutter(self, left: float, right: float, row: float) -> bool:
        """Return whether a gutter lies on the way from one column of pixels to another."""
        level, aside = row - self.slope * (left + right) / 2, self.slope * row
        return any(
            gutter.top - CROSSING * MAP_PITCH <= level <= gutter.bottom + CROSSING * MAP_PITCH
            and left + aside < gutter.right
            and right + aside > gutter.left
            for gutter in self.gutters
        )


def guides_of(maps: Floats) -> Guides:
    """Return what the maps (6, H, W) show of gaps between columns."""
    text = maps[1] + maps[2]
    gap = maps[-1] > THRESHOLD
    return Guides(_long(gap, text) if gap.any() else gap, _rows_about(text))


def _long(gap: NDArray[np.bool_], text: Floats) -> NDArray[np.bool_]:
    """Return the gaps that are long enough, carried on over rows that hide them because they ran into each other."""
    lean, bridge, length = (np.ones(size, np.uint8) for size in ((1, 5), (_px(BRIDGE), 1), (_px(SHORTEST_GAP), 1)))
    wide = np.pad(cv2.dilate(gap.astype(np.uint8), lean), ((len(bridge), len(bridge)), (0, 0)))  # edges end gaps
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, bridge)[len(bridge) : -len(bridge)]
    return np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, length) > 0) & (gap | (text < SURELY_ONE))


def _px(pitches: float) -> int:
    return round(pitches * MAP_PITCH)


def cut_at_gutters(pieces: list[Piece], guides: Guides) -> tuple[list[Piece], Guides]:
    """Return the pieces of a page, cut where they run over gutters, and the guides with all gutters that they show."""
    slope = slope_of(pieces)
    gutters = gutters_of(boxes_of(pieces, slope))
    if not gutters:
        return pieces, guides
    parts = [part for piece in pieces for part in _cut(piece, gutters, slope)]
    # Rows that ran into each other hid where the gutter goes on.
    return parts, replace(guides, gutters=gutters_of(boxes_of(parts, slope)), slope=slope)


def _cut(piece: Piece, gutters: Sequence[Gutter], slope: float) -> Iterator[Piece]:
    """Yield the parts of a piece that runs over gutters, cut where it is not sure in them."""
    aside = slope * float(piece.y.mean())
    for gutter in gutters:
        if not len(crossing(boxes_of([piece], slope), gutter)):
            continue
        within = (piece.x + aside >= gutter.left) & (piece.x + aside <= gutter.right)
        unsure = np.flatnonzero(within & (piece.chance < SURELY_ONE))
        if len(unsure):
            yield piece.part(slice(0, int(unsure[0])))
            piece = piece.part(slice(int(unsure[-1]) + 1, None))
    yield piece


def _rows_about(text: Floats) -> Floats:
    """Count at each pixel the rows of text above and below it."""
    mask = np.pad(text > THRESHOLD, ((1, 0), (0, 0)))
    starts = (mask[1:] & ~mask[:-1]).astype(np.float32)
    view = 1, round(COLUMN_VIEW * MAP_PITCH)
    return np.asarray(cv2.boxFilter(starts, -1, view, normalize=False, borderType=cv2.BORDER_CONSTANT), np.float32)


def is_parted(way: Way, guides: Guides) -> bool:
    """Return whether there is a gap between columns on the way from one piece to another."""
    left, right, row = way
    row = min(max(row, 0), len(guides.gap) - 1)
    if guides.gap[row, left : right + 1].mean() > GAP_SHARE or guides.in_gutter(left, right, row):
        return True
    return right - left > 2 and _between_columns(left, right, row, guides.rows)  # noqa: PLR2004


def _between_columns(left: int, right: int, row: int, rows: Floats) -> bool:
    """Return whether rows on both sides stop at one gap: in some view that holds this row, nearly none crosses it."""
    beside = round(BESIDE * MAP_PITCH)
    sides = [max(left - beside, 0), min(right + beside, rows.shape[1] - 1)]
    views = np.round(row + VIEWS).astype(int)
    views = views[(views >= 0) & (views < len(rows))]
    free = rows[views, left + 1 : right].min(axis=1, initial=np.inf) <= FREE_ROWS
    return bool((free & (rows[views][:, sides].min(axis=1) >= COLUMN_ROWS)).any())
