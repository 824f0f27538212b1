"""Curved lines -> control points of a thin-plate spline that straightens them.

The spline (Bookstein, IEEE PAMI 11(6), 1989) takes a page with curved lines to one with straight lines of the same
skew; rotating the page by its `rotation_angle` then levels them. A point of a curved line is moved along y to the
straight line through it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.segment import Segment

SPLINE_ALPHA = 0.5
"""Stiffness of the spline (added to the kernel matrix's diagonal, in square pixels): it follows the lines closely."""
LONG_LINE = 0.5
"""Lines at least this long, as a share of the longest, show the page's curve."""
SHORTEST_LINE = 25.0
"""... when they are at least this many thicknesses long."""
CURVED_FROM = 0.35
"""A page is curved when the middle one of its long lines strays this many thicknesses from straight."""
CURVE_DEGREE = 3
MOST_LINES = 10
POINTS_ON_LINE = 9
STEPS = np.linspace(0, 1, POINTS_ON_LINE)
_POWERS = np.vander(2 * STEPS - 1, CURVE_DEGREE + 1)
SMOOTHING = _POWERS @ np.linalg.pinv(_POWERS)
"""Takes values at equal steps to the least-squares cubic's values there."""


def control_points(lines: Sequence[Sequence[Segment]], slope: float) -> NDArray[np.float64] | None:
    """Return control points (n, 4), rows [in_x, in_y, out_x, out_y] in pixels of the map, or None for a flat page.

    Args:
        lines: the page's lines, each its segments from left to right.
        slope: slope of the page's lines: what the straightened lines keep.
    """
    long = _long_lines(lines)
    if len(long) < 2:  # noqa: PLR2004  (one line may bend on its own; two show that the page is bent)
        return None
    picked = np.unique(np.linspace(0, len(long) - 1, min(len(long), MOST_LINES)).round().astype(int))
    bent = np.array([_curve(long[index]) for index in picked]).transpose(0, 2, 1)
    straight = _straight(bent, slope)
    thickness = np.array([long[index][0].thickness for index in picked])
    if np.median(np.abs(bent - straight).max(axis=(1, 2)) / thickness) < CURVED_FROM:
        return None
    return np.concatenate([bent, straight], axis=2).reshape(-1, 4)


def _long_lines(lines: Sequence[Sequence[Segment]]) -> list[Sequence[Segment]]:
    lengths = [line[-1].right - line[0].left for line in lines]
    longest = max(lengths, default=0.0)
    return [
        line
        for line, length in zip(lines, lengths, strict=True)
        if length >= LONG_LINE * longest and length >= SHORTEST_LINE * line[0].thickness
    ]


def _curve(line: Sequence[Segment]) -> NDArray[np.float64]:
    """Return points (2, n) on a smooth curve through a line's centre: a cubic, fitted at equal steps along x."""
    xs = np.concatenate([part.xs for part in line])
    ys = np.concatenate([part.ys for part in line])
    order = np.argsort(xs)
    left, right = xs[order[0]], xs[order[-1]]
    places = left + STEPS * (right - left)
    return np.stack([places, SMOOTHING @ np.interp(places, xs[order], ys[order])])


def _straight(bent: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    """Return for each bent line (n, points, 2) the straight line of the page's slope through its middle."""
    level = bent[..., 1] - slope * bent[..., 0]
    return np.stack([bent[..., 0], level.mean(axis=1, keepdims=True) + slope * bent[..., 0]], axis=-1)
