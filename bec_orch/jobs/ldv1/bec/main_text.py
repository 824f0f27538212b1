"""Which lines are main text, or none, whatever the network takes them for: titles, headings, the number of a head.

Coordinates are pixels of the network's maps.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bec_orch.jobs.ldv1.bec.body import Body
from bec_orch.jobs.ldv1.bec.pieces import MAP_PITCH
from bec_orch.jobs.ldv1.bec.traced import Traced

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


def without_number_of_head(lines: Sequence[Traced], main: list[Traced]) -> list[Traced]:
    """Return the main lines without a number that stands above all others, in one row with other text: the head."""
    first, *others = main
    is_above = all(line.middle - first.middle >= OWN_ROW * MAP_PITCH for line in others)
    heads = [line for line in lines if not line.is_main and abs(line.middle - first.middle) < SAME_ROW * MAP_PITCH]
    return others if others and is_above and is_number(first) and heads else main


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
