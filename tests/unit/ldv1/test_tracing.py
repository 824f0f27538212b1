"""The network's maps -> lines: joined along their slope, parted where they must be, drawn as high as they are."""

from typing import Any

import numpy as np
import pytest

from bec_orch.jobs.ldv1.bec.tracing import trace
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced
from tests.unit.ldv1.drawn_maps import BOTTOM, GAP, MAIN, OTHER, REACH, TOP, Floats, draw, inked, maps_with


def traced(maps: Floats, *, main: bool = True) -> list[Traced]:
    return [line for line in trace(maps, inked(maps)) if line.is_main == main]


def test_pieces_are_joined_along_their_slope() -> None:
    maps = maps_with((10, 380, 20), (10, 380, 40), slope=0.05)
    maps[MAIN, :, 150:200] = 0
    lines = traced(maps)
    assert len(lines) == 2
    assert all(line.x[0] == 10 and line.x[-1] == 379 for line in lines)
    assert all(len(line.x) == 370 for line in lines), "a line has no gap"
    assert [line.spaces for line in lines] == [((149, 200),)] * 2, "but knows where it is parted"
    assert lines[0].y[165] == pytest.approx(20 + 0.05 * 165, abs=0.6), "in a gap it runs straight on"


def test_a_line_is_as_high_as_its_edges_are_away() -> None:
    (line,) = traced(maps_with((10, 380, 50)))
    assert line.y == pytest.approx(50, abs=0.01)
    assert line.top == pytest.approx(50 - REACH / 2, abs=0.3)
    assert line.bottom == pytest.approx(50 + REACH / 2, abs=0.3)
    maps = maps_with((10, 380, 50))
    maps[TOP : BOTTOM + 1] = 0
    (flat,) = traced(maps)
    assert flat.height > 0.25 * MAP_PITCH, "a line is never a mere stroke"


def test_unsure_ends_are_cut_back_but_not_unsure_words() -> None:
    maps = maps_with((10, 380, 50))
    maps[MAIN, :, 10:14] *= 0.7
    maps[MAIN, :, 372:380] *= 0.7
    maps[MAIN, :, 200:210] *= 0.7
    (line,) = traced(maps)
    assert (line.x[0], line.x[-1]) == (14, 371)
    assert len(line.x) == 358


def test_lines_are_not_joined_over_a_gap_between_columns() -> None:
    maps = maps_with((10, 180, 20), (220, 390, 20))
    assert len(traced(maps)) == 1
    maps[GAP, 5:40, 182:218] = 0.9
    assert len(traced(maps)) == 1, "a string hole is no gap between columns"
    maps[GAP, :, 182:218] = 0.9
    assert len(traced(maps)) == 2


def test_a_core_that_runs_on_over_a_gap_between_columns_is_cut_there() -> None:
    maps = maps_with(*((10, 390, 12 * row) for row in range(1, 9)))
    maps[GAP, :, 195:205] = 0.9
    assert [(line.x[0], line.x[-1]) for line in traced(maps)] == [(10, 194), (205, 389)] * 8


@pytest.mark.parametrize(("through", "expected"), [(0.7, 36), (0.98, 34)])
def test_cores_that_ran_into_each_other_over_a_gutter_are_cut_there(through: float, expected: int) -> None:
    """A row that is as sure in the gutter as elsewhere is one line. The page is no pecha: it is high."""
    rows = [10 + 12 * row for row in range(18)]
    maps = maps_with(*((left, right, row) for row in rows for left, right in ((10, 180), (200, 370))), size=(240, 400))
    for row in (46, 142):
        maps[MAIN, row - 1 : row + 2, 180:200] = through
    lines = traced(maps)
    assert len(lines) == expected
    assert sum(line.x[0] > 190 for line in lines) == expected - 18


@pytest.mark.parametrize(("rows", "expected"), [(9, 18), (5, 5)])
def test_rows_that_all_stop_at_one_gap_stand_in_two_columns(rows: int, expected: int) -> None:
    lines = [(10 + row % 3, 180 - row % 2, 5 + 12 * row) for row in range(rows)]
    maps = maps_with(*lines, *((200 + row % 3, 390, 5 + 12 * row) for row in range(rows)))
    assert len(traced(maps)) == expected


def test_a_wide_space_within_one_row_parts_nothing() -> None:
    maps = maps_with(*((10, 390, 5 + 12 * row) for row in range(9)))
    maps[:, 5 + 12 * 4 - 2 : 17 + 12 * 4 - 2, 150:230] = 0
    assert len(traced(maps)) == 9


def test_a_gap_that_is_wider_than_any_space_parts_a_line() -> None:
    assert len(traced(maps_with((10, 60, 20), (250, 390, 20)))) == 2


def test_text_of_either_kind_is_text_and_short_only_where_it_is_other() -> None:
    maps = maps_with((10, 380, 20))
    maps[MAIN, 60:63, 100:106], maps[OTHER, 60:63, 100:106] = 0.4, 0.5
    maps[MAIN, 90:93, 100:106], maps[OTHER, 90:93, 100:106] = 0.5, 0.4
    assert len(traced(maps)) == 1
    assert len(traced(maps, main=False)) == 1


def test_a_title_in_the_margin_that_touches_its_line_is_a_line_of_its_own() -> None:
    maps = maps_with((80, 390, 20))
    draw(maps, (10, 80, 20), OTHER)
    main, other = traced(maps)[0], traced(maps, main=False)[0]
    assert other.x[-1] < main.x[0]
    assert main.x[0] == pytest.approx(80, abs=4)


def test_neighbours_that_touch_are_cut_apart() -> None:
    maps = maps_with((10, 380, 20), (10, 380, 32))
    maps[MAIN, 20:34, 200:204] = 0.6
    assert len(traced(maps)) == 1 + 1
    maps[MAIN, 20:34, 100:204] = 0.6
    assert len(traced(maps)) == 2


def test_specks_and_doubtful_pieces_are_no_lines() -> None:
    maps = maps_with((10, 380, 20), (30, 34, 60))
    maps[MAIN, 90:93, 50:300] = 0.55
    assert len(traced(maps)) == 1


def digit(
    maps: Floats, best: float, *, faint: float = 0.4, left: int = 100, right: int = 106, kind: int = OTHER
) -> None:
    """Draw a mark that is sure in two columns only."""
    draw(maps, (left, right, 60), kind)
    maps[kind, 59:62, left:right] = faint
    maps[kind, 59:62, left + 2 : left + 4] = best


def test_a_digit_that_is_sure_only_in_its_middle_is_found_and_as_sure_as_there() -> None:
    maps = maps_with((10, 380, 20))
    digit(maps, 0.8)
    (found,) = traced(maps, main=False)
    assert (found.x[0], found.x[-1]) == (100, 105)
    assert found.chance == pytest.approx(0.8)


@pytest.mark.parametrize(
    "mark",
    [
        {"best": 0.55},
        {"best": 0.8, "faint": 0.2},
        {"best": 0.8, "kind": MAIN},
        {"best": 0.8, "right": 140},
    ],
    ids=["nowhere sure", "a speck", "main text", "as long as words"],
)
def test_other_faint_marks_are_no_digits(mark: dict[str, Any]) -> None:
    maps = maps_with((10, 380, 20))
    digit(maps, **mark)
    assert len(trace(maps, inked(maps))) == 1


def test_what_is_left_of_a_digit_without_its_sure_middle_is_none() -> None:
    maps = maps_with((10, 380, 20))
    digit(maps, 0.8, right=130)
    page = inked(maps)
    assert len(trace(maps, page)) == 2
    page[50:70, :115] = 255
    assert len(trace(maps, page)) == 1


def test_other_text_that_is_longer_than_a_number_is_as_sure_as_main_text() -> None:
    maps = maps_with((10, 380, 20))
    for left, right, row in ((50, 60, 60), (150, 200, 90)):
        draw(maps, (left, right, row), OTHER)
    maps[OTHER] *= 0.7
    assert [line.x[0] for line in traced(maps, main=False)] == [50]


def test_script_that_runs_down_the_page_is_no_level_line() -> None:
    maps = maps_with((60, 380, 20))
    maps[OTHER, 10:110, 20:24] = 0.95
    assert len(trace(maps, inked(maps))) == 1


@pytest.mark.parametrize(("step", "expected"), [(7, 0), (12, 5)])
def test_syllables_one_above_the_other_are_no_numbers_but_rows_of_them_are(step: int, expected: int) -> None:
    maps = maps_with((60, 380, 20), (60, 380, 60))
    for row in range(5):
        draw(maps, (20, 27, 20 + step * row), OTHER)
    lines = trace(maps, inked(maps))
    assert sum(line.is_main for line in lines) == 2
    assert sum(not line.is_main for line in lines) == expected


def test_wide_rows_that_touch_and_a_narrow_mark_do_not_run_down_the_page() -> None:
    maps = maps_with((60, 380, 20))
    for row in (60, 67, 74, 81):
        draw(maps, (100, 200, row), OTHER)
    maps[OTHER, 98:107, 30:34] = 0.95
    assert sum(not line.is_main for line in trace(maps, inked(maps))) == 5


def test_a_line_does_not_run_on_over_blank_paper() -> None:
    maps = maps_with((10, 380, 20), (10, 380, 40), (10, 380, 80))
    page = inked(maps)
    page[15:25, 200:] = 255
    page[35:45, :200] = 255
    page[75:85] = 255
    upper, lower = trace(maps, page)
    assert upper.x[-1] == pytest.approx(200, abs=5)
    assert lower.x[0] == pytest.approx(200, abs=5)


def test_what_shines_through_from_the_other_side_is_no_line() -> None:
    maps = maps_with((10, 380, 20), (10, 380, 40), (10, 380, 60))
    page = inked(maps)
    page[55:65] = 255 - (255 - page[55:65]) // 5
    assert [round(line.middle) for line in trace(maps, page)] == [20, 40]


@pytest.mark.parametrize(("chance", "count"), [(0.85, 0), (0.95, 2)])
def test_the_texture_of_paper_is_no_line_unless_it_is_surely_one(chance: float, count: int) -> None:
    maps = maps_with((10, 380, 20), (10, 380, 40))
    page = (255 - (255 - inked(maps).astype(np.int64)) // 12).astype(np.uint8)
    maps[MAIN] = np.where(maps[MAIN] > 0, chance, 0)
    assert len(trace(maps, page)) == count


def test_faint_script_is_no_blank_paper() -> None:
    maps = maps_with((10, 380, 20), (10, 380, 40))
    page = (250 - (255 - inked(maps).astype(np.int64)) // 30).astype(np.uint8)
    assert [(line.x[0], line.x[-1]) for line in trace(maps, page)] == [(10, 379)] * 2


def test_blank_maps_have_no_lines() -> None:
    assert trace(maps_with(), np.full((120, 400), 255, np.uint8)) == []
