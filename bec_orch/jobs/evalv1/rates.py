"""Edit distances and the rates made of them: docs/evaluation.md has each definition, with its source.

The distance is that of Levenshtein (Soviet Physics Doklady 10(8), 1966); the rates divide it by the length of the truth
(Morris, Maier and Green, Interspeech 2004).

So a rate can be above 1. It is 0 when both texts are empty, and undefined (None) when
only the truth is.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
from pyewts import pyewts
from rapidfuzz.distance import Levenshtein

from bec_orch.jobs.evalv1.normalise import graphemes, without_whitespace

_WYLIE = pyewts()


@dataclass(frozen=True, slots=True)
class Edits:
    """What changes the truth into the recognised text with as few edits as possible. Mergeable.

    `insertions` are units that only the recognised text has, `deletions` those that only the truth has; `length` is
    the number of units of the truth.
    """

    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0
    length: int = 0

    @property
    def errors(self) -> int:
        """The Levenshtein distance."""
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self) -> float | None:
        """Errors / length of the truth; None where the truth is empty and the recognised text is not."""
        if self.length:
            return self.errors / self.length
        return None if self.errors else 0.0

    def __add__(self, other: "Edits") -> "Edits":
        return Edits(
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
            self.length + other.length,
        )


@dataclass(frozen=True, slots=True)
class Confusion:
    """One unit of the truth that was read as another; empty text stands for none."""

    truth: str
    ocr: str
    count: int


def compare(truth: Sequence[str], ocr: Sequence[str]) -> tuple[Edits, list[Confusion]]:
    """Align two texts, as sequences of units, by Levenshtein distance; the most common confusions come first.

    Where several alignments are as short, which one is taken decides the confusions, never the distance.
    """
    confused: Counter[tuple[str, str]] = Counter()
    tags: Counter[str] = Counter()
    for edit in Levenshtein.editops(truth, ocr):
        tags[edit.tag] += 1
        gone = "" if edit.tag == "insert" else truth[edit.src_pos]
        come = "" if edit.tag == "delete" else ocr[edit.dest_pos]
        confused[gone, come] += 1
    edits = Edits(tags["insert"], tags["delete"], tags["replace"], len(truth))
    ranked = sorted(confused.items(), key=lambda item: (-item[1], item[0]))
    return edits, [Confusion(*pair, count) for pair, count in ranked]


def edits_between(truth: Sequence[str], ocr: Sequence[str]) -> Edits:
    """Count the edits alone; see `compare`."""
    return compare(truth, ocr)[0]


def grapheme_edits(truth: str, ocr: str) -> Edits:
    """Compare by grapheme clusters of the NFC, white space as it stands (dinglehopper's definition)."""
    return edits_between(*(graphemes(unicodedata.normalize("NFC", text)) for text in (truth, ocr)))


def cer_codepoints(truth: str, ocr: str) -> float | None:
    """Return jiwer's character error rate: code points, white space counted, but stripped at the ends."""
    return _jiwer_cer(truth, ocr)


def cer_no_whitespace(truth: str, ocr: str) -> float | None:
    """Return jiwer's character error rate of the texts without any white space."""
    return _jiwer_cer(without_whitespace(truth), without_whitespace(ocr))


def cer_wylie(truth: str, ocr: str) -> float | None:
    """Return jiwer's character error rate of both texts in Wylie transliteration, as `pyewts` makes it."""
    return _jiwer_cer(_WYLIE.toWylie(truth), _WYLIE.toWylie(ocr))


def _jiwer_cer(truth: str, ocr: str) -> float | None:
    if not truth.strip():
        return None if ocr.strip() else 0.0
    return float(jiwer.cer(truth, ocr))


def agreement(one: Sequence[str], other: Sequence[str]) -> float:
    """Return how alike two texts are, 0 to 1: 1 - distance / length of the longer one; 1 when both are empty."""
    return float(Levenshtein.normalized_similarity(one, other))
