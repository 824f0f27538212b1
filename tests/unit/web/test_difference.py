"""Differences between lines that were read and another text of the page."""

import pytest

from bec_orch.web.viewer.difference import MOST_SYLLABLES, Piece, differences


def told(lines: list[str], other: str) -> list[str]:
    """Write each line with `-what was read-` and `+what lacks+`."""
    marks = {"same": "", "read": "-", "lacking": "+"}
    found = differences(lines, other)
    assert found is not None
    return ["".join(f"{marks[piece.kind]}{piece.text}{marks[piece.kind]}" for piece in line) for line in found]


@pytest.mark.parametrize(
    ("lines", "other", "expected"),
    [
        (["བོད་ཀྱི་", "ཡི་གེ།"], "བོད་ཀྱི་ཡི་གེ།", ["བོད་ཀྱི་", "ཡི་གེ།"]),
        (["བོད་ཀྱི་", "ཡི་གེ།"], "བོད་གྱི་\nཡི་གེ།", ["བོད་-ཀྱི་-+གྱི་+", "ཡི་གེ།"]),
        (["བོད་ཀྱི་", "ཡི་གེ།"], "བོད་ཀྱི་ཡི་", ["བོད་ཀྱི་", "ཡི་-གེ།-"]),
        (["བོད་", "ཡི་གེ།"], "བོད་ཀྱི་ཡི་གེ།", ["བོད་", "+ཀྱི་+ཡི་གེ།"]),
        (["བོད་"], "བོད་ཀྱི་ཡི་གེ།", ["བོད་+ཀྱི་ཡི་གེ།+"]),
        (["one word more"], "one more", ["one-word-more"]),
        (["one two three"], "one two three", ["one two three"]),
        (["", "x"], "x", ["", "x"]),
        (["", ""], "ཀ་", ["", "+ཀ་+"]),
        (["ཀ་"], "", ["-ཀ་-"]),
        ([], "ཀ་", []),
    ],
)
def test_what_is_the_same_was_read_or_lacks(lines: list[str], other: str, expected: list[str]) -> None:
    assert told(lines, other) == expected


def test_nothing_of_either_text_is_lost() -> None:
    lines, other = ["ཀ་ཁ་ག་", "ང་ཅ་", "ཆ་"], "ཁ་ག་ང་ཉ་ཆ་ཇ་"
    found = differences(lines, other)
    assert found is not None
    assert ["".join(piece.text for piece in line if piece.kind != "lacking") for line in found] == lines
    assert "".join(piece.text for line in found for piece in line if piece.kind != "read") == other
    assert Piece("same", "ཁ་ག་") in found[0]


def test_texts_of_any_length_take_no_time() -> None:
    assert differences(["ཀ་" * (MOST_SYLLABLES + 1)], "ཁ་") is None
    assert differences(["ཀ་"], "ཁ་" * (MOST_SYLLABLES + 1)) is None
