"""Cuts text lines out of a page: level, straight, alone on their paper.

A line is a few contours in the stored bitmap. Its picture is cut around them in the straightened page (the spline
first, then the rotation). Ink that lies mostly outside of the contours belongs to neighbours and gets the paper's
colour; letters that reach over a contour's edge stay whole. Then the picture is trimmed to the ink, with a narrow rim:
engines scale a line to their own height, so every empty row makes the letters smaller. Only the part of the page that a
line needs is transformed, never the page.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1.cut.straighten import Straightening, standing_upright, straightening
from bec_orch.jobs.shared.geometry import Points, bounding_box

Grey = NDArray[np.uint8]
Box = tuple[int, int, int, int]

MARGIN = 0.4
"""The picture is cut larger than the contours by this share of the line's height, on all sides: vowels and stacks may
reach that far; ink that reaches farther is joined to a neighbour's."""
OWN_SHARE = 0.5
"""A piece of ink is the line's own when this share of it lies inside the contours."""
RIM = 0.05
"""Paper above and below the ink, as a share of its height..."""
SIDE_RIM = 0.1
"""... and beside it. The shares at which Tesseract reads the project's pages best, on a broad optimum; docs/ocr.md."""
LEAST_CONTRAST = 24
"""Grey levels between ink and paper; a line with less is blank."""
_ALL, _INSIDE = 2, 1


@dataclass(frozen=True, slots=True)
class LineImage:
    """One line, cut out.

    Attributes:
        box: (x, y, width, height) of its contours in the stored bitmap.
        pixels: grey (H, W), dark ink on light paper, at most as high as was asked for; None when there is no ink.
    """

    box: Box
    pixels: Grey | None


def cut_lines(page: Grey, lines: PageLines, most_high: int) -> Iterator[LineImage]:
    """Cut every line of a page, in reading order.

    Args:
        page: the whole page as stored, grey (H, W).
        lines: its lines.
        most_high: a higher line is shrunk to this height, pixels.
    """
    page, standing = standing_upright(page, lines)
    straight = straightening(standing)
    for number in sorted(set(lines.line_ids)):
        own = [at for at, line in enumerate(lines.line_ids) if line == number]
        box = bounding_box(np.concatenate([lines.contours[at] for at in own]))
        pixels = _cut(page, [straight.forward(standing.contours[at].astype(np.float64)) for at in own], straight)
        yield LineImage(box, None if pixels is None else shrunk(pixels, most_high))


def _cut(page: Grey, contours: list[Points], straight: Straightening) -> Grey | None:
    """Cut one line; the contours are those of the straightened page."""
    margin = MARGIN * float(np.median([np.ptp(contour[:, 1]) for contour in contours])) + 1
    every = np.concatenate(contours)
    low = np.floor(every.min(axis=0) - margin).astype(int)
    width, height = (np.ceil(every.max(axis=0) + margin).astype(int) - low + 1).tolist()
    picture = straight.cut(page, int(low[0]), int(low[1]), (width, height))
    inside = np.zeros((height, width), np.uint8)
    for contour in contours:
        cv2.fillPoly(inside, [np.rint(contour - low).astype(np.int32)], 255)
    return alone(picture, inside)


def alone(picture: Grey, inside: Grey) -> Grey | None:
    """Remove a line's neighbours from its picture, and trim it to the ink; None when there is none.

    Ink is separated from paper by Otsu's threshold (IEEE Trans. SMC 9(1), 1979).

    Args:
        picture: grey (H, W), dark ink on light paper.
        inside: 255 inside the line's contours.
    """
    darkest_paper, ink = cv2.threshold(picture, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    if not has_contrast(picture, int(darkest_paper)):
        return None
    own, foreign = _parted(np.asarray(ink, np.uint8), inside)
    if not own.any():
        return None
    paper = int(np.median(picture[ink == 0]))
    return _trimmed(np.where(foreign, np.uint8(paper), picture), own, paper)


def has_contrast(picture: Grey, threshold: int) -> bool:
    """Return whether what is as dark as a threshold or darker is ink: `LEAST_CONTRAST` darker than the rest."""
    counts = cv2.calcHist([picture], [0], None, [256], [0, 256]).ravel()
    levels = np.arange(256)
    dark, light = (
        float(levels[part] @ counts[part]) / max(float(counts[part].sum()), 1.0)
        for part in (slice(threshold + 1), slice(threshold + 1, None))
    )
    return light - dark >= LEAST_CONTRAST


def _parted(ink: Grey, inside: Grey) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Separate the line's own ink from its neighbours', whose grey edges are theirs too.

    A piece that reaches far out of the line but has as much in it as a usual letter is two letters that touch, or a
    letter and a frame: it is divided at the contours.
    """
    count, labels, facts, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    areas, within = facts[:, cv2.CC_STAT_AREA], np.bincount(labels[inside > 0], minlength=count)
    areas[0] = within[0] = 0  # the paper
    tops, heights = facts[:, cv2.CC_STAT_TOP], facts[:, cv2.CC_STAT_HEIGHT]
    own = (within > OWN_SHARE * areas) & (tops > 0) & (tops + heights < len(ink))
    shared = within >= areas[own].mean() if own.any() else within > 0
    # What each piece keeps: all of itself, what lies inside, or nothing. One look-up for each pixel.
    kept = np.where(own, np.uint8(_ALL), np.where(shared, np.uint8(_INSIDE), np.uint8(0)))
    kept[0] = 0  # the paper
    by_pixel = kept.take(np.asarray(labels, np.int32))
    mine = (by_pixel == _ALL) | ((by_pixel == _INSIDE) & (inside > 0))
    others = ((ink > 0) & ~mine).astype(np.uint8)
    return mine, (cv2.dilate(others, np.ones((3, 3), np.uint8)) > 0) & ~mine


def _trimmed(picture: Grey, ink: NDArray[np.bool_], paper: int) -> Grey:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    inked = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    rim, side = round(RIM * len(inked)), round(SIDE_RIM * len(inked))
    return np.pad(inked, ((rim, rim), (side, side)), constant_values=paper)


def shrunk(picture: Grey, most_high: int) -> Grey:
    """Return a picture, scaled down where it is higher than this."""
    height, width = picture.shape
    if height <= most_high:
        return picture
    size = (max(1, round(width * most_high / height)), most_high)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
