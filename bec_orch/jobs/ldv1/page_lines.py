"""The result for one page: its text lines in the stored bitmap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PageLines:
    """The text lines of one page. All coordinates are pixels of the bitmap as it is stored, before any rotation.

    Attributes:
        width: width of the stored bitmap.
        height: height of the stored bitmap.
        rotation_angle: degrees by which the page must be rotated (positive: counter-clockwise on the screen) to level
            its lines, or None where they are level or there are none. 90 and -90: the page lies on its side.
        tps_points: control points (n, 4) of a thin-plate spline that straightens curved lines, rows
            [in_y, in_x, out_y, out_x]; None where the lines are straight. The skew stays: rotate afterwards.
        tps_alpha: stiffness of that spline; None where there is none.
        contours: outline (n, 2), x and y, of each segment of a text line, in reading order.
        bboxes: (x, y, width, height) of each contour.
        line_ids: the line of each contour, counted from 0 in reading order.
        scores: mean probability of each contour, 0 to 1.
    """

    width: int
    height: int
    rotation_angle: float | None = None
    tps_points: NDArray[np.float32] | None = None
    tps_alpha: float | None = None
    contours: tuple[NDArray[np.int32], ...] = ()
    bboxes: tuple[tuple[int, int, int, int], ...] = ()
    line_ids: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()

    @property
    def line_count(self) -> int:
        """Number of lines."""
        return max(self.line_ids, default=-1) + 1
