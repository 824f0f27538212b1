"""A plain tracer, to judge the network by: pieces of cores above a threshold, joined along their slope.

It returns centre lines and no polygons. Coordinates are pixels of the maps, which are half the input's size.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from training.kinds import Floats
from training.network_input import PITCH
from training.targets import STRIDE

MAP_PITCH = PITCH / STRIDE
THRESHOLD = 0.5
HIGHER = (0.7, 0.85, 0.95)
"""Thresholds by which a piece that holds two lines is cut."""
DOUBLED = 0.12
"""A piece holds two lines when this share of its columns has two runs."""
SHORTEST = 0.3
"""A piece shorter than this many pitches is dropped: a number of one digit is some 0.4 wide."""
SHORTEST_MAIN = 0.8
"""Main lines are longer than this."""
LEAST_CHANCE, LEAST_CHANCE_MAIN = 0.6, 0.78
"""A line whose probability, the mean of its columns' best, is lower is dropped. A number is less sure than a line."""
MEETING = 0.42
"""Pieces are joined when the one's slope meets the other within this many pitches..."""
WIDEST_GAP = 14.0
"""... over a gap of at most this many."""
OVERLAP = 1.0
LEARN = 4.0
"""A piece's slope is taken over this many pitches at its end."""
LARGEST_SLOPE = 0.12
SHORTEST_GAP = 4.0
"""A gap between columns is so many pitches long; what is shorter is a string hole or a picture."""
COLUMN_VIEW = 12.0
"""A gap between columns is looked for within this many pitches..."""
COLUMN_ROWS = 8
"""... in which at least this many rows stand on both sides of it..."""
FREE_ROWS = 1
"""... and at most this many reach into it."""
BESIDE = 2.0
"""Rows are counted this many pitches beside the gap."""


@dataclass(frozen=True, slots=True)
class Core:
    """A piece of a line, or a line: its centre at rising columns."""

    x: NDArray[np.int64]
    y: Floats
    chance: float

    @property
    def length(self) -> float:
        """Number of columns that it fills."""
        return float(len(self.x))

    @property
    def middle(self) -> float:
        """Its mean row."""
        return float(self.y.mean())

    def ahead(self, *, right: bool) -> tuple[float, float, float]:
        """Return one end's column and row, and the slope there."""
        reach = int(LEARN * MAP_PITCH)
        x, y = (self.x[-reach:], self.y[-reach:]) if right else (self.x[:reach], self.y[:reach])
        slope = float(np.polyfit(x, y, 1)[0]) if len(x) > MAP_PITCH else 0.0
        slope *= min(1.0, len(x) / reach)
        row = float(y[-3:].mean() if right else y[:3].mean())
        return float(x[-1] if right else x[0]), row, float(np.clip(slope, -LARGEST_SLOPE, LARGEST_SLOPE))


@dataclass(frozen=True, slots=True)
class Guides:
    """What shows that two pieces are two lines.

    Attributes:
        gap: where there is a gap between columns.
        rows: number of rows of text in a column of pixels within half of `COLUMN_VIEW` above and below.
    """

    gap: NDArray[np.bool_]
    rows: Floats


def traced(maps: Floats, *, main: bool) -> list[Core]:
    """Trace the lines of main or of other text, from above to below.

    Whether there is text, and of which kind, are two questions: text that may be either is still text.
    """
    text, more_main = maps[1] + maps[2], maps[1] - maps[2]
    pieces = [piece for piece in _pieces(text, THRESHOLD, 0) if piece.length >= SHORTEST * MAP_PITCH]
    pieces = [piece for piece in pieces if (_along(piece, more_main) >= 0) == main]
    shortest, least = (SHORTEST_MAIN, LEAST_CHANCE_MAIN) if main else (SHORTEST, LEAST_CHANCE)
    guides = Guides(_long(maps[5] > THRESHOLD), _rows_about(text))
    lines = [line for line in _joined(pieces, guides) if line.length >= shortest * MAP_PITCH]
    lines = [line for line in lines if line.chance >= least]
    return sorted(lines, key=lambda line: line.middle)


def _along(piece: Core, of: Floats) -> float:
    """Return a map's mean along a piece."""
    return float(of[np.round(piece.y).astype(int), piece.x].mean())


def _pieces(chances: Floats, threshold: float, depth: int) -> list[Core]:
    mask = (chances > threshold).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    for label in range(1, count):
        x, y, width, height = (int(each) for each in boxes[label, :4])
        if width < SHORTEST * MAP_PITCH:
            continue
        own = labels[y : y + height, x : x + width] == label
        part = np.where(own, chances[y : y + height, x : x + width], 0).astype(np.float32)
        found += [Core(core.x + x, core.y + np.float32(y), core.chance) for core in _of_region(own, part, depth)]
    return found


def _of_region(own: NDArray[np.bool_], part: Floats, depth: int) -> list[Core]:
    runs = (np.diff(np.pad(own, ((1, 0), (0, 0))).astype(np.int8), axis=0) == 1).sum(axis=0)
    tall = own.sum(axis=0) > 0.75 * MAP_PITCH
    if depth < len(HIGHER) and ((runs > 1) | tall).mean() > DOUBLED:
        return _pieces(part, HIGHER[depth], depth + 1)
    weight = part.sum(axis=0)
    rows = np.arange(len(own), dtype=np.float32)[:, None]
    x = np.flatnonzero(weight > 0)
    y = ((part * rows).sum(axis=0)[x] / weight[x]).astype(np.float32)
    return [Core(x.astype(np.int64), _smooth(y), float(part.max(axis=0)[x].mean()))] if len(x) else []


def _smooth(y: Floats) -> Floats:
    reach = min(9, len(y))
    padded = np.pad(y, reach // 2, mode="edge")
    return np.convolve(padded, np.full(reach, 1 / reach), mode="valid")[: len(y)].astype(np.float32)


def _long(gap: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what is at least `SHORTEST_GAP` long from above to below."""
    lean, length = np.ones((1, 5), np.uint8), np.ones((round(SHORTEST_GAP * MAP_PITCH), 1), np.uint8)
    wide = cv2.dilate(gap.astype(np.uint8), lean)
    return np.asarray(cv2.morphologyEx(wide, cv2.MORPH_OPEN, length) > 0) & gap


def _rows_about(text: Floats) -> Floats:
    """Count at each pixel the rows of text above and below it."""
    mask = np.pad(text > THRESHOLD, ((1, 0), (0, 0)))
    starts = (mask[1:] & ~mask[:-1]).astype(np.float32)
    view = 1, round(COLUMN_VIEW * MAP_PITCH)
    return np.asarray(cv2.boxFilter(starts, -1, view, normalize=False, borderType=cv2.BORDER_CONSTANT), np.float32)


def _joined(pieces: list[Core], guides: Guides) -> list[Core]:
    """Join each end to the nearest start that its slope meets; the nearest pairs first."""
    ends = [piece.ahead(right=True) for piece in pieces]
    starts = [piece.ahead(right=False) for piece in pieces]
    costs = []
    for i, end in enumerate(ends):
        for j, start in enumerate(starts):
            cost = _cost(end, start, guides) if i != j and pieces[i].x[0] < pieces[j].x[0] else None
            if cost is not None:
                costs.append((cost, i, j))
    after, before = {}, {}
    for _, i, j in sorted(costs):
        if i not in after and j not in before:
            after[i], before[j] = j, i
    return [_chain(pieces, after, first) for first in range(len(pieces)) if first not in before]


def _cost(end: tuple[float, float, float], start: tuple[float, float, float], guides: Guides) -> float | None:
    """Return how far two ends are from being one line; None where they are none."""
    away = start[0] - end[0]
    if not -OVERLAP * MAP_PITCH <= away <= WIDEST_GAP * MAP_PITCH:
        return None
    slope = (end[2] + start[2]) / 2
    off = abs(start[1] - end[1] - slope * away)
    if off > MEETING * MAP_PITCH:
        return None
    left, right = int(min(end[0], start[0])), int(max(end[0], start[0])) + 1
    row = int(np.clip((end[1] + start[1]) / 2, 0, len(guides.gap) - 1))
    if guides.gap[row, left:right].mean() > 0.4:
        return None
    if away > 2 and _between_columns(left, right, row, guides.rows):
        return None
    return max(away, 0.0) + 4 * off


def _between_columns(left: int, right: int, row: int, rows: Floats) -> bool:
    """Return whether rows on both sides stop at one gap: in some view that holds this row, nearly none crosses it."""
    half, beside = COLUMN_VIEW * MAP_PITCH / 2, round(BESIDE * MAP_PITCH)
    sides = [max(left - beside, 0), min(right + beside, rows.shape[1] - 1)]
    views = np.linspace(row - 0.9 * half, row + 0.9 * half, 5).round().astype(int)
    return any(
        bool(rows[middle, left + 1 : right].min(initial=np.inf) <= FREE_ROWS)
        and bool(rows[middle, sides].min() >= COLUMN_ROWS)
        for middle in views[(views >= 0) & (views < len(rows))]
    )


def _chain(pieces: list[Core], after: dict[int, int], first: int) -> Core:
    chain = [first]
    while chain[-1] in after:
        chain.append(after[chain[-1]])
    parts = [pieces[index] for index in chain]
    lengths = [part.length for part in parts]
    chance = float(np.average([part.chance for part in parts], weights=lengths))
    return Core(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]), chance)


def pitch_of(lines: list[Core]) -> float | None:
    """Return the usual distance between lines one above the other; None where there are none such."""
    steps = []
    for upper, lower in pairwise(lines):
        together = min(upper.x[-1], lower.x[-1]) - max(upper.x[0], lower.x[0])
        if together > 2 * MAP_PITCH:
            steps.append(lower.middle - upper.middle)
    return float(np.median(steps)) if len(steps) > 1 else None
