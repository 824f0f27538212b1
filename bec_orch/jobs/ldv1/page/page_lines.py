"""The result for one page: its text lines in the stored bitmap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.transcripts import MAIN

BASELINE = 0.75
"""A baseline lies this far down its line: below the heads that Tibetan letters hang from, above the lowest stacks."""


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
        kinds: the kind of each contour's line; empty from models that do not tell them: then all are main text.
        baselines: the baseline (n, 2) of each contour, from left to right; empty from models that do not tell them.
        model: the name of the model that found them.
        engine: what ran it, and in which precision where that is not full.
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
    kinds: tuple[str, ...] = ()
    baselines: tuple[NDArray[np.int32], ...] = ()
    model: str = ""
    engine: str = ""

    @property
    def line_count(self) -> int:
        """Number of lines."""
        return max(self.line_ids, default=-1) + 1

    @property
    def kinds_by_line(self) -> dict[int, str]:
        """The kind of each line, by its number, in reading order."""
        kinds = self.kinds or (MAIN,) * len(self.line_ids)
        return dict(sorted(zip(self.line_ids, kinds, strict=True)))
