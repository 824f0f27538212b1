"""The counts that networks are judged against, and the pages that are shown beside composed ones."""

from pathlib import Path

import numpy as np
import pytest

from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced
from training.lines.contact_sheet import real_pages
from training.lines.judge import may_be, rows_of


def test_rows_of_other_text_above_and_below_are_counted_once_each() -> None:
    def line(row: float, left: int, right: int, *, main: bool = False) -> Traced:
        x = np.arange(left, right, dtype=np.float32)
        y = np.full(len(x), row, np.float32)
        return Traced(x, y, y - 4, y + 4, 0.9, main, 100.0)

    main = [line(40 + MAP_PITCH * row, 10, 300, main=True) for row in range(4)]
    head, number, note = line(20, 10, 90), line(21, 250, 262), line(46, 310, 330)
    assert rows_of([head, number, main[0], note, *main[1:]]) == 5
    assert rows_of([head, note]) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", (22, 22)), ("20..24", (20, 24)), ("-1..+2", (21, 24)), ("+1 number", (22, 23)), ("+2; -3..+3", (19, 27))],
)
def test_what_may_be_right_too_is_read_from_the_table(text: str, expected: tuple[int, int]) -> None:
    assert may_be(22, text) == expected


def test_a_picture_that_cannot_be_read_is_reported_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    assert list(real_pages([tmp_path], 1)) == []
    assert "left out" in capsys.readouterr().out
