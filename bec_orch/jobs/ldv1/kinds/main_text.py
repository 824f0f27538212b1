"""Which lines are main text, or none, whatever the network takes them for: titles, headings, the number of a head.

Coordinates are those of `Traced`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bec_orch.jobs.ldv1.kinds.body import Body, main_columns
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced
from bec_orch.jobs.ldv1.page.layout import Span

BESIDE_SHARE = 0.5
"""A line stands beside the body when more than this share of it lies outside of the body's width."""
NUMBER_LENGTH = 3.0
"""A number is shorter than this many pitches."""
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
INDENT = 1.5
"""The words of a head with a number at its other end stand this many pitches inside of the text."""
LISTED = 0.25
"""Where more than this share of the rows has a number at that end, they are a list, and the first is no head."""
HEADING_REACH = 3.0
"""A heading is at most this many pitches away from one of its neighbours."""


def is_number(line: Traced) -> bool:
    """Return whether a line is as short as the number of a page."""
    return line.length < NUMBER_LENGTH * MAP_PITCH


def with_titles(lines: Sequence[Traced], main: Sequence[Traced], width: float) -> list[Traced]:
    """Return the main lines of a page that is so wide; on a title page, with whatever stands as they do."""
    if len(main) > TITLE_LINES or not all(_is_title(line, width) for line in main):
        return [*main]
    return [line for line in lines if line.is_main or (_is_title(line, width) and _has_own_row(line, main))]


def _is_title(line: Traced, width: float) -> bool:
    """Return whether a line stands in the middle of a page, as titles do: neither a number nor a full row."""
    away = abs(float(line.x[0] + line.x[-1]) - width) / 2
    return TITLE_SHAPE * line.height < line.length < TITLE_WIDTH * width and away < TITLE_OFF * width


def _has_own_row(line: Traced, main: Sequence[Traced]) -> bool:
    return all(abs(line.middle - other.middle) > SAME_ROW * max(line.height, other.height) for other in main)


def without_heads(lines: Sequence[Traced], main: Sequence[Traced]) -> list[Traced]:
    """Return a book's main lines without the heads of its columns, which a number at their edge shows.

    The head is a number in one row with other text, or words with a number apart from them at one end.
    """
    heads = [_head(lines, _within(column, main)) for column in main_columns(main)]
    top = [id(head) for head in heads if head and head.middle < main[0].middle + NEXT_ROW * MAP_PITCH]
    return [line for line in main if id(line) not in top]


def _within(column: Span, main: Sequence[Traced]) -> list[Traced]:
    return [line for line in main if column[0] <= line.x[0] and line.x[-1] <= column[1]]


def _head(lines: Sequence[Traced], column: Sequence[Traced]) -> Traced | None:
    """Return the head of a column of main lines, if it has one above all others."""
    first, *others = column
    if not others or any(line.middle - first.middle < OWN_ROW * MAP_PITCH for line in others):
        return None
    in_row = [line for line in lines if not line.is_main and abs(line.middle - first.middle) < SAME_ROW * MAP_PITCH]
    is_head = (
        bool(in_row) if is_number(first) else _is_numbered(first, others) or _is_beside_number(first, in_row, others)
    )
    return first if is_head else None


def _is_beside_number(line: Traced, in_row: Sequence[Traced], others: Sequence[Traced]) -> bool:
    """Return whether a number stands in the row of a line, apart from it and within the width of the others."""
    left, right = min(other.x[0] for other in others), max(other.x[-1] for other in others)
    numbers = [
        each for each in in_row if is_number(each) and left <= each.x[0] + MAP_PITCH and each.x[-1] - MAP_PITCH <= right
    ]
    return any(max(each.x[0] - line.x[-1], line.x[0] - each.x[-1]) > INDENT * MAP_PITCH for each in numbers)


def _is_numbered(line: Traced, others: Sequence[Traced]) -> bool:
    """Return whether a number stands apart at one end of a line, as on few others, and the other end is indented."""
    left, right = min(float(other.x[0]) for other in others), max(float(other.x[-1]) for other in others)
    if _is_number_first(line) and line.x[-1] < right - INDENT * MAP_PITCH:
        return sum(map(_is_number_first, others)) <= LISTED * len(others)
    if _is_number_last(line) and line.x[0] > left + INDENT * MAP_PITCH:
        return sum(map(_is_number_last, others)) <= LISTED * len(others)
    return False


def _is_number_first(line: Traced) -> bool:
    return bool(line.spaces) and line.spaces[0][0] - line.x[0] < NUMBER_LENGTH * MAP_PITCH


def _is_number_last(line: Traced) -> bool:
    return bool(line.spaces) and line.x[-1] - line.spaces[-1][1] < NUMBER_LENGTH * MAP_PITCH


def with_headings(lines: Sequence[Traced], body: Body) -> list[Traced]:
    """Return a book's main lines with what fills a row of its own between them, or next to them and below another."""
    found = [*body.main]
    for line in sorted((line for line in lines if not line.is_main), key=lambda line: -line.middle):
        if _is_heading(line, lines, replace(body, main=found)):
            found.append(line)
    return found


def _is_heading(line: Traced, lines: Sequence[Traced], body: Body) -> bool:
    """Return whether a line is a row of its own within the body, or the first one below the running head."""
    above, below = body.neighbours(line)
    if not OWN_ROW <= min(above, below) / MAP_PITCH <= HEADING_REACH or body.inside(line) < BESIDE_SHARE * line.length:
        return False
    has_head = any(other.middle < line.middle - OWN_ROW * MAP_PITCH for other in lines)
    is_long = line.length >= LONG_ROW * body.width
    is_next = below <= (HEADING_REACH if is_long else NEXT_ROW) * MAP_PITCH
    return max(above, below) < np.inf or (is_next and has_head)
