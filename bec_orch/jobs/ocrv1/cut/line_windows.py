"""Cuts text lines out of a page as windows: level and straight, with what their neighbours leave in them.

A network that has seen neighbours in training tells them from its line. To wipe them would take vowels away that touch
the line above. The window is higher than the line, so that the recogniser can look at more or less of it.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1.cut.line_images import LineImage, has_contrast, shrunk
from bec_orch.jobs.ocrv1.cut.straighten import Straightening, standing_upright, straightening
from bec_orch.jobs.shared.geometry import bounding_box

Grey = NDArray[np.uint8]
Extent = NDArray[np.float64]
"""Of a line in the straightened page: left, top, right, bottom."""

BEYOND = 0.6
"""The window reaches beyond the line by this share of the line's height, above and below..."""
SIDE = 0.25
"""... and beside it: a letter's width."""
LOWEST, HIGHEST = 0.8, 1.3
"""A line's height in terms of the page's usual one: what lies outside is a line of which a part was found, or two."""


def cut_windows(page: Grey, lines: PageLines, most_high: int) -> Iterator[LineImage]:
    """Cut the window of every line of a page, in reading order.

    Args:
        page: the whole page as stored, grey (H, W).
        lines: its lines.
        most_high: a higher window is shrunk to this height, pixels.
    """
    page, standing = standing_upright(page, lines)
    straight = straightening(standing)
    numbers = sorted(set(lines.line_ids))
    own = [[at for at, line in enumerate(lines.line_ids) if line == number] for number in numbers]
    extents = [_extent([standing.contours[at] for at in places], straight) for places in own]
    usual = float(np.median([bottom - top + 1 for _, top, _, bottom in extents])) if extents else 0.0
    for places, extent in zip(own, extents, strict=True):
        box = bounding_box(np.concatenate([lines.contours[at] for at in places]))
        pixels = _window(page, extent, usual, straight)
        yield LineImage(box, None if pixels is None else shrunk(pixels, most_high))


def _extent(contours: list[NDArray[np.int32]], straight: Straightening) -> Extent:
    points = straight.forward(np.concatenate(contours).astype(np.float64))
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _window(page: Grey, extent: Extent, usual: float, straight: Straightening) -> Grey | None:
    """Cut one window; None where the line itself has no ink."""
    left, top, right, bottom = extent.tolist()
    height = float(np.clip(bottom - top + 1, LOWEST * usual, HIGHEST * usual))
    rows, side = max(1, round((1 + 2 * BEYOND) * height)), SIDE * height
    first, row = int(np.floor(left - side)), round((top + bottom) / 2 - (rows - 1) / 2)
    picture = straight.cut(page, first, row, (int(np.ceil(right + side)) - first + 1, rows))
    line = line_of(picture)
    threshold, _ = cv2.threshold(line, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    inked = bool((line <= threshold).any())
    return picture if inked and has_contrast(line, int(threshold)) else None


def line_of(window: Grey, height: float = 1.0) -> Grey:
    """Return the rows of a window that hold its line.

    Args:
        window: from `cut_windows`.
        height: how many, as a share of the line's own.
    """
    rows = len(window)
    whole = rows / (1 + 2 * BEYOND)
    first, last = round((rows - height * whole) / 2), round((rows + height * whole) / 2)
    return window[max(0, first) : max(1, min(rows, last))]
