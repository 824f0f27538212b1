"""Lines traced through the ink of a page, in blocks that an eye has named: how many there are, of what kind, and where.

Rows are straightened by the bend that makes their profile sharpest; the strongest rows are the lines. One definition
holds for every script: a line's centre is the row of its median ink, its edges leave out 2 % of it on either side.
"""

import itertools
from dataclasses import dataclass, replace

import cv2
import numpy as np

from bench.labelled import LabelledLine, Points
from training.lines.kinds import Kind
from training.shared import Bytes, Floats

PITCH = 32.0
"""Distance between lines, in pixels, at which a block is looked at."""
CONTRAST = 12
"""Grey levels by which ink is darker than what lies around it."""
STEEPEST = 3.0
"""A block's rows are bent by at most so many pitches from its middle to an edge."""
SHORT = 6.0
"""Blocks of fewer pitches along their lines are taken for level."""
CLOSEST = 0.55
"""Lines stand at least this part of the usual distance apart."""
LEAST_INK = 0.4
"""A line begins and ends where its columns hold so many pixels of ink."""
EDGE_INK = 0.02
"""The share of a line's ink that stands out above its upper edge, and as much below its lower one."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one kind, one below the other.

    Attributes:
        kind: what they are.
        count: how many the eye sees.
        box: left, top, right and bottom, in pixels of the turned page.
        column: the column of text that they are of.
        bends: how the rows may run: 1 for straight, 2 and 3 for curved.
        drop: by how many pixels the box's right side stands lower than its left one.
        sag: by how many its middle hangs lower than the straight line between both.
        contrast: grey levels by which its ink is darker than what lies around it: more where the reverse shows through.
    """

    kind: Kind
    count: int
    box: tuple[int, int, int, int]
    column: int = 1
    bends: int = 3
    drop: int = 0
    sag: int = 0
    contrast: int = CONTRAST

    def lower(self, x: Points) -> Points:
        """Return by how many pixels the box stands lower at places along it than at its left side."""
        across = (x - self.box[0]) / (self.box[2] - self.box[0])
        return self.drop * across + self.sag * 4 * across * (1 - across)


def proposed(grey: Bytes, block: Block, turn: int = 0) -> list[LabelledLine]:
    """Return the lines of a block, traced through its ink; points are those of the page as it is stored."""
    turned = np.rot90(grey, turn // 90)
    left, top, _, bottom = block.box
    scale = PITCH * block.count / (bottom - top)
    ink = ink_of(cut(np.ascontiguousarray(turned), block), scale, block.contrast)
    shift = bend_of(ink, block.bends)
    lines = []
    for above, below in bands(ink, shift, block.count):
        line = traced(ink, shift, above, below, block)
        if line is not None:
            points = line.points / scale + (left, top)
            points[:, 1] += block.lower(points[:, 0])
            lines.append(replace(line, points=turned_back(points, grey.shape, turn), height=line.height / scale))
    return lines


def cut(page: Bytes, block: Block) -> Bytes:
    """Return what is in a block's box, its columns moved so that it is a rectangle."""
    left, top, right, bottom = block.box
    rows, columns = np.indices((bottom - top, right - left), np.float32)
    columns += left
    rows += top + block.lower(columns[0].astype(np.float64)).astype(np.float32)
    return np.asarray(cv2.remap(page, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def ink_of(grey: Bytes, scale: float, contrast: int = CONTRAST) -> Floats:
    """Return how much of each pixel is ink, 0 to 1, at another scale."""
    size = max(8, round(grey.shape[1] * scale)), max(8, round(grey.shape[0] * scale))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR).astype(np.float32)
    around = cv2.blur(small, (61, 61), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(np.clip((around - small - contrast) / 48, 0, 1), np.float32)


def bend_of(ink: Floats, degree: int) -> Floats:
    """Return by how much each column's rows lie below those of the middle: the polynomial that makes rows sharpest."""
    across = np.linspace(-1, 1, ink.shape[1])
    best = np.zeros(degree if ink.shape[1] > SHORT * PITCH else 0)

    def sharpness(terms: Points) -> float:
        return float((_profile(ink, _curve(across, terms)) ** 2).sum())

    worth = sharpness(best)
    for step in PITCH * np.array([0.8, 0.4, 0.2, 0.1, 0.05]):
        better = True
        while better:
            better = False
            for term, sign in itertools.product(range(len(best)), (1, -1)):
                tried = best.copy()
                tried[term] += sign * step
                if abs(tried).max() <= STEEPEST * PITCH and (new := sharpness(tried)) > worth * 1.0005:
                    best, worth, better = tried, new, True
    return _curve(across, best)


def _curve(across: Points, terms: Points) -> Floats:
    return np.asarray(sum((term * across ** (power + 1) for power, term in enumerate(terms)), 0 * across), np.float32)


def _straightened(ink: Floats, shift: Floats) -> Floats:
    places = np.indices(ink.shape, np.float32)
    return np.asarray(cv2.remap(ink, places[1], places[0] + shift, cv2.INTER_LINEAR), np.float32)


def _profile(ink: Floats, shift: Floats) -> Floats:
    thin = ink[:, ::4]
    profile = _straightened(thin, shift[::4]).sum(axis=1)
    return np.asarray(cv2.GaussianBlur(profile[:, None], (1, 31), PITCH / 8)[:, 0], np.float32)


def bands(ink: Floats, shift: Floats, count: int) -> list[tuple[float, float]]:
    """Return the upper and lower bound of each line, in straightened rows: the `count` strongest rows well apart."""
    profile = _profile(ink, shift)
    rows = strongest(profile, count, round(CLOSEST * len(profile) / count))
    cuts = [upper + int(np.argmin(profile[upper:lower])) for upper, lower in itertools.pairwise(rows)]
    first, last = max(0, rows[0] - PITCH * 0.8), min(len(profile), rows[-1] + PITCH * 0.8)
    edges = [first, *cuts, last]
    return list(itertools.pairwise(edges))


def strongest(profile: Floats, count: int, apart: int) -> list[int]:
    """Return `count` rows, at least so far apart: peaks first, small ones hardly behind large ones."""
    crest = cv2.dilate(profile[:, None], np.ones((2 * (apart // 3) + 1, 1)))[:, 0]
    worth = np.sqrt(profile) * np.where(profile >= crest, 1, 0.3)
    best = np.full((count + 1, len(profile) + apart), -np.inf)
    best[0] = 0
    for number in range(1, count + 1):
        for row, value in enumerate(worth):
            at = row + apart
            best[number, at] = max(best[number, at - 1], best[number - 1, row] + value)
    rows, at = [], len(profile) + apart - 1
    for number in range(count, 0, -1):
        while best[number, at - 1] == best[number, at]:
            at -= 1
        rows.append(at - apart)
        at -= apart
    return rows[::-1]


def traced(ink: Floats, shift: Floats, above: float, below: float, block: Block) -> LabelledLine | None:
    """Return a line through the middle of a band's ink; None where it has none."""
    band = _straightened(ink, shift)[round(above) : round(below)]
    dense = cv2.erode(cv2.blur(band.sum(axis=0)[None], (5, 1)), np.ones((1, 3)))[0]
    columns = np.flatnonzero(dense > LEAST_INK)
    if not len(columns):
        return None
    first, last = int(columns[0]), int(columns[-1])
    rows = band.sum(axis=1).cumsum() / band.sum()
    height = float(np.searchsorted(rows, 1 - EDGE_INK) - np.searchsorted(rows, EDGE_INK))
    middle = _middle(band[:, first : last + 1], block.bends)
    across = np.linspace(first, last, len(middle))
    places = across.round().astype(int)
    points = np.column_stack([across, above + middle + shift[places]])
    return LabelledLine(block.column, block.kind, height, simplified(points))


def _middle(band: Floats, degree: int) -> Floats:
    """Return the row of median ink at places along a band, smoothed by a polynomial."""
    width = band.shape[1]
    windows = np.array_split(np.arange(width), max(1, round(width / (2 * PITCH))))
    at, rows, weights = [], [], []
    for window in windows:
        ink = band[:, window].sum(axis=1)
        if ink.sum() > 1:
            at.append(window.mean() / width)
            rows.append(float(np.searchsorted(ink.cumsum(), ink.sum() / 2)))
            weights.append(ink.sum() ** 0.5)
    fits = min(degree, max(0, (len(at) - 1) // 4))
    terms = np.polyfit(at, rows, fits, w=weights)
    return np.polyval(terms, np.linspace(0, 1, max(2, len(windows) + 1)))


def simplified(points: Points) -> Points:
    """Leave out points that lie within a thirtieth of the pitch of the line through the others."""
    return cv2.approxPolyDP(points.astype(np.float32)[:, None], PITCH / 30, closed=False)[:, 0].astype(np.float64)


def turned_back(points: Points, shape: tuple[int, ...], turn: int) -> Points:
    """Bring points of the page turned `turn` degrees to the left back to the page of that shape."""
    height, width = shape[:2]
    x, y = points.T
    back = {0: (x, y), 90: (width - 1 - y, x), 180: (width - 1 - x, height - 1 - y), 270: (y, height - 1 - x)}
    return np.column_stack(back[turn])
