"""The viewer: where its keys lead, and how sure its lines are."""

import pytest

from bec_orch.core.transcripts import Line
from bec_orch.orch.overview.volume_pages import PageView
from bec_orch.web.viewer.difference import Piece
from bec_orch.web.viewer.viewer import shown_lines, turns

PAGES = [
    PageView(1, "a", "ok", {"confidence": 0.9}),
    PageView(2, "b", "error"),
    PageView(3, "c", "ok", {"confidence": 0.5}),
    PageView(4, "d", "skipped"),
    PageView(5, "e", "error"),
    PageView(6, "f", "ok", {"confidence": 0.7}),
    PageView(7, "g", "ok", {"confidence": None}),
]


def test_the_first_and_the_last_page_lead_one_way() -> None:
    assert (turns(PAGES, 1).before, turns(PAGES, 1).after) == (None, 2)
    assert (turns(PAGES, 7).before, turns(PAGES, 7).after) == (6, None)


@pytest.mark.parametrize(("number", "error"), [(1, 2), (2, 5), (3, 5), (5, 2), (7, 2)])
def test_errors_follow_each_other_in_a_circle(number: int, error: int) -> None:
    assert turns(PAGES, number).error == error


def test_an_error_alone_leads_nowhere() -> None:
    assert turns(PAGES[:2], 2).error is None


@pytest.mark.parametrize(("number", "doubtful"), [(1, 3), (2, 3), (3, 6), (6, 3), (7, 3)])
def test_from_any_page_the_least_sure_one_is_next(number: int, doubtful: int) -> None:
    assert turns(PAGES, number).doubtful == doubtful


@pytest.mark.parametrize(("number", "doubtful"), [(1, None), (2, 3), (3, 6), (6, 1), (7, 3)])
def test_from_the_least_sure_page_it_goes_up(number: int, doubtful: int | None) -> None:
    assert turns(PAGES, number, climbs=True).doubtful == doubtful


@pytest.mark.parametrize(("confidence", "shade"), [(None, None), (0.0, 0), (0.19, 0), (0.5, 2), (0.99, 4), (1.0, 4)])
def test_lines_are_shaded_by_their_confidence(confidence: float | None, shade: int | None) -> None:
    (one,) = shown_lines([Line(((1, 2), (3, 4)), confidence=confidence)])
    assert (one.number, one.points, one.shade, one.pieces) == (1, "1,2 3,4", shade, None)


def test_each_line_has_its_own_pieces() -> None:
    lines = [Line(((0, 0),), text="a"), Line(((0, 0),), text="b")]
    pieces = [[Piece("same", "a")], [Piece("read", "b")]]
    assert [one.pieces for one in shown_lines(lines, pieces)] == pieces
