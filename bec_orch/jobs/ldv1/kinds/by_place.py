"""What kind of line each traced line is, by where it stands.

The network separates main text from all other; which of the finer kinds the other is follows from its place:

- `note`: between two main lines, or so near above or below one that it stands within its row.
- `margin`: beside the body.
- `running`: above the first or below the last line of a book's page, a number even beside the body there; on a pecha, a
  number wherever it stands outside of the body.
- `other`: above or below a pecha's body, also beside it (captions), far from any line, and on pages without main text;
  and what is seen of a neighbour page (`neighbour_page`).

On the page of a book, what fills a row of its own between main lines is main text after all: headings. So is what
stands between the running head and the first line, as near as the next row of text; a long row may be farther away. The
first line is the running head after all where a number stands apart from its words. On a page of columns, neighbours
are lines of the same column. On a title page, a few lines in the middle, whatever stands as they do is main text
(`main_text`).

Coordinates are those of `Traced`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bec_orch.core.transcripts import KINDS, MAIN
from bec_orch.jobs.ldv1.kinds.body import Body, body_of_book, body_of_pecha
from bec_orch.jobs.ldv1.kinds.main_text import BESIDE_SHARE, is_number, with_headings, with_titles, without_heads
from bec_orch.jobs.ldv1.kinds.neighbour_page import own_page
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced

NOTE_REACH = 0.85
"""A note stands within this many pitches of the line that it is about."""
NOTE_GAP = 2.2
"""Two main lines with a note between them are less than this many pitches apart."""
SURE_NOTE = 0.8
"""A note that is less sure is no line: vowel signs and stacks between the lines look like notes."""

RUNNING, MARGIN, NOTE, OTHER = KINDS[1:]


def with_kinds(lines: Sequence[Traced], width: float) -> list[tuple[Traced, str]]:
    """Return the lines of a page that is so wide, each with its kind, without notes that are doubtful."""
    found = zip(lines, kinds_of(lines, width), strict=True)
    return [(line, kind) for line, kind in found if kind != NOTE or line.chance >= SURE_NOTE]


def kinds_of(lines: Sequence[Traced], width: float) -> list[str]:
    """Return the kind of each line of a page that is so wide."""
    first, last = own_page([line for line in lines if line.is_main], width)
    own = [line for line in lines if first <= float(line.x.mean()) <= last]
    kinds = dict(zip(map(id, own), _on_page(own, width), strict=True))
    return [kinds.get(id(line), OTHER) for line in lines]


def _on_page(lines: Sequence[Traced], width: float) -> list[str]:
    """Return the kind of each line of a whole page."""
    main = [line for line in lines if line.is_main]
    if not main:
        return [OTHER] * len(lines)
    body = _body(lines, with_titles(lines, main, width))
    kind = _on_pecha if body.is_pecha else _in_book
    return [MAIN if line in body.main else kind(line, body) for line in lines]


def _body(lines: Sequence[Traced], main: list[Traced]) -> Body:
    """Return the body of a page, with its headings and without its head."""
    pecha = body_of_pecha(main)
    if pecha:
        return pecha
    body = body_of_book(without_heads(lines, main))
    return replace(body, main=with_headings(lines, body))


def _on_pecha(line: Traced, body: Body) -> str:
    """Return the kind of a line of a pecha that is no main text."""
    if is_beside(line, body) and not is_number(line):
        return OTHER if _is_outside(line, body) else MARGIN
    if not is_beside(line, body) and _is_note(line, body):
        return NOTE
    return RUNNING if is_number(line) else OTHER


def _in_book(line: Traced, body: Body) -> str:
    """Return the kind of a line of a book's page that is no main text."""
    is_outside = _is_outside(line, body)
    if is_beside(line, body):
        return RUNNING if is_number(line) and is_outside else MARGIN
    if is_number(line) and is_outside:
        return RUNNING
    if _is_note(line, body):
        return NOTE
    return RUNNING if is_outside else OTHER


def is_beside(line: Traced, body: Body) -> bool:
    """Return whether most of a line lies left or right of the body."""
    return body.inside(line) < (1 - BESIDE_SHARE) * line.length


def _is_outside(line: Traced, body: Body) -> bool:
    """Return whether a line stands above or below all main text of its column."""
    return bool(np.isinf(body.neighbours(line)).any())


def _is_note(line: Traced, body: Body) -> bool:
    above, below = body.neighbours(line)
    return min(above, below) < NOTE_REACH * MAP_PITCH or above + below < NOTE_GAP * MAP_PITCH
