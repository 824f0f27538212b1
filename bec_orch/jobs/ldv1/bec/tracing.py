"""Pieces of lines -> traced lines: each piece looks along its own slope for the next one to its right.

Pieces are joined across spaces, string holes and pictures, never across a gap between columns: where the network marks
one, or where rows on both sides stop at one place.

Coordinates are pixels of the network's maps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.bec.network_input import Bytes, Floats
from bec_orch.jobs.ldv1.bec.pieces import MAP_PITCH, THRESHOLD, Piece, contrast_of, find_pieces
from bec_orch.jobs.ldv1.page.layout import Boxes, Gutter, crossing, gutters_of
from bec_orch.jobs.ldv1.page.segment import weighted_quantile
from bec_orch.jobs.ldv1.page.skew import own_slope

SHORTEST_MAIN = 0.8
"""Main lines are longer than this many pitches."""
LEAST_CHANCE, LEAST_CHANCE_MAIN = 0.6, 0.78
"""A line whose probability, the mean of its columns' best, is lower is dropped. A number is less sure than a line."""
LETTERS = 0.75
"""The contrast of a page's letters is what this share of its main text does not exceed."""
SHADOW = 0.3
"""A line whose contrast is a smaller share of that of the page's letters shines through from the other side."""
SURE_ON_PAPER, PAPER_CONTRAST = 0.9, 24
"""A line that is less sure, and has less contrast, is the paper's texture."""
MEETING = 0.42
"""Pieces are joined when the one's slope meets the other within this many pitches..."""
WIDEST_GAP = 14.0
"""... over a gap of at most this many."""
OVERLAP = 1.0
LEARN = 4.0
"""A piece's slope is taken over this many pitches at its end."""
LARGEST_SLOPE = 0.12
OFF_COST = 4.0
"""Being off the slope by a pixel costs as much as a gap of this many."""
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
SURELY_ONE = 0.97
"""Lines of two columns ran into each other where the probability in the gutter between them is lower than this."""
CROSSING = 0.5
"""A gutter reaches this many pitches above and below the rows that show it."""
LONG = 4.0
"""Pieces longer than this many pitches show the skew."""
CORE_SHARE = 1 / 3
"""Thickness that lines are taken to have where it decides about columns and curves, as a share of their pitch."""
END_SURE, END_MOST, END_SHARE = 0.95, 1.0, 0.05
"""A line's ends are cut back to where it is as sure as this, by at most so many pitches and this share of its length:
cores reach into a frame."""
BLEED = 0.15
"""A line is then drawn this many pitches longer at both ends."""
THINNEST = 0.3
"""A line is drawn at least this many pitches high."""


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A line.

    Attributes:
        x: its columns, rising, without a gap.
        y: the row of its centre in each.
        top: the row of its upper edge.
        bottom: the row of its lower edge.
        chance: the mean probability that it is text.
        is_main: it is main text.
        contrast: how far its letters' grey levels and the paper's are apart.
    """

    x: Floats
    y: Floats
    top: Floats
    bottom: Floats
    chance: float
    is_main: bool
    contrast: float

    @property
    def length(self) -> float:
        """Its length along x."""
        return float(self.x[-1] - self.x[0])

    @property
    def middle(self) -> float:
        """Its mean row."""
        return float(self.y.mean())

    @property
    def height(self) -> float:
        """Its usual height."""
        return float(np.median(self.bottom - self.top))


@dataclass(frozen=True, slots=True, eq=False)
class _Guides:
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


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """One end of each piece: its column and row, and the slope there."""

    x: Floats
    y: Floats
    slope: Floats


def trace(maps: Floats, grey: Bytes) -> list[Traced]:
    """Trace the level lines of a page, from above to below.

    Whether there is text, and of which kind, are two questions: text that may be either is still text.

    Args:
        maps: the network's maps (6, H, W), in the order of `OUTPUTS`.
        grey: the picture that they are of.
    """
    guides = _guides(maps)
    contrast = contrast_of(grey, maps.shape[1:])
    found = find_pieces(maps, contrast, guides.gap)
    if not found:
        return []
    slope = slope_of(found)
    gutters = gutters_of(boxes_of(found, slope))
    if gutters:
        found = [part for piece in found for part in _cut(piece, gutters, slope)]
        # Rows that ran into each other hid where the gutter goes on.
        guides = replace(guides, gutters=gutters_of(boxes_of(found, slope)), slope=slope)
    lines = []
    for main, shortest, least in ((True, SHORTEST_MAIN, LEAST_CHANCE_MAIN), (False, 0.0, LEAST_CHANCE)):
        chains = _joined([piece for piece in found if piece.is_main == main], guides)
        traced = [
            _line(chain, contrast) for chain in chains if sum(piece.length for piece in chain) >= shortest * MAP_PITCH
        ]
        lines += [line for line in traced if line.chance >= least]
    return sorted(_without_shadows(lines), key=lambda line: line.middle)


def _without_shadows(lines: Sequence[Traced]) -> list[Traced]:
    """Return the lines without those that only shine through the paper, or are its own texture."""
    if not lines:
        return []
    main = [line for line in lines if line.is_main] or lines
    letters = weighted_quantile([line.contrast for line in main], [line.length + 1 for line in main], LETTERS)
    return [
        line
        for line in lines
        if line.contrast >= SHADOW * letters and (line.chance >= SURE_ON_PAPER or line.contrast >= PAPER_CONTRAST)
    ]


def _guides(maps: Floats) -> _Guides:
    text = maps[1] + maps[2]
    gap = maps[-1] > THRESHOLD
    return _Guides(_long(gap, text) if gap.any() else gap, _rows_about(text))


def _long(gap: NDArray[np.bool_], text: Floats) -> NDArray[np.bool_]:
    """Return the gaps that are long enough, carried on over rows that hide them because they ran into each other."""
    lean, bridge, length = (np.ones(size, np.uint8) for size in ((1, 5), (_px(BRIDGE), 1), (_px(SHORTEST_GAP), 1)))
    wide = np.pad(cv2.dilate(gap.astype(np.uint8), lean), ((len(bridge), len(bridge)), (0, 0)))  # edges end gaps
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, bridge)[len(bridge) : -len(bridge)]
    return np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, length) > 0) & (gap | (text < SURELY_ONE))


def _px(pitches: float) -> int:
    return round(pitches * MAP_PITCH)


def slope_of(pieces: Sequence[Piece | Traced]) -> float:
    """Return the slope of the page's lines: the median over long pieces, weighted by length."""
    long = [piece for piece in pieces if piece.length > LONG * MAP_PITCH]
    slopes = [own_slope(piece.x.astype(np.float64), piece.y.astype(np.float64)) for piece in long]
    return weighted_quantile(slopes, [float(piece.length) for piece in long], 0.5) if long else 0.0


def boxes_of(pieces: Sequence[Piece | Traced], slope: float) -> Boxes:
    """Return the boxes of pieces or lines of main text, the skew removed; see `level_boxes`."""
    main = [piece for piece in pieces if piece.is_main] or pieces
    left, right, y = (
        np.array([float(value) for value in values])
        for values in zip(*((piece.x[0], piece.x[-1], piece.y.mean()) for piece in main), strict=True)
    )
    return Boxes(left + slope * y, right + slope * y, y - slope * (left + right) / 2, CORE_SHARE * MAP_PITCH)


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


def _joined(pieces: Sequence[Piece], guides: _Guides) -> list[list[Piece]]:
    """Join each end to the nearest start that its slope meets; the nearest pairs first."""
    after: dict[int, int] = {}
    followed: set[int] = set()
    for end, start, way in _pairs(pieces):
        if end not in after and start not in followed and not _is_parted(way, guides):
            after[end] = start
            followed.add(start)
    return [_chain(pieces, after, first) for first in range(len(pieces)) if first not in followed]


def _pairs(pieces: Sequence[Piece]) -> list[tuple[int, int, tuple[int, int, int]]]:
    """Return which ends and starts may meet, the likeliest first, and the way between them: left, right and row."""
    if len(pieces) < 2:  # noqa: PLR2004
        return []
    ends, starts = _ends(pieces, right=True), _ends(pieces, right=False)
    away = starts.x[None, :] - ends.x[:, None]
    possible = (
        (away >= -OVERLAP * MAP_PITCH) & (away <= WIDEST_GAP * MAP_PITCH) & (starts.x[None, :] > starts.x[:, None])
    )
    one, other = np.nonzero(possible)
    gap = away[one, other]
    off = np.abs(starts.y[other] - ends.y[one] - (ends.slope[one] + starts.slope[other]) / 2 * gap)
    good = off <= MEETING * MAP_PITCH
    one, other, gap, off = one[good], other[good], gap[good], off[good]
    order = np.argsort(np.maximum(gap, 0) + OFF_COST * off, kind="stable")
    left, right = np.minimum(ends.x[one], starts.x[other]), np.maximum(ends.x[one], starts.x[other])
    rows = (ends.y[one] + starts.y[other]) / 2
    return [(int(one[at]), int(other[at]), (int(left[at]), int(right[at]), int(rows[at]))) for at in order]


def _ends(pieces: Sequence[Piece], *, right: bool) -> _Ends:
    reach = int(LEARN * MAP_PITCH)
    found = np.zeros((3, len(pieces)), np.float32)
    for number, piece in enumerate(pieces):
        x, y = (piece.x[-reach:], piece.y[-reach:]) if right else (piece.x[:reach], piece.y[:reach])
        around = x - x.mean()
        spread = float(around @ around)
        slope = float(around @ y) / spread if len(x) > MAP_PITCH else 0.0
        slope *= min(1.0, len(x) / reach)
        row = float((y[-3:] if right else y[:3]).mean())
        found[:, number] = x[-1] if right else x[0], row, np.clip(slope, -LARGEST_SLOPE, LARGEST_SLOPE)
    return _Ends(*found)


def _is_parted(way: tuple[int, int, int], guides: _Guides) -> bool:
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


def _chain(pieces: Sequence[Piece], after: dict[int, int], first: int) -> list[Piece]:
    chain = [first]
    while chain[-1] in after:
        chain.append(after[chain[-1]])
    return [pieces[index] for index in chain]


def _trimmed(piece: Piece, *, right: bool) -> Piece:
    """Return a piece without the columns at one end that are not sure: a line ends before the frame beside it."""
    most = min(round(END_MOST * MAP_PITCH), round(END_SHARE * piece.length))
    chance = piece.chance[::-1] if right else piece.chance
    unsure = int(np.argmax(np.append(chance[:most], 1.0) >= END_SURE))
    return piece.part(slice(0, piece.length - unsure) if right else slice(unsure, None))


def _line(chain: Sequence[Piece], contrast: Bytes) -> Traced:
    """Return pieces as one line; in gaps it runs straight from one to the next."""
    chain = [*chain[:-1], _trimmed(chain[-1], right=True)]
    chain = [_trimmed(chain[0], right=False), *chain[1:]]
    columns = np.concatenate([piece.x for piece in chain])
    order = np.argsort(columns, kind="stable")
    known = columns[order].astype(np.float32)
    x = np.arange(known[0], known[-1] + 1, dtype=np.float32)
    y, top, bottom = (
        np.interp(x, known, np.concatenate([getattr(piece, name) for piece in chain])[order]).astype(np.float32)
        for name in ("y", "top", "bottom")
    )
    sure = float(np.concatenate([piece.chance for piece in chain]).mean())
    half = np.float32(THINNEST * MAP_PITCH / 2)
    level = float(np.median(np.concatenate([contrast[np.round(piece.y).astype(int), piece.x] for piece in chain])))
    return Traced(x, y, np.minimum(top, y - half), np.maximum(bottom, y + half), sure, chain[0].is_main, level)
