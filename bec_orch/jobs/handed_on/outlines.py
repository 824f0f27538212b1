"""Lines as one polygon and one baseline each, in the stored bitmap.

A line is a few segments. They are joined in the straightened page, where a line is level, and transformed back.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pyclipper
from numpy.typing import NDArray

from bec_orch.core.transcripts import Point
from bec_orch.jobs.ldv1.page.page_lines import BASELINE
from bec_orch.jobs.ocrv1.cut.straighten import Straightening
from bec_orch.jobs.shared.geometry import CLIPPER_UNITS, Points, inverse, on_pixels, transform

Contour = NDArray[np.int32]

BRIDGE = 0.25
"""Two segments are joined by a bridge of this share of their height."""
STEP = 64
"""A curved baseline has a point at steps of this many pixels; a straight one has its two ends."""


def outline(contours: Sequence[Contour]) -> tuple[Point, ...]:
    """Return the polygon of a line: its only segment, else the union of its segments and of bridges between them.

    The union is that of Vatti (CACM 35(7), 1992). Where it stays in pieces, the convex hull stands for it.
    """
    if len(contours) == 1:
        return _as_points(contours[0])
    clipper = pyclipper.Pyclipper()
    for part in (*contours, *_bridges(contours)):
        if abs(cv2.contourArea(part.astype(np.float32))) >= 1:
            clipper.AddPath(_wound(part), pyclipper.PT_SUBJECT, True)  # noqa: FBT003  (it takes no name)
    pieces = _united(clipper)
    if len(pieces) == 1:
        return _as_points(pieces[0])
    return _as_points(np.asarray(cv2.convexHull(np.concatenate(contours))[:, 0], np.int32))


def _united(clipper: pyclipper.Pyclipper) -> list[Contour]:
    try:
        found = clipper.Execute(pyclipper.CT_UNION, pyclipper.PFT_NONZERO, pyclipper.PFT_NONZERO)
    except pyclipper.ClipperException:  # nothing in it
        return []
    outer = [piece for piece in found if pyclipper.Orientation(piece)]
    return [np.rint(np.array(piece, np.float64) / CLIPPER_UNITS).astype(np.int32) for piece in outer]


def _wound(part: NDArray[np.int32]) -> list[list[int]]:
    path: list[list[int]] = np.rint(part * CLIPPER_UNITS).astype(np.int64).tolist()
    return path if pyclipper.Orientation(path) else path[::-1]


def _bridges(contours: Sequence[Contour]) -> list[Contour]:
    """Return a strip from each segment to the next one, from middle to middle of the ends that face each other."""
    bridges = []
    for one, other in pairwise(contours):
        between = other.mean(axis=0) - one.mean(axis=0)
        along = between / max(float(np.hypot(*between)), 1.0)
        half = BRIDGE / 2 * min(_thickness(one), _thickness(other))
        start, end = _end(one, along) - half * along, _end(other, -along) + half * along
        across = half * np.array([-along[1], along[0]])
        corners = [start - across, end - across, end + across, start + across]
        bridges.append(np.rint(np.array(corners)).astype(np.int32))
    return bridges


def _end(contour: Contour, along: Points) -> Points:
    """Return the middle of the end of a segment in some direction."""
    far = contour @ along
    end = contour[far >= far.max() - _thickness(contour) / 2]
    return np.asarray((end.min(axis=0) + end.max(axis=0)) / 2, np.float64)


def _thickness(contour: Contour) -> float:
    return float(min(cv2.minAreaRect(contour.astype(np.float32))[1]))


def baseline(contours: Sequence[Contour], frame: Straightening, size: tuple[int, int]) -> tuple[Point, ...]:
    """Return the baseline of a line, worked out where it is level: in the straightened page.

    Args:
        contours: its segments in the stored bitmap.
        frame: how its page is straightened.
        size: (width, height) of the stored bitmap.
    """
    level = [frame.forward(contour.astype(np.float64)) for contour in contours]
    heights = np.median([[points[:, 1].min(), points[:, 1].max()] for points in level], axis=0)
    left, right = (edge([edge(points[:, 0]) for points in level]) for edge in (np.min, np.max))
    count = 2 if frame.to_stored is None else 2 + int((right - left) // STEP)
    y = heights[0] + BASELINE * (heights[1] - heights[0])
    along = np.column_stack([np.linspace(left, right, count), np.full(count, y)])
    straight = along if frame.to_level is None else transform(along, inverse(frame.to_level))
    stored = straight if frame.to_stored is None else frame.to_stored(straight)
    return _as_points(on_pixels(stored, *size))


def _as_points(points: NDArray[np.int32]) -> tuple[Point, ...]:
    return tuple((x, y) for x, y in points.tolist())
