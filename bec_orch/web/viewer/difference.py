"""The difference between the lines that were read and another text of the page, syllable by syllable.

The text's own lines do not matter: it is laid along the lines of the page. It is compared by `difflib` (Ratcliff,
"Pattern Matching: The Gestalt Approach", Dr. Dobb's Journal, July 1988).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

# A Tibetan syllable ends with its tsheg or shad; another word with the white space after it.
_SYLLABLE = re.compile(r"[^\s་-༔]+[་-༔]*|[་-༔]+")
MOST_SYLLABLES = 6000
"""Of a page: comparing takes up to the square of their number."""

Kind = Literal["same", "read", "lacking"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of a line: the `same` in both, `read` alone, or `lacking` in what was read."""

    kind: Kind
    text: str


def differences(lines: Sequence[str], other: str) -> list[list[Piece]] | None:
    """Return the pieces of each line; None where the texts are too long to be compared."""
    syllables = [_SYLLABLE.findall(line) for line in lines]
    read = [syllable for line in syllables for syllable in line]
    line_of = [number for number, line in enumerate(syllables) for _ in line]
    expected = _SYLLABLE.findall(other)
    if max(len(read), len(expected)) > MOST_SYLLABLES:
        return None
    pieces: list[list[Piece]] = [[] for _ in lines]
    for kind, start, end, begin, stop in SequenceMatcher(None, read, expected, autojunk=False).get_opcodes():
        for place in range(start, end):
            _add(pieces[line_of[place]], Piece("same" if kind == "equal" else "read", read[place]))
        if kind in {"insert", "replace"} and lines:
            # What lacks stands where the reading went on: behind what was read in its place.
            line = line_of[end - 1] if end > start else line_of[start] if start < len(read) else len(lines) - 1
            _add(pieces[line], Piece("lacking", "".join(expected[begin:stop])))
    return pieces


def _add(pieces: list[Piece], piece: Piece) -> None:
    """Add a piece to a line, as one with the piece before it where both are of a kind."""
    if pieces and pieces[-1].kind == piece.kind:
        piece = Piece(piece.kind, pieces.pop().text + _gap(piece.text) + piece.text)
    pieces.append(piece)


def _gap(text: str) -> str:
    return "" if "\u0f00" <= text[:1] <= "\u0fff" else " "
