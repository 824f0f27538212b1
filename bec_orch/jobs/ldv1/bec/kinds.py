"""What kind of line each traced line is, by where it stands, and the order of reading.

The network separates main text from all other; which of the finer kinds the other is follows from its place:

- `note`: between two main lines, or so near above or below one that it stands within its row.
- `margin`: beside the body.
- `running`: above the first or below the last line of a book's page, a number even beside the body there; on a pecha, a
  number wherever it stands outside of the body.
- `other`: above or below a pecha's body, far from any line, and on pages without main text.

On the page of a book, what fills a row of its own between main lines is main text after all: headings. So is what
stands between the running head and the first line, as near as the next row of text; a long row may be farther away.

Coordinates are pixels of the network's maps.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.transcripts import KINDS, MAIN
from bec_orch.jobs.ldv1.bec.pieces import MAP_PITCH
from bec_orch.jobs.ldv1.bec.tracing import Traced

PECHA_SHAPE = 1.6
"""A body this much wider than high is a pecha's."""
BESIDE_SHARE = 0.5
"""A line stands beside the body when more than this share of it lies outside of the body's width."""
BODY_SHARE, BODY_SHARE_PECHA = 0.08, 0.25
"""The body reaches from where this share of the main lines, by length, has begun, to where it has not yet ended. On
pechas a title in the margin may be joined to a line, and books may have many columns."""
NUMBER_LENGTH = 3.0
"""A number is shorter than this many pitches."""
NOTE_REACH = 0.85
"""A note stands within this many pitches of the line that it is about."""
OWN_ROW, NEXT_ROW = 0.8, 1.3
"""Rows are at least the one, and usually at most the other number of pitches apart."""
LONG_ROW = 0.5
"""Below a head, what is as long as this share of the body is wide is a row of text, even if a wider space follows."""
HEADING_REACH = 3.0
"""A heading is at most this many pitches away from one of its neighbours."""
NOTE_GAP = 2.2
"""Two main lines with a note between them are less than this many pitches apart."""

RUNNING, MARGIN, NOTE, OTHER = KINDS[1:]


def kinds_of(lines: Sequence[Traced]) -> list[str]:
    """Return the kind of each line of a page."""
    main = [line for line in lines if line.is_main]
    if not main:
        return [OTHER] * len(lines)
    body = _body(main, BODY_SHARE_PECHA)
    is_pecha = body[1] - body[0] > PECHA_SHAPE * (main[-1].middle - main[0].middle + MAP_PITCH)
    if not is_pecha:
        body = _body(main, BODY_SHARE)
        main = _with_headings(lines, main, body)
    return [MAIN if line in main else _kind(line, main, body, is_pecha=is_pecha) for line in lines]


def _with_headings(lines: Sequence[Traced], main: Sequence[Traced], body: tuple[float, float]) -> list[Traced]:
    """Return the main lines with what fills a row of its own between them, or next to them and below another row."""
    found = list(main)
    for line in sorted((line for line in lines if not line.is_main), key=lambda line: -line.middle):
        above, below = _neighbours(line, found)
        inside = min(float(line.x[-1]), body[1]) - max(float(line.x[0]), body[0])
        is_row = OWN_ROW <= min(above, below) / MAP_PITCH <= HEADING_REACH and inside >= BESIDE_SHARE * line.length
        has_head = any(other.middle < line.middle - OWN_ROW * MAP_PITCH for other in lines)
        is_long = line.length >= LONG_ROW * (body[1] - body[0])
        is_next = below <= (HEADING_REACH if is_long else NEXT_ROW) * MAP_PITCH
        is_heading = max(above, below) < np.inf or (is_next and has_head)
        if is_row and is_heading:
            found.append(line)
    return found


def _body(main: Sequence[Traced], share: float) -> tuple[float, float]:
    """Return where main text begins and ends along x."""
    weights = np.array([line.length for line in main])
    lefts, rights = np.array([line.x[0] for line in main]), np.array([line.x[-1] for line in main])
    return _quantile(lefts, weights, share), _quantile(rights, weights, 1 - share)


def _quantile(values: NDArray[np.floating], weights: NDArray[np.floating], share: float) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, share * summed[-1])])


def _kind(line: Traced, main: Sequence[Traced], body: tuple[float, float], *, is_pecha: bool) -> str:
    above, below = _neighbours(line, main)
    inside = min(float(line.x[-1]), body[1]) - max(float(line.x[0]), body[0])
    is_number = line.length < NUMBER_LENGTH * MAP_PITCH
    is_outside = bool(np.isinf(above) or np.isinf(below))
    if inside < (1 - BESIDE_SHARE) * line.length:
        return RUNNING if is_number and (is_pecha or is_outside) else MARGIN
    if is_number and not is_pecha and is_outside:
        return RUNNING
    if min(above, below) < NOTE_REACH * MAP_PITCH or above + below < NOTE_GAP * MAP_PITCH:
        return NOTE
    if not is_pecha and is_outside:
        return RUNNING
    return RUNNING if is_number and is_pecha else OTHER


def _neighbours(line: Traced, main: Sequence[Traced]) -> tuple[float, float]:
    """Return how far the next main line is above, and below; infinite where there is none."""
    at = float(line.x[0] + line.x[-1]) / 2
    away = np.array([np.interp(at, other.x, other.y) for other in main]) - line.middle
    return float(-away[away <= 0].max(initial=-np.inf)), float(away[away > 0].min(initial=np.inf))
