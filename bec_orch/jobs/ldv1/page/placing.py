"""Between a view of a page and its stored bitmap: pages are rotated to stand upright, and what was found is put back.

`LineDetector` and the network's detector see pages in views of their own.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import atan2, degrees

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.flatten import SPLINE_ALPHA, control_points
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.page.segment import Line
from bec_orch.jobs.shared.geometry import (
    Affine,
    Points,
    bounding_box,
    compose,
    inverse,
    on_pixels,
    rotation,
    scaling,
    transform,
)

SMALLEST_ANGLE = 0.1
"""Lines skewed by less than this, degrees, are level."""
_UPRIGHT = {3: 180.0, 6: -90.0, 8: 90.0}
"""Degrees by which a page of an EXIF orientation is rotated to stand upright."""


def size_of(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Return width and height of a picture."""
    return image.shape[1], image.shape[0]


def rotated(image: NDArray[np.uint8], angle: float) -> tuple[NDArray[np.uint8], Affine]:
    """Rotate a page by degrees (positive: counter-clockwise); the new corners repeat the pixels of its edge."""
    affine, size = rotation(size_of(image), angle)
    turned = cv2.warpAffine(image, affine, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8), affine


def upright(image: NDArray[np.uint8], width: int, height: int, orientation: int) -> tuple[NDArray[np.uint8], Affine]:
    """Rotate a page as its file says, and return it with the affine transform from there to the stored bitmap.

    Args:
        image: the decoded page, as it is stored, at any scale.
        width: width of the stored bitmap.
        height: height of the stored bitmap.
        orientation: how the page is to be shown, by EXIF's numbers. Mirrored pages are taken as they are stored.
    """
    base = scaling(size_of(image), (width, height))
    if orientation not in _UPRIGHT:
        return image, base
    image, affine = rotated(image, _UPRIGHT[orientation])
    return image, compose(base, inverse(affine))


def placed(
    lines: Sequence[Line], outlines: Sequence[Points], slope: float, to_stored: Affine, size: tuple[int, int]
) -> PageLines:
    """Return the lines of a view as lines of the stored bitmap.

    Args:
        lines: the lines in reading order, each its segments from left to right.
        outlines: the outline (n, 2) of each segment.
        slope: slope of the page's lines.
        to_stored: affine transform from the view to the stored bitmap.
        size: (width, height) of the stored bitmap.
    """
    width, height = size
    contours = on_bitmap(outlines, to_stored, size)
    points = control_points(lines, slope)
    angle = _to_quarters(_stored_angle(slope, to_stored))
    return PageLines(
        width=width,
        height=height,
        rotation_angle=angle if lines and angle else None,
        tps_points=_stored_points(points, to_stored) if points is not None else None,
        tps_alpha=SPLINE_ALPHA if points is not None else None,
        contours=contours,
        bboxes=tuple(bounding_box(contour) for contour in contours),
        line_ids=tuple(number for number, line in enumerate(lines) for _ in line),
        scores=tuple(part.score for line in lines for part in line),
    )


def _stored_angle(slope: float, to_stored: Affine) -> float:
    """Return the angle, degrees, that the view's direction (1, slope) has in the stored bitmap."""
    along = to_stored[:, :2] @ np.array([1.0, slope])
    return degrees(atan2(float(along[1]), float(along[0])))


def _to_quarters(angle: float) -> float:
    """Treat lines with next to no skew as level, on pages that are upright, sideways, or upside down."""
    quarters = 90.0 * round(angle / 90.0)
    return quarters if abs(angle - quarters) < SMALLEST_ANGLE else angle


def _stored_points(points: NDArray[np.float64], to_stored: Affine) -> NDArray[np.float32]:
    """Transform control points of a view, rows (in_x, in_y, out_x, out_y), to stored ones, rows (in_y, in_x, ...)."""
    bent, straight = transform(points[:, :2], to_stored), transform(points[:, 2:], to_stored)
    return np.hstack([bent[:, ::-1], straight[:, ::-1]]).astype(np.float32)


def on_bitmap(curves: Sequence[Points], to_stored: Affine, size: tuple[int, int]) -> tuple[NDArray[np.int32], ...]:
    """Return curves (n, 2) of a view as pixels of the stored bitmap, all transformed at once."""
    if not curves:
        return ()
    points = on_pixels(transform(np.concatenate(curves), to_stored), *size)
    ends = list(accumulate(len(curve) for curve in curves))
    return tuple(points[start:end] for start, end in pairwise((0, *ends)))
