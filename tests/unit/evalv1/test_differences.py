"""Truth beside text: what differs is marked on both sides, and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bec_orch.jobs.evalv1.normalise import normalise
from bec_orch.jobs.evalv1.report.differences import MOST_CLUSTERS, Lines, Piece, compared
from bec_orch.jobs.evalv1.report.values import FIRST_LINE_OFF, Sums


def marked(lines: Lines) -> list[str]:
    """Each line, what differs in brackets."""
    return ["".join(f"[{piece.text}]" if piece.differs else piece.text for piece in line) for line in lines]


def test_what_differs_is_marked_where_it_stands() -> None:
    found = compared("བཀྲ་ཤིས།\nབདེ་ལེགས།", "བཀྲ་ཤས།\nབདེ་ལེགས།ཀཀ")
    assert marked(found.truth) == ["བཀྲ་[ཤི]ས།", "བདེ་ལེགས།"]
    assert marked(found.read) == ["བཀྲ་[ཤ]ས།", "བདེ་ལེགས།[ཀཀ]"]
    assert found.left_out == 0


def test_white_space_and_ends_of_lines_never_differ() -> None:
    found = compared("one two\n\nthree", "one  two three\r\n")
    assert marked(found.truth) == ["one two", "three"]
    assert marked(found.read) == ["one  two three"]


def test_a_side_may_be_empty() -> None:
    assert marked(compared("ཀ", "").truth) == ["[ཀ]"]
    assert compared("ཀ", "").read == compared("", "").truth == ()
    assert compared("a\u00a0b", "ab").truth == ((Piece("a b", differs=False),),)


def test_a_text_without_end_is_cut() -> None:
    found = compared("ཀ" * (MOST_CLUSTERS + 5), "ཀ" * (MOST_CLUSTERS + 7))
    assert {len(side[0][0].text) for side in (found.truth, found.read)} == {MOST_CLUSTERS}
    assert found.left_out == 12


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_nothing_is_lost_and_equal_texts_differ_nowhere(truth: str, read: str) -> None:
    truth, read = normalise(truth), normalise(read)
    found = compared(truth, read)
    for text, lines in ((truth, found.truth), (read, found.read)):
        shown = "".join(piece.text for line in lines for piece in line)
        assert "".join(shown.split()) == "".join(text.split())
    same = compared(truth, truth)
    assert not any(piece.differs for line in (*same.truth, *same.read) for piece in line)


def test_sums_of_columns_that_older_artefacts_lack_are_0() -> None:
    assert Sums({})[FIRST_LINE_OFF] == 0
