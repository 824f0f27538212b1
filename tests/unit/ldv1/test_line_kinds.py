"""What kind a line is that was found on a map which tells no kinds."""

from collections.abc import Sequence

import numpy as np
import pytest

from bec_orch.core.transcripts import MAIN
from bec_orch.jobs.ldv1.kinds.by_place import OTHER, RUNNING
from bec_orch.jobs.ldv1.one_map.line_kinds import with_kinds
from bec_orch.jobs.ldv1.page.segment import Line, Segment

PITCH, WIDTH, ROWS = 30.0, 900.0, 18


def segment(left: float, right: float, row: float, slope: float = 0.0) -> Segment:
    """A piece of text whose core is 8 high, and that is 20 high in all."""
    xs = np.linspace(left, right, 12)
    return Segment(np.empty((0, 2), np.int32), 6.0, 0.9, xs, row + slope * xs, 8.0, 8, upright=False)


def line(left: float, right: float, row: float, slope: float = 0.0) -> Line:
    return (segment(left, right, row, slope),)


BOOK = [line(150, 750, 120 + PITCH * row) for row in range(ROWS)]
LAST = 120 + PITCH * (ROWS - 1)


def kinds_of(lines: Sequence[Line], slope: float = 0.0) -> list[str]:
    """The kinds of lines, in the order in which they are given."""
    found, kinds = with_kinds(lines, slope, WIDTH)
    assert len(kinds) == sum(map(len, lines))
    by_line = dict(zip(((id(part)) for each in found for part in each), kinds, strict=True))
    return [by_line[id(each[0])] for each in lines]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (line(430, 470, LAST + 2 * PITCH), RUNNING),  # the number of the page
        (line(150, 190, 120 - 2 * PITCH), RUNNING),
        (line(690, 750, LAST + PITCH), RUNNING),  # the catchword
        (line(150, 210, LAST + PITCH), MAIN),  # the last word of a paragraph
        (line(180, 240, 120 + 4.5 * PITCH), MAIN),
        (line(40, 110, 120 + 4 * PITCH), "margin"),
        (line(300, 600, 120 - 2 * PITCH), MAIN),  # a heading
    ],
)
def test_of_a_short_line_by_its_place(found: Line, expected: str) -> None:
    kinds = kinds_of([*BOOK, found])
    assert kinds == [MAIN] * len(BOOK) + [expected]


def test_a_head_is_known_by_the_number_in_its_row() -> None:
    head, number = line(330, 560, 120 - 2 * PITCH), line(150, 190, 120 - 2 * PITCH)
    assert kinds_of([head, number, *BOOK]) == [RUNNING] * 2 + [MAIN] * len(BOOK)
    assert kinds_of([(*number, *head), *BOOK]) == [RUNNING] + [MAIN] * len(BOOK)
    assert kinds_of([line(150, 560, 120 - 2 * PITCH), *BOOK]) == [MAIN] * (len(BOOK) + 1)


def test_a_list_with_numbers_has_no_head() -> None:
    rows = [line(150, 600, 120 + PITCH * row) for row in range(ROWS)]
    numbers = [line(720, 750, 120 + PITCH * row) for row in range(ROWS)]
    assert kinds_of([*rows, *numbers])[: len(rows)] == [MAIN] * len(rows)


def test_labels_among_the_rows_of_a_form_are_text() -> None:
    labels = [line(150, 200 + 90 * (row % 3), 120 + PITCH * row) for row in range(1, ROWS - 1)]
    values = [line(450, 750, 120 + PITCH * row) for row in range(ROWS)]
    assert set(kinds_of([*labels, *values])) == {MAIN}


def test_a_neighbour_page_that_the_edge_cuts_is_other() -> None:
    own = [line(50, 550, 120 + PITCH * row) for row in range(ROWS)]
    cut = [line(690, 899, 120 + PITCH * row) for row in range(ROWS)]
    assert kinds_of([*own, *cut]) == [MAIN] * ROWS + [OTHER] * ROWS


def test_where_nothing_is_longer_than_a_number_all_is_text() -> None:
    assert kinds_of([line(150, 200, 120 + PITCH * row) for row in range(3)]) == [MAIN] * 3


def test_a_skewed_page_is_as_a_level_one() -> None:
    slope = 0.05
    rows = [line(150, 750, 120 + PITCH * row, slope) for row in range(ROWS)]
    assert kinds_of([*rows, line(690, 730, LAST + 2 * PITCH, slope)], slope) == [MAIN] * ROWS + [RUNNING]


def test_main_text_comes_first_and_the_others_from_the_top() -> None:
    head, foot = line(150, 190, 120 - 2 * PITCH), line(430, 470, LAST + 2 * PITCH)
    found, kinds = with_kinds([foot, head, *BOOK], 0.0, WIDTH)
    assert found == (*BOOK, head, foot)
    assert kinds == (MAIN,) * len(BOOK) + (RUNNING,) * 2


def test_a_line_of_several_segments_has_its_kind_for_each() -> None:
    parted = (segment(150, 400, 120), segment(420, 750, 120))
    found, kinds = with_kinds([parted, *BOOK[1:]], 0.0, WIDTH)
    assert (found[0], kinds[:2], len(kinds)) == (parted, (MAIN, MAIN), len(BOOK) + 1)


def test_without_lines_there_are_no_kinds() -> None:
    assert with_kinds([], 0.0, WIDTH) == ((), ())
