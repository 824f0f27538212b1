"""Joins segments to lines: each segment looks along its own slope for the next one to its right.

Two segments of one row that a gap, a string hole, or a wide space after an opening sign separates are one line. What
stands outside of the page's body (margin titles, folio numbers, stamps) or across a gutter between columns is not part
of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.segment import Segment, usual_thickness

WIDEST_GAP = 26.0
"""Widest gap inside of a line, in thicknesses of the page's usual segment (about eight line pitches)."""
LARGEST_OVERLAP = 0.5
"""Neighbours may overlap along x by this share of the shorter one."""
SMALLEST_MEETING = 0.45
"""Where they meet, neighbours share this much of the thinner one's thickness."""
LEARN_LENGTH = 14.0
"""A segment's end is extrapolated by its last piece of this many thicknesses..."""
TRUST_LENGTH = 10.0
"""... and its slope counts as much as the page's when the piece is as long as this."""
OFFSET_COST = 4.0
"""Being off the slope by a pixel costs as much as a gap of this many."""

SMALLEST_SPREAD = 1e-9

Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Ends:
    """Both ends of all segments as arrays: place, slope there, thickness."""

    left: Numbers
    right: Numbers
    left_y: Numbers
    right_y: Numbers
    left_slope: Numbers
    right_slope: Numbers
    thickness: Numbers


def join_segments(segments: Sequence[Segment], groups: NDArray[np.int_], slope: float) -> list[list[int]]:
    """Join level segments to lines, and return for each line the numbers of its segments, from left to right.

    Args:
        segments: the level segments of a page.
        groups: the group of each (body, column, margin); only segments of one group are joined.
        slope: slope of the page's lines.
    """
    if not segments:
        return []
    costs = _joining_costs(_ends(segments, slope), groups, usual_thickness(segments))
    following = _cheapest_pairs(costs)
    starts = set(range(len(segments))) - set(following.values())
    return [_chain(following, start) for start in sorted(starts)]


def _ends(segments: Sequence[Segment], slope: float) -> _Ends:
    left = np.array([part.left for part in segments])
    right = np.array([part.right for part in segments])
    thickness = np.array([part.thickness for part in segments])
    reach, distrust = LEARN_LENGTH * thickness, (TRUST_LENGTH * thickness) ** 2
    lengths = np.array([len(part.xs) for part in segments])
    xs, ys = np.concatenate([part.xs for part in segments]), np.concatenate([part.ys for part in segments])

    def end(places: Numbers, near: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
        """Return y and slope at one end, from the points near it and, where these span little, the page's slope."""
        middle_x, middle_y, own, extent = _fitted(xs, ys, near, lengths)
        blended = (extent**2 * own + distrust * slope) / (extent**2 + distrust)
        return middle_y + blended * (places - middle_x), blended

    left_y, left_slope = end(left, xs <= np.repeat(left + reach, lengths))
    right_y, right_slope = end(right, xs >= np.repeat(right - reach, lengths))
    return _Ends(left, right, left_y, right_y, left_slope, right_slope, thickness)


def _fitted(
    xs: Numbers, ys: Numbers, picked: NDArray[np.bool_], lengths: NDArray[np.int_]
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Fit a straight line by least squares to the picked points of each centre line, all at once.

    Args:
        xs: the points of one centre line after the other.
        ys: as above.
        picked: which points count; at least one of each.
        lengths: number of points of each.

    Returns:
        Of each: x and y of the picked points' middle, the slope (0 for a single point), and their extent along x.
    """
    starts = np.cumsum(lengths) - lengths
    count = np.add.reduceat(picked.astype(np.float64), starts)
    middle_x = np.add.reduceat(xs * picked, starts) / count
    middle_y = np.add.reduceat(ys * picked, starts) / count
    around = (xs - np.repeat(middle_x, lengths)) * picked
    spread = np.add.reduceat(around * around, starts)
    slope = np.add.reduceat(around * ys, starts) / np.maximum(spread, SMALLEST_SPREAD)
    return middle_x, middle_y, slope, np.maximum.reduceat(around, starts) - np.minimum.reduceat(around, starts)


def _joining_costs(ends: _Ends, groups: NDArray[np.int_], usual: float) -> Numbers:
    """Return the cost (n, n) of letting the segment of the column follow that of the row; infinite where it cannot."""
    gap = ends.left[None, :] - ends.right[:, None]
    width = ends.right - ends.left
    shorter = np.minimum(width[:, None], width[None, :])
    half = gap / 2
    offset = (ends.left_y[None, :] - ends.left_slope[None, :] * half) - (
        ends.right_y[:, None] + ends.right_slope[:, None] * half
    )
    thinner = np.minimum(ends.thickness[:, None], ends.thickness[None, :])
    mean = (ends.thickness[:, None] + ends.thickness[None, :]) / 2
    shared = np.minimum(mean - np.abs(offset), thinner) / thinner
    possible = (
        (groups[:, None] == groups[None, :])
        & (gap > -LARGEST_OVERLAP * shorter)
        & (gap < WIDEST_GAP * usual)
        & (ends.left[None, :] > ends.left[:, None])
        & (shared >= SMALLEST_MEETING)
    )
    return np.where(possible, np.maximum(gap, 0) + OFFSET_COST * np.abs(offset), np.inf)


def _cheapest_pairs(costs: Numbers) -> dict[int, int]:
    """Pair each segment with at most one follower, and each follower with one segment, the cheapest pairs first."""
    rows, columns = np.nonzero(np.isfinite(costs))
    following: dict[int, int] = {}
    followed: set[int] = set()
    for index in np.argsort(costs[rows, columns], kind="stable"):
        row, column = int(rows[index]), int(columns[index])
        if row not in following and column not in followed:
            following[row] = column
            followed.add(column)
    return following


def _chain(following: dict[int, int], start: int) -> list[int]:
    line = [start]
    while line[-1] in following:
        line.append(following[line[-1]])
    return line
