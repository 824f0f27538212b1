"""Joining, margins, columns and reading order, on segments of drawn maps."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from bec_orch.jobs.ldv1.one_map.reading import lines_in_order
from bec_orch.jobs.ldv1.one_map.segments import find_segments
from bec_orch.jobs.ldv1.page.layout import level_boxes, overrun_edges
from bec_orch.jobs.ldv1.page.segment import Segment, usual_thickness
from bec_orch.jobs.ldv1.page.skew import page_slope
from tests.unit.ldv1.drawn import marked

Bar = tuple[float, float, float, float]


def level_segments(size: tuple[int, int], bars: Sequence[Bar]) -> list[Segment]:
    found = find_segments(marked(size, bars), threshold=0.3, min_score=0.5, unclip_ratio=1.8)
    return [part for part in found if not part.upright]


def read(size: tuple[int, int], bars: Sequence[Bar]) -> list[list[tuple[int, int]]]:
    """The lines in order, each with the (left, y) of its segments, rounded to ten pixels."""
    segments = level_segments(size, bars)
    lines = lines_in_order(segments, page_slope(segments))
    return [[(round(part.left / 10) * 10, round(part.ys.mean() / 10) * 10) for part in line] for line in lines]


def test_no_segments_no_lines() -> None:
    assert lines_in_order([], 0.0) == ()


def test_lines_broken_by_a_gap_or_a_string_hole_are_one_each() -> None:
    bars: list[Bar] = [(100, y, 900, y) for y in (40, 70, 160, 190)]
    bars += [(100, 100, 300, 100), (400, 100, 900, 100), (100, 130, 300, 130), (400, 130, 900, 130)]
    assert read((1000, 230), bars) == [
        [(100, 40)],
        [(100, 70)],
        [(100, 100), (400, 100)],
        [(100, 130), (400, 130)],
        [(100, 160)],
        [(100, 190)],
    ]


def test_segments_are_joined_along_a_slope_that_crosses_the_next_line() -> None:
    slope = 0.05
    bars: list[Bar] = []
    for row in range(5):
        y = 40 + 28 * row
        bars += [(100, y + 100 * slope, 450, y + 450 * slope), (600, y + 600 * slope, 1300, y + 1300 * slope)]
    lines = read((1400, 280), bars)
    assert [len(line) for line in lines] == [2] * 5
    assert [line[0][0] for line in lines] == [100] * 5


def test_segments_are_joined_along_a_curve() -> None:
    def height(x: float, row: int) -> float:
        return 60 + 30 * row + 30 * float(np.sin((x - 100) / 1200 * np.pi))

    steps = np.linspace(100, 1300, 25)
    pieces = [(a, b) for a, b in pairwise(steps) if not 600 <= a < 700]
    bars: list[Bar] = [(a, height(a, row), b, height(b, row)) for row in range(5) for a, b in pieces]
    assert [len(line) for line in read((1400, 300), bars)] == [2] * 5


def test_a_folio_number_beside_the_last_line_stays_apart() -> None:
    bars: list[Bar] = [(120, y, 1100, y) for y in (40, 70, 100, 130, 160)]
    lines = read((1200, 200), [*bars, (70, 160, 95, 160)])
    assert lines[4:] == [[(70, 160)], [(120, 160)]]


def test_a_piece_in_the_margin_that_is_higher_than_wide_is_left_out() -> None:
    bars: list[Bar] = [(120, y, 1100, y) for y in (40, 70, 100, 130, 160)]
    assert len(read((1200, 200), [*bars, (1160, 100, 1168, 100)])) == 5


def test_a_running_head_and_its_page_number_are_one_line() -> None:
    bars: list[Bar] = [(50, y, 450, y) for y in range(80, 400, 30)]
    lines = read((500, 440), [(100, 40, 250, 40), (410, 40, 450, 40), *bars])
    assert lines[0] == [(100, 40), (410, 40)]


def test_initials_before_most_lines_belong_to_them() -> None:
    bars: list[Bar] = [(100, y, 420, y) for y in range(40, 400, 30)]
    bars += [(60, y, 75, y) for y in range(40, 220, 30)]
    assert [len(line) for line in read((500, 440), bars)] == [2] * 6 + [1] * 6


def test_columns_are_read_one_after_the_other() -> None:
    rows = list(range(80, 320, 30))
    bars: list[Bar] = [(50, y, 250, y) for y in rows]
    bars += [(300, y + 4, 500, y + 4) for y in rows]
    lines = read((550, 400), [(60, 40, 480, 40), *bars, (260, 350, 290, 350)])
    assert lines[0] == [(60, 40)]
    assert [line[0][0] for line in lines[1:9]] == [50] * 8
    assert [line[0][0] for line in lines[9:17]] == [300] * 8
    assert lines[17] == [(260, 350)]


def in_columns(rows: Sequence[int], *wide: Bar, slope: float = 0.0) -> list[Bar]:
    """Two columns of bars, skewed, and some bars beside them."""
    return [
        (x - slope * y, y + slope * x, end - slope * y, y + slope * end)
        for y in rows
        for x, end in ((50, 250), (300, 500))
    ] + list(wide)


def test_columns_that_stand_half_a_line_apart_are_read_one_after_the_other() -> None:
    rows = range(40, 340, 30)
    lines = read((550, 400), [*((50, y, 250, y) for y in rows), *((300, y + 15, 500, y + 15) for y in rows)])
    assert [line[0][0] for line in lines] == [50] * 10 + [300] * 10


def test_one_wide_row_does_not_decide_about_columns() -> None:
    """Three rows alone would be read across; below them is a heading, then enough rows to show the gutter."""
    upper, lower = [40, 70, 100], list(range(160, 340, 30))
    lines = read((550, 400), in_columns([*upper, *lower], (50, 130, 500, 130)))
    assert lines[:3] == [[(50, y)] for y in upper]
    assert lines[3:6] == [[(300, y)] for y in upper]
    assert lines[6] == [(50, 130)]
    assert [line[0][0] for line in lines[7:]] == [50] * 6 + [300] * 6


def test_rows_beyond_a_wide_one_may_reach_into_the_gutter() -> None:
    ragged: list[Bar] = [bar for y in (40, 70, 100) for bar in [(50, y, 256, y), (300, y, 500, y)]]
    lines = read((550, 400), [*ragged, *in_columns(list(range(160, 340, 30)), (50, 130, 500, 130))])
    assert [line[0][0] for line in lines[:6]] == [50] * 3 + [300] * 3


def test_rows_of_single_text_beside_columns_stay_whole() -> None:
    wide: list[Bar] = [(50, y, 500, y) for y in (340, 370)]
    lines = read((550, 440), in_columns(list(range(40, 280, 30)), *wide, (50, 400, 200, 400), (320, 400, 500, 400)))
    assert lines[-1] == [(50, 400), (320, 400)], "beyond two wide rows the columns are forgotten"


def test_a_gutter_leans_with_the_page() -> None:
    """Over the height of the page the gutter moves by more than its width."""
    rows = list(range(60, 1000, 30))
    lines = read((600, 1080), in_columns(rows, slope=0.06))
    assert len(lines) == 2 * len(rows)
    assert [len(line) for line in lines] == [1] * len(lines)
    assert all(line[0][0] > 180 for line in lines[len(rows) :])


def test_a_column_line_may_stand_in_the_gutter_below_the_first_rows() -> None:
    rows = list(range(40, 280, 30))
    bars: list[Bar] = [(50, y, 230, y) for y in rows]
    bars += [(300, y, 500, y) for y in rows]
    lines = read((550, 330), [*bars, (50, 280, 296, 280), (303, 280, 450, 280)])
    assert [line[0][0] for line in lines] == [50] * 9 + [300] * 9


def test_a_heading_over_the_right_half_of_a_list_is_read_first() -> None:
    labels: list[Bar] = [(50, y, 150, y) for y in range(100, 400, 30)]
    lines = read((550, 440), [(200, 30, 400, 30), (220, 60, 380, 60), *labels])
    assert [line[0][1] for line in lines[:3]] == [30, 60, 100]


def test_verse_set_in_halves_on_a_pecha_is_read_across() -> None:
    bars: list[Bar] = [bar for y in (40, 70, 100, 130, 160) for bar in [(60, y, 560, y), (640, y, 1140, y)]]
    assert [len(line) for line in read((1200, 200), bars)] == [2] * 5


def test_a_pair_of_words_in_columns_of_a_few_rows_is_no_column() -> None:
    bars: list[Bar] = [(50, y, 450, y) for y in range(40, 300, 30)]
    verse: list[Bar] = [bar for y in (320, 350, 380) for bar in [(50, y, 200, y), (260, y, 400, y)]]
    assert [len(line) for line in read((500, 420), bars + verse)][-3:] == [2] * 3


def edges(size: tuple[int, int], bars: Sequence[Bar]) -> list[float]:
    segments = level_segments(size, bars)
    return overrun_edges(level_boxes(segments, 0.0, usual_thickness(segments)))


def test_a_line_that_runs_on_into_the_margin_shows_the_edge_to_cut_at() -> None:
    bars: list[Bar] = [(220, y, 1000, y) for y in (40, 70, 100, 130)]
    (edge,) = edges((1200, 200), [*bars, (60, 160, 1000, 160)])
    assert 205 < edge < 220
    (edge,) = edges((1200, 200), [*bars, (220, 160, 1160, 160)])
    assert 1000 < edge < 1015


def test_edges_are_not_cut_without_reason() -> None:
    bars: list[Bar] = [(220, y, 1000, y) for y in (40, 70, 100, 130, 160)]
    assert edges((1200, 200), bars) == []
    assert edges((1200, 200), [*bars, (60, 185, 300, 185)]) == []
    assert edges((1200, 900), [(220, y, 800, y) for y in range(40, 800, 30)] + [(60, 840, 800, 840)]) == []


@pytest.mark.filterwarnings("error")
def test_rows_that_share_no_place_have_no_edge() -> None:
    assert (
        edges((1200, 200), [(60 + 220 * row, 40 + 30 * row, 200 + 220 * row, 40 + 30 * row) for row in range(5)]) == []
    )
