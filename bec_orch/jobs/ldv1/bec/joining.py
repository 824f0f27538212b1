"""Pieces -> chains of pieces, each a line: each piece looks along its own slope for the next one to its right.

Pieces are joined across spaces, string holes and pictures, never across a gap between columns.

Coordinates are pixels of the network's maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bec_orch.jobs.ldv1.bec.column_gaps import Guides, Way, is_parted
from bec_orch.jobs.ldv1.bec.pieces import Piece
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Floats

MEETING = 0.42
"""Pieces are joined when the one's slope meets the other within this many pitches..."""
WIDEST_GAP = 14.0
"""... over a gap of at most this many."""
OVERLAP = 1.0
LEARN = 4.0
"""A piece's slope is taken over this many pitches at its end."""
LARGEST_SLOPE = 0.12
OFF_COST = 4.0
"""Being off the slope by a pixel costs as much as a gap of this many."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """One end of each piece: its column and row, and the slope there."""

    x: Floats
    y: Floats
    slope: Floats


def joined(pieces: Sequence[Piece], guides: Guides) -> list[list[Piece]]:
    """Join each end to the nearest start that its slope meets; the nearest pairs first."""
    after: dict[int, int] = {}
    followed: set[int] = set()
    for end, start, way in _pairs(pieces):
        if end not in after and start not in followed and not is_parted(way, guides):
            after[end] = start
            followed.add(start)
    return [_chain(pieces, after, first) for first in range(len(pieces)) if first not in followed]


def _pairs(pieces: Sequence[Piece]) -> list[tuple[int, int, Way]]:
    """Return which ends and starts may meet, the likeliest first, and the way between them: left, right and row."""
    if len(pieces) < 2:  # noqa: PLR2004
        return []
    ends, starts = _ends(pieces, right=True), _ends(pieces, right=False)
    away = starts.x[None, :] - ends.x[:, None]
    possible = (
        (away >= -OVERLAP * MAP_PITCH) & (away <= WIDEST_GAP * MAP_PITCH) & (starts.x[None, :] > starts.x[:, None])
    )
    one, other = np.nonzero(possible)
    gap = away[one, other]
    off = np.abs(starts.y[other] - ends.y[one] - (ends.slope[one] + starts.slope[other]) / 2 * gap)
    good = off <= MEETING * MAP_PITCH
    one, other, gap, off = one[good], other[good], gap[good], off[good]
    order = np.argsort(np.maximum(gap, 0) + OFF_COST * off, kind="stable")
    left, right = np.minimum(ends.x[one], starts.x[other]), np.maximum(ends.x[one], starts.x[other])
    rows = (ends.y[one] + starts.y[other]) / 2
    return [(int(one[at]), int(other[at]), (int(left[at]), int(right[at]), int(rows[at]))) for at in order]


def _ends(pieces: Sequence[Piece], *, right: bool) -> _Ends:
    reach = int(LEARN * MAP_PITCH)
    found = np.zeros((3, len(pieces)), np.float32)
    for number, piece in enumerate(pieces):
        x, y = (piece.x[-reach:], piece.y[-reach:]) if right else (piece.x[:reach], piece.y[:reach])
        around = x - x.mean()
        spread = float(around @ around)
        slope = float(around @ y) / spread if len(x) > MAP_PITCH else 0.0
        slope *= min(1.0, len(x) / reach)
        row = float((y[-3:] if right else y[:3]).mean())
        found[:, number] = x[-1] if right else x[0], row, np.clip(slope, -LARGEST_SLOPE, LARGEST_SLOPE)
    return _Ends(*found)


def _chain(pieces: Sequence[Piece], after: dict[int, int], first: int) -> list[Piece]:
    chain = [first]
    while chain[-1] in after:
        chain.append(after[chain[-1]])
    return [pieces[index] for index in chain]
