"""What kind of line each traced line is, by where it stands, and the order of reading.

The network separates main text from all other; which of the finer kinds the other is follows from its place:

- `note`: between two main lines, or so near above or below one that it stands within its row.
- `margin`: beside the body.
- `running`: above the first or below the last line of a book's page, a number even beside the body there; on a pecha, a
  number wherever it stands outside of the body.
- `other`: above or below a pecha's body, also beside it (captions), far from any line, and on pages without main text;
  and what is seen of a neighbour page: a narrow column of main text that the page's edge cuts.

On the page of a book, what fills a row of its own between main lines is main text after all: headings. So is what
stands between the running head and the first line, as near as the next row of text; a long row may be farther away. On
a page of columns, neighbours are lines of the same column. On a title page, a few lines in the middle, whatever stands
as they do is main text.

Coordinates are pixels of the network's maps.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.transcripts import KINDS, MAIN
from bec_orch.jobs.ldv1.bec.pieces import MAP_PITCH
from bec_orch.jobs.ldv1.bec.tracing import Traced, boxes_of, slope_of
from bec_orch.jobs.ldv1.page.layout import Span, columns_of

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
SAME_ROW = 0.5
"""What stands in one row is less than this many pitches apart in height."""
TITLE_LINES = 4
"""A page with no more main lines, all of them titles, is a title page: whatever else stands as they do is main text."""
TITLE_SHAPE, TITLE_WIDTH, TITLE_OFF = 3.0, 0.75, 0.1
"""A title is longer than so many times its height, shorter than this share of the page, and its middle no farther from
the page's than this share of it."""
LONG_ROW = 0.5
"""Below a head, what is as long as this share of the body is wide is a row of text, even if a wider space follows."""
HEADING_REACH = 3.0
"""A heading is at most this many pitches away from one of its neighbours."""
NOTE_GAP = 2.2
"""Two main lines with a note between them are less than this many pitches apart."""
SURE_NOTE = 0.8
"""A note that is less sure is no line: vowel signs and stacks between the lines look like notes."""
CUT_OFF = 0.45
"""A column at the page's edge that is narrower than this share of the widest one may be a neighbour page, cut off..."""
CUT_ROWS = 0.5
"""... where this share of its lines ends at the edge..."""
AT_EDGE = 1.5
"""... within this many pitches."""

RUNNING, MARGIN, NOTE, OTHER = KINDS[1:]


def with_kinds(lines: Sequence[Traced], width: float) -> list[tuple[Traced, str]]:
    """Return the lines of a page that is so wide, each with its kind, without notes that are doubtful."""
    found = zip(lines, kinds_of(lines, width), strict=True)
    return [(line, kind) for line, kind in found if kind != NOTE or line.chance >= SURE_NOTE]


def kinds_of(lines: Sequence[Traced], width: float) -> list[str]:
    """Return the kind of each line of a page that is so wide."""
    first, last = _own_page([line for line in lines if line.is_main], width)
    own = [line for line in lines if first <= float(line.x.mean()) <= last]
    kinds = dict(zip(map(id, own), _on_page(own, width), strict=True))
    return [kinds.get(id(line), OTHER) for line in lines]


def _own_page(main: Sequence[Traced], width: float) -> Span:
    """Return from where to where a page reaches along x: a neighbour page that the edge cuts is none of it."""
    columns = _columns(main)
    widest = max((right - left for left, right in columns), default=0.0)
    first, last = -np.inf, np.inf
    for left, right in columns:
        own = [line for line in main if left <= line.x[0] and line.x[-1] <= right]
        if right - left < CUT_OFF * widest:
            if _share(line.x[-1] >= width - AT_EDGE * MAP_PITCH for line in own) >= CUT_ROWS:
                last = min(last, left)
            if _share(line.x[0] <= AT_EDGE * MAP_PITCH for line in own) >= CUT_ROWS:
                first = max(first, right)
    return first, last


def _columns(main: Sequence[Traced]) -> list[Span]:
    """Return where each column of main text begins and ends along x."""
    if not main:
        return []
    boxes = boxes_of(main, slope_of(main))
    columns = [[main[at] for at in column] for column in columns_of(boxes)]
    return [(min(float(line.x[0]) for line in own), max(float(line.x[-1]) for line in own)) for own in columns]


def _share(met: Iterable[bool]) -> float:
    return float(np.mean([*met]))


def _on_page(lines: Sequence[Traced], width: float) -> list[str]:
    """Return the kind of each line of a whole page."""
    main = [line for line in lines if line.is_main]
    if not main:
        return [OTHER] * len(lines)
    if len(main) <= TITLE_LINES and all(_is_title(line, width) for line in main):
        main = [line for line in lines if line.is_main or (_is_title(line, width) and _has_own_row(line, main))]
    body = _body(main, BODY_SHARE_PECHA)
    is_pecha = body[1] - body[0] > PECHA_SHAPE * (main[-1].middle - main[0].middle + MAP_PITCH)
    columns: list[Span] = []
    if not is_pecha:
        main = _without_number_of_head(lines, main)
        body, columns = _body(main, BODY_SHARE), _columns(main)
        main = _with_headings(lines, main, body, columns)
    return [MAIN if line in main else _kind(line, main, body, columns, is_pecha=is_pecha) for line in lines]


def _is_title(line: Traced, width: float) -> bool:
    """Return whether a line stands in the middle of a page, as titles do: neither a number nor a full row."""
    away = abs(float(line.x[0] + line.x[-1]) - width) / 2
    return TITLE_SHAPE * line.height < line.length < TITLE_WIDTH * width and away < TITLE_OFF * width


def _has_own_row(line: Traced, main: Sequence[Traced]) -> bool:
    return all(abs(line.middle - other.middle) > SAME_ROW * max(line.height, other.height) for other in main)


def _without_number_of_head(lines: Sequence[Traced], main: list[Traced]) -> list[Traced]:
    """Return the main lines without a number that stands above all others, in one row with other text: the head."""
    first, *others = main
    is_above = all(line.middle - first.middle >= OWN_ROW * MAP_PITCH for line in others)
    heads = [line for line in lines if not line.is_main and abs(line.middle - first.middle) < SAME_ROW * MAP_PITCH]
    is_number = first.length < NUMBER_LENGTH * MAP_PITCH
    return others if others and is_above and is_number and heads else main


def _with_headings(
    lines: Sequence[Traced], main: Sequence[Traced], body: Span, columns: Sequence[Span]
) -> list[Traced]:
    """Return the main lines with what fills a row of its own between them, or next to them and below another row."""
    found = list(main)
    for line in sorted((line for line in lines if not line.is_main), key=lambda line: -line.middle):
        above, below = _neighbours(line, found, columns)
        inside = min(float(line.x[-1]), body[1]) - max(float(line.x[0]), body[0])
        is_row = OWN_ROW <= min(above, below) / MAP_PITCH <= HEADING_REACH and inside >= BESIDE_SHARE * line.length
        has_head = any(other.middle < line.middle - OWN_ROW * MAP_PITCH for other in lines)
        is_long = line.length >= LONG_ROW * (body[1] - body[0])
        is_next = below <= (HEADING_REACH if is_long else NEXT_ROW) * MAP_PITCH
        is_heading = max(above, below) < np.inf or (is_next and has_head)
        if is_row and is_heading:
            found.append(line)
    return found


def _body(main: Sequence[Traced], share: float) -> Span:
    """Return where main text begins and ends along x."""
    weights = np.array([line.length for line in main])
    lefts, rights = np.array([line.x[0] for line in main]), np.array([line.x[-1] for line in main])
    return _quantile(lefts, weights, share), _quantile(rights, weights, 1 - share)


def _quantile(values: NDArray[np.floating], weights: NDArray[np.floating], share: float) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, share * summed[-1])])


def _kind(line: Traced, main: Sequence[Traced], body: Span, columns: Sequence[Span], *, is_pecha: bool) -> str:
    above, below = _neighbours(line, main, columns)
    inside = min(float(line.x[-1]), body[1]) - max(float(line.x[0]), body[0])
    is_number = line.length < NUMBER_LENGTH * MAP_PITCH
    is_outside = bool(np.isinf(above) or np.isinf(below))
    if inside < (1 - BESIDE_SHARE) * line.length:
        if is_number:
            return RUNNING if is_pecha or is_outside else MARGIN
        return OTHER if is_pecha and is_outside else MARGIN
    if is_number and not is_pecha and is_outside:
        return RUNNING
    if min(above, below) < NOTE_REACH * MAP_PITCH or above + below < NOTE_GAP * MAP_PITCH:
        return NOTE
    if not is_pecha and is_outside:
        return RUNNING
    return RUNNING if is_number and is_pecha else OTHER


def _neighbours(line: Traced, main: Sequence[Traced], columns: Sequence[Span]) -> tuple[float, float]:
    """Return how far the next main line of its column is above, and below; infinite where there is none."""
    own = _column(line, columns)
    at = float(line.x[0] + line.x[-1]) / 2
    beside = [other for other in main if own is None or _column(other, columns) == own]
    away = np.array([np.interp(at, other.x, other.y) for other in beside]) - line.middle
    return float(-away[away <= 0].max(initial=-np.inf)), float(away[away > 0].min(initial=np.inf))


def _column(line: Traced, columns: Sequence[Span]) -> Span | None:
    """Return the column that a line stands in for the most part, of several the narrowest; None where it is in none."""
    shared = [min(float(line.x[-1]), right) - max(float(line.x[0]), left) for left, right in columns]
    most, _, best = max(
        zip(shared, (left - right for left, right in columns), columns, strict=True), default=(0, 0, None)
    )
    return best if most > 0 else None
