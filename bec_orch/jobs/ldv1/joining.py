"""Join segments to lines: each segment looks along its own slope for the next one to its right.

What parts two segments of one row is a gap, a string hole, or a wide space after an opening sign: they are one line.
What stands outside of the page's body (margin titles, folio numbers, stamps) or across a gutter between columns is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.segments import Segment, usual_thickness
from bec_orch.jobs.ldv1.skew import own_slope

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


@dataclass(frozen=True, slots=True)
class _Ends:
    """Both ends of all segments as arrays: place, slope there, thickness."""

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    left_y: NDArray[np.float64]
    right_y: NDArray[np.float64]
    left_slope: NDArray[np.float64]
    right_slope: NDArray[np.float64]
    thickness: NDArray[np.float64]


def join_segments(segments: Sequence[Segment], groups: NDArray[np.int_], slope: float) -> list[list[int]]:
    """Join level segments to lines; give for each line the numbers of its segments, from left to right.

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
    rows = np.array([_end_values(part, slope) for part in segments])
    return _Ends(*rows.T)


def _end_values(part: Segment, slope: float) -> tuple[float, ...]:
    reach = LEARN_LENGTH * part.thickness
    left = _end(part, part.xs <= part.left + reach, part.left, slope)
    right = _end(part, part.xs >= part.right - reach, part.right, slope)
    return part.left, part.right, left[0], right[0], left[1], right[1], part.thickness


def _end(part: Segment, piece: NDArray[np.bool_], x: float, slope: float) -> tuple[float, float]:
    """Give y and slope at one end, from the piece of the centre line near it and, if it is short, the page's slope."""
    xs, ys = part.xs[piece], part.ys[piece]
    trust = (xs[-1] - xs[0]) ** 2
    distrust = (TRUST_LENGTH * part.thickness) ** 2
    blended = (trust * own_slope(xs, ys) + distrust * slope) / (trust + distrust)
    return float(ys.mean() + blended * (x - xs.mean())), blended


def _joining_costs(ends: _Ends, groups: NDArray[np.int_], usual: float) -> NDArray[np.float64]:
    """Give the cost (n, n) of letting the segment of the column follow that of the row; infinite where it cannot."""
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


def _cheapest_pairs(costs: NDArray[np.float64]) -> dict[int, int]:
    """Give each segment at most one follower, and each at most one to follow, the cheapest pairs first."""
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
