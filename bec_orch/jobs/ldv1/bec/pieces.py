"""The network's maps -> pieces of lines: runs of core, each with its centre, its edges and what it is.

Coordinates are pixels of the maps, which are half the size of the network's input.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.bec.network_input import STRIDE, Bytes
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Floats

THRESHOLD = 0.5
FAINT, MARK_BEST = 0.3, 0.6
"""A mark of other text is looked at down to the one probability where its best is the other: small digits are two or
three columns wide at the threshold."""
MARK_WIDTH, MARK_HEIGHT = 3.0, 1.0
"""A mark is at most so many pitches wide and high."""
HIGHER = (0.7, 0.85, 0.95)
"""Thresholds by which a piece that holds two lines is cut."""
DOUBLED = 0.12
"""A piece holds two lines when this share of its columns has two runs, or is too thick..."""
THICK = 0.75
"""... by this many pitches."""
SHORTEST = 0.3
"""A piece shorter than this many pitches is dropped: a number of one digit is some 0.4 wide."""
MOST_PIECES = 3000
"""A page has fewer; of a map of noise only the largest are looked at."""
SMOOTH = 9
"""Columns over which a centre is smoothed: some letters."""
EDGES_SMOOTH = 25
"""... and a line's edges, whose distance from the centre hardly changes along it."""
UPRIGHT_CHANCE = 0.4
"""Other text with this probability runs down the page..."""
UPRIGHT_SPACE = 0.6
"""... where it stands one above the other with less than this many pitches between it: rows have more..."""
UPRIGHT_LENGTH, UPRIGHT_SHAPE = 1.5, 2.0
"""... over at least so many pitches, and so many times its width."""
OWN_KIND = 1.5
"""A run of another kind parts a piece when it is this many pitches long."""
PAPER_LEVELS = 14
"""Grey levels between the darkest and the brightest pixel near a letter: less is paper..."""
PAPER_SHARE = 0.25
"""... where the page's own letters have more than this makes as a share of theirs."""
LETTERS = 0.8
"""The contrast of letters is what this share of all columns does not exceed."""
PAPER_LENGTH = 2.5
"""Paper this many pitches long parts a piece."""
CONTRAST_REACH = 7
HALF_STEP = 0.25
"""An edge is measured from the middle of two pixels of the input, in pixels of the maps."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A run of a line, or a whole line, column by column.

    Attributes:
        x: its columns, rising.
        y: the row of its centre in each.
        top: the row of its upper edge.
        bottom: the row of its lower edge.
        chance: the probability of text, the best of each column.
        lean: from -1, other text, to 1, main text.
    """

    x: NDArray[np.int64]
    y: Floats
    top: Floats
    bottom: Floats
    chance: Floats
    lean: Floats

    def part(self, picked: NDArray[np.bool_] | slice) -> "Piece":
        """Return some of its columns."""
        return Piece(*(getattr(self, name)[picked] for name in self.__slots__))

    @property
    def length(self) -> int:
        """Number of its columns."""
        return len(self.x)

    @property
    def is_main(self) -> bool:
        """Whether it is main text."""
        return float(self.lean.mean()) >= 0


def find_pieces(maps: Floats, contrast: Bytes, gap: NDArray[np.bool_]) -> list[Piece]:
    """Find the pieces of level lines on a page.

    Args:
        maps: the network's maps (6, H, W), in the order of `OUTPUTS`.
        contrast: how far the grey levels around each pixel of the maps are apart (`contrast_of`).
        gap: where there is a gap between columns: no piece goes on across it.
    """
    text = np.where(gap | upright_script(maps), np.float32(0), maps[1] + maps[2])
    found = list(_of_map(text, (text > THRESHOLD) | _marks(text, maps[2] > maps[1]), maps, 0))
    levels = [contrast[np.round(piece.y).astype(int), piece.x] for piece in found]
    paper = _paper(levels)
    inked = [part for piece, own in zip(found, levels, strict=True) for part in _inked(piece, own >= paper)]
    parted = [part for piece in inked for part in _of_one_kind(piece)]
    return [piece for piece in parted if piece.length >= SHORTEST * MAP_PITCH]


def upright_script(maps: Floats) -> NDArray[np.bool_]:
    """Return where other text runs down the page: the syllables of a title in the margin, one above the other."""
    other = ((maps[2] > maps[1]) & (maps[1] + maps[2] > UPRIGHT_CHANCE)).view(np.uint8)
    between = np.ones((round(UPRIGHT_SPACE * MAP_PITCH), 1), np.uint8)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(other, cv2.MORPH_CLOSE, between))
    width, height = boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT]
    is_upright = (height >= UPRIGHT_LENGTH * MAP_PITCH) & (height > UPRIGHT_SHAPE * width)
    is_upright[0] = False
    return np.asarray(is_upright[labels])


def _marks(text: Floats, is_other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where small marks of other text stand that are sure somewhere, as far as they are faintly seen."""
    faint = text > FAINT
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(faint.view(np.uint8), connectivity=8)
    sure = np.zeros(count, bool)
    sure[labels[is_other & (text > MARK_BEST)]] = True
    width, height = boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT]
    small = (width <= MARK_WIDTH * MAP_PITCH) & (height <= MARK_HEIGHT * MAP_PITCH)
    return np.asarray((sure & small)[labels] & faint)


def _of_map(text: Floats, mask: NDArray[np.bool_], maps: Floats, depth: int) -> Iterator[Piece]:
    """Yield the pieces within a mask; those that hold two lines are cut by higher thresholds.

    `text` is 0 outside of what is looked at; `maps` covers the same pixels.
    """
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    order = np.argsort(-boxes[1:, cv2.CC_STAT_AREA], kind="stable")[:MOST_PIECES] + 1 if count > 1 else ()
    for label in order:
        x, y, width, height = (int(each) for each in boxes[label, :4])
        if width < SHORTEST * MAP_PITCH or height > width + MAP_PITCH:
            continue
        box = slice(y, y + height), slice(x, x + width)
        own = labels[box] == label
        part = np.where(own, text[box], np.float32(0))
        if depth < len(HIGHER) and _holds_two(own):
            inner: Iterator[Piece] = _of_map(part, part > HIGHER[depth], maps[:, *box], depth + 1)
        else:
            inner = iter((_piece(part, maps[:, *box]),))
        for piece in inner:
            offset = np.float32(y)
            yield replace(
                piece, x=piece.x + x, y=piece.y + offset, top=piece.top + offset, bottom=piece.bottom + offset
            )


def _holds_two(own: NDArray[np.bool_]) -> bool:
    """Return whether a region holds two lines that touch."""
    starts = own.copy()
    starts[1:] &= ~own[:-1]
    doubled = (starts.sum(axis=0) > 1) | (own.sum(axis=0) > THICK * MAP_PITCH)
    return bool(doubled.mean() > DOUBLED)


def _piece(part: Floats, maps: Floats) -> Piece:
    weight = part.sum(axis=0)
    x = np.flatnonzero(weight > 0)
    part, maps, weight = part[:, x], maps[:, :, x], weight[x]
    rows = np.arange(len(part), dtype=np.float32)[:, None]

    def mean(of: Floats) -> Floats:
        return np.asarray((part * of).sum(axis=0) / weight, np.float32)

    y = _smooth(mean(np.broadcast_to(rows, part.shape)), SMOOTH)
    above = _smooth(mean(maps[3] / STRIDE - rows) + y, EDGES_SMOOTH)
    below = _smooth(mean(maps[4] / STRIDE + rows) - y, EDGES_SMOOTH)
    lean = mean(maps[1] - maps[2])
    return Piece(x, y, y - above + HALF_STEP, y + below + HALF_STEP, part.max(axis=0), lean)


def _smooth(values: Floats, reach: int) -> Floats:
    """Return the running mean over some columns, fewer in a short piece."""
    reach = min(reach, len(values) - 1 + len(values) % 2)
    smooth = cv2.blur(values[None], (max(reach, 1), 1), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth[0], np.float32)


def contrast_of(grey: Bytes, shape: tuple[int, ...]) -> Bytes:
    """Return for each pixel of maps of a (height, width) how far the grey levels around it are apart.

    Args:
        grey: the picture that the maps are of, of any size.
        shape: their size.
    """
    small = cv2.resize(grey, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    near = cv2.getStructuringElement(cv2.MORPH_RECT, (CONTRAST_REACH, CONTRAST_REACH))
    return np.asarray(cv2.morphologyEx(small, cv2.MORPH_GRADIENT, near), np.uint8)


def _paper(levels: list[Bytes]) -> float:
    """Return the contrast below which there is paper and no letter."""
    if not levels:
        return 0.0
    return min(float(PAPER_LEVELS), PAPER_SHARE * float(np.quantile(np.concatenate(levels), LETTERS)))


def _inked(piece: Piece, inked: NDArray[np.bool_]) -> Iterator[Piece]:
    """Yield the parts of a piece that have ink, without the blank paper that it runs on over."""
    places = np.flatnonzero(inked)
    if len(places) == piece.length:
        yield piece
        return
    for part in _split(places, PAPER_LENGTH * MAP_PITCH):
        yield piece.part(slice(int(part[0]), int(part[-1]) + 1))


def _split(places: NDArray[np.int64], gap: float) -> list[NDArray[np.int64]]:
    """Split rising numbers where neighbours are further apart than `gap`."""
    if not len(places):
        return []
    return np.split(places, np.flatnonzero(np.diff(places) > gap) + 1)


def _of_one_kind(piece: Piece) -> Iterator[Piece]:
    """Yield the runs of main and of other text: a title in the margin may touch the line beside it."""
    least = round(OWN_KIND * MAP_PITCH)
    main = _smooth(piece.lean, least) >= 0
    changes = np.flatnonzero(np.diff(main)) + 1
    runs = np.diff(np.concatenate([[0], changes, [piece.length]]))
    if not len(changes) or runs.min() < least:
        yield piece
        return
    edges = [0, *changes.tolist(), piece.length]
    for start, end in pairwise(edges):
        yield piece.part(slice(start, end))
