"""The plain tracer that networks are judged by, and the counts that it is judged against."""

from pathlib import Path

import numpy as np
import pytest

from training.contact_sheet import real_pages
from training.judge import Look, may_be
from training.kinds import Floats
from training.network_input import MULTIPLE, OUTPUTS, normalised, padded
from training.tracing import MAP_PITCH, Core, pitch_of, traced

SIZE = (120, 400)


def maps_with(*lines: tuple[int, int, float], slope: float = 0.0, thick: int = 3) -> Floats:
    """Maps with cores of main text from column to column at a row, falling by a slope."""
    maps = np.zeros((len(OUTPUTS), *SIZE), np.float32)
    for left, right, row in lines:
        for x in range(left, right):
            y = round(row + slope * (x - left))
            maps[1, y : y + thick, x] = 0.95
    return maps


def test_pieces_are_joined_along_their_slope() -> None:
    maps = maps_with((10, 380, 20), (10, 380, 40), slope=0.05)
    maps[1, :, 150:200] = 0
    lines = traced(maps, main=True)
    assert len(lines) == 2
    assert all(line.x[0] == 10 and line.x[-1] == 379 for line in lines)


def test_lines_are_not_joined_over_a_gap_between_columns() -> None:
    maps = maps_with((10, 180, 20), (220, 390, 20))
    assert len(traced(maps, main=True)) == 1
    maps[5, 5:40, 182:218] = 0.9
    assert len(traced(maps, main=True)) == 1, "a string hole is no gap between columns"
    maps[5, :, 182:218] = 0.9
    assert len(traced(maps, main=True)) == 2


@pytest.mark.parametrize(("rows", "expected"), [(9, 18), (5, 5)])
def test_rows_that_all_stop_at_one_gap_stand_in_two_columns(rows: int, expected: int) -> None:
    lines = [(10 + row % 3, 180 - row % 2, 5 + 12 * row) for row in range(rows)]
    maps = maps_with(*lines, *((200 + row % 3, 390, 5 + 12 * row) for row in range(rows)))
    assert len(traced(maps, main=True)) == expected


def test_a_wide_space_within_one_row_parts_nothing() -> None:
    lines = [(10, 390, 5 + 12 * row) for row in range(9)]
    maps = maps_with(*lines)
    maps[:, 5 + 12 * 4 : 17 + 12 * 4, 150:230] = 0
    assert len(traced(maps, main=True)) == 9


def test_text_of_either_kind_is_text_and_short_only_where_it_is_other() -> None:
    maps = maps_with((10, 380, 20))
    maps[1, 60:63, 100:106], maps[2, 60:63, 100:106] = 0.4, 0.5
    maps[1, 90:93, 100:106], maps[2, 90:93, 100:106] = 0.5, 0.4
    assert len(traced(maps, main=True)) == 1
    assert len(traced(maps, main=False)) == 1


def test_neighbours_that_touch_are_cut_apart() -> None:
    maps = maps_with((10, 380, 20), (10, 380, 32))
    maps[1, 20:34, 200:204] = 0.6
    assert len(traced(maps, main=True)) == 2


def test_specks_and_doubtful_pieces_are_no_lines() -> None:
    maps = maps_with((10, 380, 20), (30, 34, 60))
    maps[1, 90:93, 50:300] = 0.55
    assert len(traced(maps, main=True)) == 1


def test_the_pitch_is_that_of_lines_above_each_other() -> None:
    lines = traced(maps_with((10, 380, 20), (10, 380, 38), (10, 380, 56)), main=True)
    assert pitch_of(lines) == pytest.approx(18, abs=0.2)
    assert pitch_of(lines[:1]) is None


def test_rows_of_other_text_above_and_below_are_counted_once_each() -> None:
    def line(row: float, left: int, right: int) -> Core:
        x = np.arange(left, right)
        return Core(x, np.full(len(x), row, np.float32), 0.9)

    main = [line(40 + MAP_PITCH * row, 10, 300) for row in range(4)]
    head, number, note = line(20, 10, 90), line(21, 250, 262), line(46, 310, 330)
    look = Look(1.0, np.zeros(SIZE, np.uint8), np.zeros((7, *SIZE), np.float32), main, [head, number, note])
    assert look.rows() == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", (22, 22)), ("20..24", (20, 24)), ("-1..+2", (21, 24)), ("+1 number", (22, 23)), ("+2; -3..+3", (19, 27))],
)
def test_what_may_be_right_too_is_read_from_the_table(text: str, expected: tuple[int, int]) -> None:
    assert may_be(22, text) == expected


def test_the_input_is_measured_against_its_surroundings() -> None:
    rng = np.random.default_rng(1)
    page = np.full((200, 300), 200, np.uint8)
    page[50:150:6, 30:270] = 20
    dim = (page * 0.4 + 20).astype(np.uint8)
    assert np.abs(normalised(page) - normalised(dim)).mean() < 0.05
    assert np.abs(normalised(np.full((80, 80), 180, np.uint8))).max() == 0
    wide = padded(rng.integers(0, 255, (33, 65)).astype(np.uint8))
    assert wide.shape == (2 * MULTIPLE, 3 * MULTIPLE)


def test_a_picture_that_cannot_be_read_is_told_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    assert list(real_pages([tmp_path], 1)) == []
    assert "left out" in capsys.readouterr().out
