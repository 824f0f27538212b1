"""The true text of a page and what was read of it, side by side, with the grapheme clusters that differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rapidfuzz.distance import Levenshtein

from bec_orch.jobs.evalv1.normalise import graphemes

MOST_CLUSTERS = 3000
"""Of a text that is longer than this, the rest is left out: a page of print has some 1,500."""
_LINE_ENDS = frozenset({"\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line that differs as a whole, or not at all."""

    text: str
    differs: bool


Lines = tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two texts by their lines. `left_out` says how many grapheme clusters of them together are not shown."""

    truth: Lines
    read: Lines
    left_out: int = 0


def compared(truth: str, read: str) -> Comparison:
    """Compare two normalised texts as the character error rate does: white space differs nowhere."""
    sides = graphemes(truth), graphemes(read)
    solid = [[place for place, cluster in enumerate(side) if not cluster.isspace()] for side in sides]
    marks: tuple[set[int], set[int]] = (set(), set())
    texts = [[side[place] for place in places] for side, places in zip(sides, solid, strict=True)]
    for edit in Levenshtein.editops(*texts):
        if edit.tag != "insert":
            marks[0].add(solid[0][edit.src_pos])
        if edit.tag != "delete":
            marks[1].add(solid[1][edit.dest_pos])
    left_out = sum(max(0, len(side) - MOST_CLUSTERS) for side in sides)
    first, second = (_lines(side[:MOST_CLUSTERS], own) for side, own in zip(sides, marks, strict=True))
    return Comparison(first, second, left_out)


def _lines(clusters: Sequence[str], marked: set[int]) -> Lines:
    lines: list[list[tuple[str, bool]]] = [[]]
    for place, cluster in enumerate(clusters):
        if cluster in _LINE_ENDS:
            lines.append([])
        else:
            lines[-1].append((" " if cluster.isspace() else cluster, place in marked))
    return tuple(_pieces(line) for line in lines if line)


def _pieces(line: Sequence[tuple[str, bool]]) -> tuple[Piece, ...]:
    runs = groupby(line, key=lambda one: one[1])
    return tuple(Piece("".join(cluster for cluster, _ in run), differs) for differs, run in runs)
