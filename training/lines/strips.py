"""Strips: pictures of one line's ink, brought to one size, with the centre and the extent of the script in them.

Whatever a line comes from, it is measured by its ink alone: the rows with the middle 80 % of the ink become `BODY`
pixels high, the row of median ink is the line's centre, and its 2nd and 98th percentile are its top and bottom.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from training.lines.kinds import BODY
from training.shared import Bytes, Floats

WINDOW = 40
"""The centre is measured in windows of this many pixels, and a parabola laid through them."""
FAR_ROWS = 0.35
"""Windows whose median is further than this share of the body from the first fit do not count in the second."""
BLANK = 44
"""A run of blank columns wider than this separates two pieces of a line."""
LARGEST_OFF = 5.0


@dataclass(frozen=True, slots=True)
class Strip:
    """A line's ink.

    Attributes:
        ink: 0 is paper, 255 is ink.
        centre: the row of its centre at each column.
        above: how far the script reaches above the centre.
        below: how far it reaches below it.
        body: height of the rows with the middle 80 % of its ink.
    """

    ink: Bytes
    centre: Floats
    above: float
    below: float
    body: float = BODY

    @property
    def width(self) -> int:
        """Width of the picture."""
        return int(self.ink.shape[1])

    def cut(self, left: int, right: int) -> "Strip":
        """The columns from `left` to `right`."""
        return Strip(self.ink[:, left:right], self.centre[left:right], self.above, self.below, self.body)

    def resized(self, factor: float) -> "Strip":
        """The strip, `factor` times as large."""
        height, width = self.ink.shape
        size = max(1, round(width * factor)), max(1, round(height * factor))
        ink = _scaled(self.ink, size, shrinks=factor < 1)
        at = np.linspace(0, width - 1, size[0])
        centre = np.interp(at, np.arange(width), self.centre).astype(np.float32) * np.float32(size[1] / height)
        return Strip(ink, centre, self.above * factor, self.below * factor, self.body * factor)

    def spans(self, blank: float = BLANK) -> list[tuple[int, int]]:
        """Return the runs of inked columns that no more than `blank` blank ones part."""
        inked = np.flatnonzero((self.ink > 96).any(axis=0))
        if not len(inked):
            return []
        breaks = np.flatnonzero(np.diff(inked) > blank)
        starts, ends = inked[np.r_[0, breaks + 1]], inked[np.r_[breaks, len(inked) - 1]] + 1
        return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def measured(ink: Bytes, *, straight: bool) -> Strip | None:
    """Bring a picture of one line's ink (255 is ink) to the common size; None where it holds no usable line.

    Args:
        ink: the picture.
        straight: the line was drawn level; otherwise its centre is followed along the picture.
    """
    rows = _percentiles(ink, (0.1, 0.9))
    if rows is None or rows[1] - rows[0] < 4:
        return None
    factor = BODY / (rows[1] - rows[0])
    height, width = ink.shape
    size = max(8, round(width * factor)), max(8, round(height * factor))
    ink = _scaled(ink, size, shrinks=factor < 1)
    rows = _percentiles(ink, (0.02, 0.5, 0.98))
    if rows is None:
        return None
    top, middle, bottom = rows
    centre = np.full(size[0], middle, np.float32) if straight else _followed(ink, middle)
    if centre is None:
        return None
    return Strip(ink, centre, middle - top, bottom - middle)


def joined(strips: list[Strip], space: int) -> Strip:
    """Set strips beside each other on one centre, `space` pixels apart."""
    up = round(max(float(strip.centre.max()) for strip in strips)) + 1
    down = round(max(strip.ink.shape[0] - float(strip.centre.min()) for strip in strips)) + 1
    width = sum(strip.width for strip in strips) + space * (len(strips) - 1)
    ink, centre = np.zeros((up + down, width), np.uint8), np.full(width, up, np.float32)
    x = 0
    for strip in strips:
        y = up - round(float(np.median(strip.centre)))
        height = min(strip.ink.shape[0], up + down - y)
        ink[y : y + height, x : x + strip.width] = strip.ink[:height]
        centre[x : x + strip.width] = strip.centre + y
        x += strip.width + space
    above, below, body = (
        float(np.mean([getattr(strip, name) for strip in strips])) for name in ("above", "below", "body")
    )
    return Strip(ink, centre, above, below, body)


def _scaled(ink: Bytes, size: tuple[int, int], *, shrinks: bool) -> Bytes:
    return np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def _percentiles(ink: Bytes, shares: tuple[float, ...]) -> list[float] | None:
    """Return the rows above which these shares of the ink lie."""
    profile = ink.astype(np.float64).sum(axis=1).cumsum()
    if profile[-1] <= 0:
        return None
    return [float(np.interp(share * profile[-1], profile, np.arange(1, len(profile) + 1))) for share in shares]


def _followed(ink: Bytes, middle: float) -> Floats | None:
    """Lay a parabola through the medians of the windows; None where they do not lie on one."""
    windows = ink.shape[1] // WINDOW
    if windows < 3:
        return np.full(ink.shape[1], middle, np.float32)
    cut = ink[:, : windows * WINDOW].astype(np.float64).reshape(len(ink), windows, WINDOW).sum(axis=2)
    total = cut.sum(axis=0)
    filled = total > 0.3 * np.median(total)
    medians = np.argmax(cut.cumsum(axis=0) >= total / 2, axis=0)[filled]
    x = (np.flatnonzero(filled) + 0.5) * WINDOW
    if len(x) < 3:
        return np.full(ink.shape[1], middle, np.float32)
    first = np.polyval(np.polyfit(x, medians, 1), x)
    near = np.abs(medians - first) < FAR_ROWS * BODY
    if near.mean() < 0.7:
        return None
    curve = np.polyfit(x[near], medians[near], 2 if near.sum() > 8 else 1)
    centre = np.polyval(curve, np.arange(ink.shape[1]))
    if np.ptp(centre) > LARGEST_OFF:
        return None
    return np.asarray(centre, np.float32)
