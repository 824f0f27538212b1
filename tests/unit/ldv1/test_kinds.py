"""What kind a line is, by where it stands; and the order of reading."""

from dataclasses import replace

import numpy as np
import pytest

from bec_orch.jobs.ldv1.bec.lines import as_page_lines
from bec_orch.jobs.ldv1.kinds.by_place import kinds_of
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced

SAME = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def line(left: float, right: float, row: float, *, main: bool = True, height: float = 10, slope: float = 0) -> Traced:
    x = np.arange(left, right, dtype=np.float32)
    y = (row + slope * (x - left)).astype(np.float32)
    return Traced(x, y, y - height / 2, y + height / 2, 0.9, main, 100.0)


def other(left: float, right: float, row: float) -> Traced:
    return line(left, right, row, main=False, height=6)


BOOK = [line(50, 350, 60 + MAP_PITCH * row) for row in range(30)]
PECHA = [line(50, 650, 60 + MAP_PITCH * row) for row in range(6)]
COLUMNS = [line(at, at + 250, 60 + MAP_PITCH * (row + at / 700)) for at in (50, 350) for row in range(40)]
BELOW = 60 + MAP_PITCH * 30
WIDTH = 800.0


def kind(found: Traced, main: list[Traced]) -> str:
    ordered = sorted([*main, found], key=lambda line: line.middle)
    return kinds_of(ordered, WIDTH)[ordered.index(found)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (other(50, 200, 30), "running"),
        (other(190, 200, BELOW + 20), "running"),
        (other(190, 200, BELOW - 4), "running"),
        (other(190, 200, 60 - 0.7 * MAP_PITCH), "running"),
        (other(360, 372, 30), "running"),
        (other(10, 22, BELOW + 20), "running"),
        (other(10, 45, 120), "margin"),
        (other(360, 372, 120), "margin"),
        (other(100, 160, 60 + 6.5 * MAP_PITCH), "note"),
        (other(100, 160, 60 - 0.6 * MAP_PITCH), "note"),
    ],
)
def test_on_the_page_of_a_book(found: Traced, expected: str) -> None:
    assert kind(found, BOOK) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (other(50, 200, 20), "other"),
        (other(300, 312, 170), "running"),
        (other(10, 20, 90), "running"),
        (other(5, 45, 90), "margin"),
        (other(300, 360, 60 + 2.5 * MAP_PITCH), "note"),
        (other(655, 715, 60 + 6 * MAP_PITCH), "other"),
        (other(655, 715, 60 + 4 * MAP_PITCH), "margin"),
    ],
)
def test_on_a_pecha(found: Traced, expected: str) -> None:
    assert kind(found, PECHA) == expected


def test_a_row_of_its_own_between_the_lines_of_a_book_is_a_heading() -> None:
    broken = [each for each in BOOK if not 8 <= (each.middle - 60) / MAP_PITCH <= 10]
    assert kind(other(150, 250, 60 + 9 * MAP_PITCH), broken) == "main"
    assert kind(other(5, 45, 60 + 9 * MAP_PITCH), broken) == "margin", "but not beside them"


def test_a_row_between_the_head_and_the_first_line_of_a_book_is_main_text() -> None:
    head, first = other(150, 250, 20), other(50, 300, 60 - 1.1 * MAP_PITCH)
    ordered = [head, first, *BOOK]
    assert kinds_of(ordered, WIDTH)[:2] == ["running", "main"]
    assert kinds_of([first, *BOOK], WIDTH)[0] == "running", "without a head above it, it is the head"


def test_a_number_in_the_row_of_the_head_is_no_main_text_whatever_the_network_says() -> None:
    number, head = line(50, 60, 40), other(150, 250, 42)
    assert kinds_of([number, head, *BOOK], WIDTH)[:2] == ["running", "running"]
    assert kinds_of([number, *BOOK], WIDTH)[0] == "main", "a heading of one letter"
    assert kinds_of([line(50, 120, 40), head, *BOOK], WIDTH)[0] == "main", "words"
    beside = [line(20, 30, 59), other(360, 372, 60), *BOOK]
    assert kinds_of(beside, WIDTH)[0] == "main", "in a row of the text"


def head(start: float, end: float, space: tuple[float, float], row: float = 30) -> Traced:
    return replace(line(start, end, row), spaces=(space,))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (head(50, 250, (70, 150)), "running"),
        (head(150, 350, (250, 330)), "running"),
        (head(50, 345, (70, 150)), "main"),
        (head(50, 250, (120, 200)), "main"),
        (line(50, 250, 30), "main"),
        (head(50, 250, (70, 150), 60 - 0.5 * MAP_PITCH), "main"),
    ],
    ids=["number first", "number last", "a full row", "words apart", "words", "no row of its own"],
)
def test_words_with_a_number_apart_from_them_are_the_head_of_a_book(found: Traced, expected: str) -> None:
    assert kind(found, BOOK) == expected


def test_where_rows_begin_with_numbers_the_first_is_no_head() -> None:
    numbered = [replace(each, spaces=((70.0, 90.0),)) for each in BOOK[:10]]
    assert kind(head(50, 250, (70, 150)), [*numbered, *BOOK[10:]]) == "main"
    assert kind(head(50, 250, (70, 150)), [*numbered[:5], *BOOK[5:]]) == "running", "a few do"


def test_each_page_of_an_open_book_has_a_head_but_no_column_below_the_top() -> None:
    heads = [head(50, 250, (70, 150)), head(400, 600, (500, 580), 32)]
    pages = [line(each.x[0], each.x[-1], each.middle) for each in COLUMNS]
    kinds = kinds_of(sorted([*heads, *pages], key=lambda line: line.middle), WIDTH)
    assert kinds == ["running"] * 2 + ["main"] * len(pages)
    low = head(400, 600, (500, 580), 60 + 3 * MAP_PITCH)
    below = [each for each in pages if each.x[0] == 50 or each.middle > 60 + 4 * MAP_PITCH]
    assert kind(low, below) == "main"


@pytest.mark.parametrize(("right", "expected"), [(250, "main"), (150, "running")])
def test_below_the_head_of_a_book_a_long_row_is_main_text_even_with_a_wider_space_after_it(
    right: float, expected: str
) -> None:
    head, first = other(150, 250, 10), other(50, right, 60 - 2 * MAP_PITCH)
    assert kinds_of([head, first, *BOOK], WIDTH)[:2] == ["running", expected]


def test_neighbours_are_those_of_the_same_column() -> None:
    broken = [each for each in COLUMNS if not (each.x[0] == 50 and 8 <= (each.middle - 60) / MAP_PITCH <= 10)]
    heading = other(140, 200, 60 + 9.1 * MAP_PITCH)
    assert kind(heading, broken) == "main", "a row of the other column is as near to it as a note's"
    title = line(50, 620, 60 - 2 * MAP_PITCH)
    assert kind(heading, [title, *broken]) == "main", "a wide row is over both columns"
    note = other(140, 200, 60 + 9.5 * MAP_PITCH)
    assert kind(note, COLUMNS) == "note"


def opened(shown: float, *, mirrored: bool) -> tuple[list[Traced], list[bool], float]:
    """Lines of a page and of what is seen of its neighbour, whether they are of the latter, and the page's width."""
    rows = [60 + MAP_PITCH * (row + 0.4) for row in range(30)]
    beside = [line(400, 400 + 300 * shown, row) for row in rows[:-1]]
    beside += [line(400, 440, rows[-1]), other(405, 415, BELOW + 20)]
    lines = sorted([*BOOK, *beside], key=lambda line: line.middle)
    width = 400 + 300 * shown + 3
    is_beside = [each.x[0] >= 400 for each in lines]
    if mirrored:
        lines = [line(width - each.x[-1], width - each.x[0], each.middle, main=each.is_main) for each in lines]
    return lines, is_beside, width


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_seen_of_a_neighbour_page_that_the_edge_cuts_is_no_main_text(mirrored: bool) -> None:  # noqa: FBT001
    lines, is_beside, width = opened(0.2, mirrored=mirrored)
    expected = ["other" if beside else "main" for beside in is_beside]
    assert kinds_of(lines, width) == expected


def test_a_short_row_below_columns_at_the_page_s_edge_is_main_text() -> None:
    at_edge = [line(each.x[0] - 45, each.x[-1] - 44, each.middle) for each in COLUMNS]
    assert kind(line(5, 60, 60 + MAP_PITCH * 42), at_edge) == "main"


def test_a_narrow_column_away_from_the_edge_and_most_of_a_page_are_main_text() -> None:
    lines, _, width = opened(0.2, mirrored=False)
    assert set(kinds_of(lines, width + 60)) == {"main", "running"}
    lines, _, width = opened(0.6, mirrored=False)
    assert set(kinds_of(lines, width)) == {"main", "running"}


def test_a_caption_far_from_all_lines_is_no_note() -> None:
    apart = [line(50, 350, 60 + MAP_PITCH * row) for row in (0, 1, 2, 12, 13, 14, 24, 25, 26)]
    assert kind(other(100, 200, 60 + 7 * MAP_PITCH), apart) == "other"


TITLE = [line(300, 500, 200, height=20), line(340, 460, 260)]


@pytest.mark.parametrize(
    ("found", "is_main"),
    [
        (other(360, 440, 500), True),
        (other(380, 420, 120), True),
        (other(393, 407, 500), False),
        (other(600, 680, 500), False),
        (other(80, 720, 500), False),
        (other(380, 420, 262), False),
    ],
    ids=["far below", "above", "a number", "not in the middle", "a full row", "in a row with a title"],
)
def test_what_stands_as_titles_do_on_a_title_page_is_main_text(found: Traced, is_main: bool) -> None:  # noqa: FBT001
    assert (kind(found, TITLE) == "main") == is_main


def test_a_page_of_text_is_no_title_page() -> None:
    assert kind(other(360, 440, 500), [line(100, 700, 200), line(100, 500, 212)]) != "main"
    assert kind(other(360, 440, 500), [line(340, 460, 200 + MAP_PITCH * row) for row in range(5)]) != "main"


def test_the_second_line_of_a_title_leaf_is_main_text() -> None:
    assert kind(other(360, 440, 230), [line(250, 550, 210, height=14)]) == "main"


def test_without_main_text_all_is_other() -> None:
    assert kinds_of([other(10, 40, 20), other(10, 40, 60)], WIDTH) == ["other", "other"]
    assert kinds_of([], WIDTH) == []


def test_one_short_line_does_not_widen_the_body() -> None:
    astray = [*BOOK, line(0, 40, BELOW)]
    assert kind(other(5, 40, 120), astray) == "margin"


def middles(lines: list[Traced]) -> list[tuple[str, int, int]]:
    """The kind, left end and row of each line, in the order of reading."""
    found = as_page_lines(lines, SAME, (800, 600), WIDTH)
    return [
        (kind, round(x, -1), round(y + height / 2))
        for kind, (x, y, _, height) in zip(found.kinds, found.bboxes, strict=True)
    ]


def test_main_text_comes_first_column_by_column_and_the_others_after_it() -> None:
    rows = [60 + 12 * row for row in range(32)]
    columns = [line(at, at + 250, row) for row in rows for at in (50, 350)]
    head, number, note = other(50, 200, 30), other(320, 330, 470), other(600, 640, 90)
    found = middles(sorted([*columns, head, number, note], key=lambda line: line.middle))
    assert found[:64] == [("main", at, row) for at in (50, 350) for row in rows]
    assert [kind for kind, *_ in found[64:]] == ["running", "running", "margin"]


def test_a_doubtful_note_is_no_line() -> None:
    note = other(100, 160, 60 + 6.5 * MAP_PITCH)
    number = replace(other(190, 200, BELOW + 20), chance=0.7)
    kinds = [kind for kind, *_ in middles(sorted([*BOOK, note, number], key=lambda line: line.middle))]
    assert kinds[30:] == ["running", "note"]
    doubtful = replace(note, chance=0.75)
    kinds = [kind for kind, *_ in middles(sorted([*BOOK, doubtful, number], key=lambda line: line.middle))]
    assert kinds[30:] == ["running"], "numbers are less sure than lines"


def test_two_lines_of_one_row_are_read_from_left_to_right() -> None:
    found = middles([line(400, 700, 59), line(50, 300, 60), line(50, 700, 80)])
    assert [left for _, left, _ in found] == [50, 400, 50]


def test_a_line_has_one_outline_and_one_baseline() -> None:
    sloping = line(50, 650, 100, height=20, slope=0.05)
    found = as_page_lines([sloping], SAME, (800, 600), WIDTH)
    assert len(found.contours) == len(found.baselines) == len(found.line_ids) == 1
    outline, baseline = found.contours[0], found.baselines[0]
    middle = 100 + 0.05 * 300
    near = outline[np.abs(outline[:, 0] - 350) < 4][:, 1]
    assert near.min() == pytest.approx(middle - 10 - 2, abs=1), "the highest vowels are in it"
    assert near.max() == pytest.approx(middle + 10, abs=1)
    assert baseline[np.argmin(np.abs(baseline[:, 0] - 350)), 1] == pytest.approx(middle + 5, abs=1)
    assert found.rotation_angle == pytest.approx(np.rad2deg(np.arctan(0.05)), abs=0.1)


def test_no_lines_no_rotation() -> None:
    found = as_page_lines([], SAME, (800, 600), WIDTH)
    assert (found.contours, found.kinds, found.rotation_angle) == ((), (), None)
