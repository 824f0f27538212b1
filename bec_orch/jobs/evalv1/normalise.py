"""Text as it is compared, and the units that it is compared by.

`normalise` makes equal what looks equal on paper, and nothing else; docs/evaluation.md has its rules. The
units are grapheme clusters (UAX #29), code points, Tibetan syllables and words.
"""

import unicodedata
from collections.abc import Sequence

import regex

from bec_orch.jobs.shared.tibetan import in_order

_REPLACED = str.maketrans(
    {
        # Invisible, and of no meaning for the text.
        "\u00ad": None,
        "\u200b": None,
        "\u2060": None,
        "\ufeff": None,
        # Latin ligatures, as Unicode's compatibility decomposition has them.
        **{chr(code): unicodedata.normalize("NFKD", chr(code)) for code in range(0xFB00, 0xFB07)},
        # Tibetan letters and signs that only differ in how they are encoded.
        "\u0f00": "\u0f68\u0f7c\u0f7e",
        "\u0f0c": "\u0f0b",
        "\u0f0e": "\u0f0d\u0f0d",
    }
)
_CLUSTER = regex.compile(r"\X")
_SYLLABLE = regex.compile(r"[\p{L}\p{M}\p{N}]+")


def normalise(text: str) -> str:
    """Return the form that is compared: NFC, Tibetan stacks in one order, look-alikes as one. Idempotent."""
    return in_order(text.translate(_REPLACED))


def composed(text: str) -> str:
    """Return a text in NFC, its stacks as they are stored."""
    return unicodedata.normalize("NFC", text)


def without_whitespace(text: str) -> str:
    """Remove all white space, line ends included."""
    return "".join(text.split())


def single_spaced(text: str) -> str:
    """Replace each run of white space with one space, and remove those at the ends."""
    return " ".join(text.split())


def graphemes(text: str) -> Sequence[str]:
    """Split a text into extended grapheme clusters (UAX #29): for Tibetan, a stack with its signs is one."""
    found: list[str] = _CLUSTER.findall(text)
    return found


def syllables(text: str) -> Sequence[str]:
    """Split a Tibetan text into syllables: what stands between tshegs, other punctuation, signs and white space."""
    found: list[str] = _SYLLABLE.findall(text)
    return found


def words(text: str) -> Sequence[str]:
    """Split a text into words: what stands between white space, with its punctuation."""
    return text.split()
