"""Probability map -> segments: pieces of text, each with its outline, score and centre line.

A segment is a connected region above the model's threshold. Two lines that touch (a long descender, a tall letter) make
one region: it is cut by a higher threshold, and by opening away what is narrower than a letter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.segment import CENTRE_POINTS, Segment, usual_thickness

Mask: TypeAlias = NDArray[np.uint8]
Map: TypeAlias = NDArray[np.float32]

SMALLEST_THICKNESS = 2.0
"""Regions thinner than this many pixels of the map are noise."""
SMALLEST_LENGTH = 8
SPECK_LENGTH = 2.2
"""A region shorter than this many of the page's usual thicknesses is a speck..."""
SPECK_THICKNESS = 0.4
"""... if it is thinner than this share of it..."""
DOUBTFUL_SCORE = 0.65
DOUBTFUL_LENGTH = 6.0
"""... and so is one of doubtful score that is not this much longer than thick: pictures and dirt."""
MOST_REGIONS = 3000
"""A page has fewer lines than this; of a map of noise only the largest regions are looked at."""
UPRIGHT = 1.3
"""A region this much higher than wide is upright: script that runs down the page."""
CUT_THRESHOLDS = (0.5, 0.65, 0.8, 0.9)
CUT_FROM_THICKNESS = 1.55
"""A region this much thicker than the page's usual one may be two lines in one..."""
CUT_FROM_DOUBLED = 0.12
"""... and so may one of which this share of columns holds two separate runs."""


@dataclass(frozen=True, slots=True)
class _Region:
    """A connected region: its contour in the map, and its filled mask with the corner where it lies."""

    contour: NDArray[np.int32]
    mask: Mask
    x: int
    y: int
    area: int
    score: float
    upright: bool
    length: int

    @property
    def thickness(self) -> float:
        return self.area / self.length

    def of(self, probability: Map) -> Map:
        """The part of the map that the region's box covers."""
        height, width = self.mask.shape
        return probability[self.y : self.y + height, self.x : self.x + width]


def find_segments(probability: Map, *, threshold: float, min_score: float, unclip_ratio: float) -> tuple[Segment, ...]:
    """Find the segments of a probability map.

    Args:
        probability: (H, W), 0 to 1.
        threshold: probability above which a pixel belongs to text.
        min_score: regions with a lower mean probability are noise.
        unclip_ratio: the regions are offset by area * ratio / perimeter (Liao et al., Real-time Scene Text Detection
            with Differentiable Binarization, AAAI 2020, section 3.4).
    """
    marked = above(probability, threshold)
    regions = [region for region in _regions(marked, probability) if region.score >= min_score]
    usual = usual_thickness(regions)
    regions = [region for region in regions if not _is_speck(region, usual)]
    pieces = [piece for region in regions for piece in _cut(region, probability, usual)]
    return tuple(_segment(piece, unclip_ratio) for piece in pieces)


def above(probability: Map, threshold: float) -> Mask:
    """Mark (1) the pixels with more than a probability."""
    return (probability > threshold).view(np.uint8)


def _regions(marked: Mask, probability: Map, x: int = 0, y: int = 0) -> Iterator[_Region]:
    """Find the connected regions of a mask whose corner lies at (x, y) of the map."""
    contours, _ = cv2.findContours(marked, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) > MOST_REGIONS:
        contours = sorted(contours, key=cv2.contourArea)[-MOST_REGIONS:]
    for contour in contours:
        left, top, width, height = cv2.boundingRect(contour)
        if max(width, height) < SMALLEST_LENGTH or min(width, height) < SMALLEST_THICKNESS:
            continue
        mask = np.zeros((height, width), np.uint8)
        cv2.drawContours(mask, [contour], 0, 255, cv2.FILLED, offset=(-left, -top))
        left, top = left + x, top + y
        score = cv2.mean(probability[top : top + height, left : left + width], mask)[0]
        upright = height > UPRIGHT * width
        length = height if upright else width
        placed = np.asarray(contour[:, 0] + (x, y), np.int32)
        yield _Region(placed, mask, left, top, cv2.countNonZero(mask), score, upright, length)


def _is_speck(region: _Region, usual: float) -> bool:
    if region.thickness < max(SMALLEST_THICKNESS, SPECK_THICKNESS * usual) and region.length < SPECK_LENGTH * usual:
        return True
    return region.score < DOUBTFUL_SCORE and region.length < DOUBTFUL_LENGTH * max(region.thickness, usual)


def _cut(region: _Region, probability: Map, usual: float) -> list[_Region]:
    """Cut a region that holds several lines into them; any other is returned as it is."""
    if region.upright or not _may_hold_two(region, usual):
        return [region]
    width = max(3, round(usual))
    letters = cv2.getStructuringElement(cv2.MORPH_RECT, (width, 1))
    for threshold in CUT_THRESHOLDS:
        core = cv2.bitwise_and(above(region.of(probability), threshold), region.mask)
        core = cv2.morphologyEx(core, cv2.MORPH_OPEN, letters)
        found = _regions(np.asarray(core, np.uint8), probability, region.x, region.y)
        pieces = [piece for piece in found if piece.mask.shape[1] > 2 * usual]
        if _stacked(pieces):
            return pieces
    return [region]


def _may_hold_two(region: _Region, usual: float) -> bool:
    if region.thickness > CUT_FROM_THICKNESS * usual:
        return True
    starts = cv2.compare(region.mask[1:], region.mask[:-1], cv2.CMP_GT)
    runs = cv2.reduce(cv2.vconcat([region.mask[:1], starts]) // 255, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    return int(np.count_nonzero(runs > 1)) > CUT_FROM_DOUBLED * region.length


def _stacked(pieces: Sequence[_Region]) -> bool:
    """Return whether one piece lies below another."""
    spans = [(piece.x, piece.x + piece.mask.shape[1]) for piece in pieces]
    return any(
        min(a[1], b[1]) - max(a[0], b[0]) > 0.5 * min(a[1] - a[0], b[1] - b[0])
        for index, a in enumerate(spans)
        for b in spans[:index]
    )


def _segment(region: _Region, unclip_ratio: float) -> Segment:
    xs, ys = _centre_line(region)
    return Segment(
        contour=region.contour,
        offset=_offset(region, unclip_ratio),
        score=region.score,
        xs=xs,
        ys=ys,
        thickness=region.thickness,
        height=region.mask.shape[0],
        upright=region.upright,
    )


def _offset(region: _Region, unclip_ratio: float) -> float:
    """Return how far an outline is offset. Half a pixel is added, as contours run through the centres of pixels."""
    perimeter = cv2.arcLength(region.contour, closed=True)
    return region.area * unclip_ratio / max(perimeter, 1.0) + 0.5


def _centre_line(region: _Region) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sample the middle of the region's columns, smoothed over a few letters."""
    height, width = region.mask.shape
    if region.upright:
        return np.array([region.x, region.x + width - 1.0]), np.full(2, region.y + (height - 1) / 2)
    rows = np.arange(height, dtype=np.float32)
    counts, sums = np.stack([np.ones_like(rows), rows]) @ region.mask.astype(np.float32)
    window = max(1, round(3 * region.thickness))
    smooth = cv2.blur((sums / counts)[None], (window, 1), borderType=cv2.BORDER_REPLICATE)[0]
    picked = np.linspace(0, width - 1, min(width, CENTRE_POINTS)).round().astype(int)
    return region.x + picked.astype(np.float64), region.y + smooth[picked].astype(np.float64)
