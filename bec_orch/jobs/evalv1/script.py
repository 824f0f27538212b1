"""Whether the code points of a text are of the expected script, and its Tibetan stacks well formed.

What a stack may look like is defined by the Unicode Standard, section 13.4 "Tibetan": a letter, then subjoined letters
below it, then vowel signs and other marks. The native stacks are those of the tables of EWTS (the Extended Wylie
Transliteration Scheme of the Tibetan and Himalayan Library) that need no `+`. See docs/evaluation.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import regex

DEEPEST_STACK = 8
"""Letters: the deepest one that is in use, the Kalachakra monogram h-k-sh-m-l-w-r-y, has this many."""
_EXAMPLES = 5

_BASE: Final = r"\u0f00\u0f40-\u0f47\u0f49-\u0f6c\u0f88-\u0f8c"
_BELOW: Final = r"\u0f8d-\u0f97\u0f99-\u0fbc"
_SIGN: Final = r"\u0f18\u0f19\u0f35\u0f37\u0f71-\u0f84\u0f86\u0f87\u0fc6"
_ANY_MARK: Final = rf"{_BELOW}{_SIGN}\u0f39\u0f3e\u0f3f"

_STACK = regex.compile(rf"[{_BASE}]\u0f39?(?:[{_BELOW}]\u0f39?)*([{_SIGN}\u0f39]*)")
_DIGIT = regex.compile(r"[\u0f20-\u0f33][\u0f18\u0f19\u0f35\u0f37\u0f39\u0f3e\u0f3f]*")
_SYMBOL = regex.compile(
    r"[\u0f01-\u0f17\u0f1a-\u0f1f\u0f34\u0f36\u0f38\u0f3a-\u0f3d\u0f85\u0fbe-\u0fc5\u0fc7-\u0fda]"
    r"[\u0f35\u0f37\u0f82\u0f83\u0fc6]*"
)
_LETTERED = regex.compile(rf"[{_BASE}{_BELOW}]")
_MARKED = regex.compile(rf"[{_BASE}{_ANY_MARK}]")
_LETTERS = regex.compile(rf"[{_BASE}{_BELOW}]")
_TO_BASE = {chr(code + 0x50): chr(code) for code in range(0x0F40, 0x0F6D)} | {
    "\u0fba": "\u0f5d",
    "\u0fbb": "\u0f61",
    "\u0fbc": "\u0f62",
}


@dataclass(frozen=True, slots=True)
class Stacks:
    """The Tibetan stacks of a text: letters with what belongs to them, and marks that stand on nothing.

    `illegal` ones can be no Tibetan; `foreign` ones are well formed, but none of the native language's: Sanskrit in
    Tibetan letters, or a misreading. `examples` are some different illegal ones.
    """

    count: int
    illegal: int
    foreign: int
    examples: tuple[str, ...]


def outside_script(text: str, script: str) -> int:
    """Count code points of other scripts, and those that no text should have.

    Those that all scripts share (`Common`, `Inherited`: digits, most punctuation) are not outside, but for U+FFFD;
    private and unassigned ones are, and so are controls. White space counts nowhere.

    Args:
        text: the text.
        script: the Unicode name of the script, such as `Tibetan`.
    """
    return len(_outside(script).findall(text))


@cache
def _outside(script: str) -> "regex.Pattern[str]":
    return regex.compile(
        rf"\ufffd|[^\p{{Script={script}}}\p{{Script=Common}}\p{{Script=Inherited}}\s]|(?!\s)\p{{Cc}}", regex.V0
    )


def stacks_of(clusters: Iterable[str]) -> Stacks:
    """Look at the Tibetan stacks among grapheme clusters."""
    tibetan = [cluster for cluster in clusters if _MARKED.search(cluster)]
    illegal = [cluster for cluster in tibetan if not is_legal(cluster)]
    foreign = sum(is_legal(cluster) and not is_native(cluster) for cluster in tibetan)
    return Stacks(len(tibetan), len(illegal), foreign, tuple(dict.fromkeys(illegal))[:_EXAMPLES])


@lru_cache(maxsize=100_000)
def is_legal(cluster: str) -> bool:
    """Return whether a grapheme cluster of Tibetan is well formed.

    It is when letters stand before the signs on them (U+0F39 belongs to the letter right before it), no sign stands
    twice, none stands alone, no letter comes three times in a row, and at most `DEEPEST_STACK` letters stand on
    each other. Digits and symbols take only the signs that are meant for them.
    """
    found = _STACK.fullmatch(cluster)
    if found is None:
        return bool(_DIGIT.fullmatch(cluster) or _SYMBOL.fullmatch(cluster))
    signs = found[1].replace("\u0f39", "")
    letters = _letters(cluster)
    deep = len(letters) > DEEPEST_STACK
    return not deep and len(set(signs)) == len(signs) and not _has_triple(letters)


@lru_cache(maxsize=100_000)
def is_native(cluster: str) -> bool:
    """Return whether the letters of a stack are one of the native stacks; clusters without letters are."""
    return not _LETTERED.search(cluster) or _letters(cluster) in _native()


def _letters(cluster: str) -> str:
    """Return the letters of a stack, subjoined ones as what they are when they stand alone."""
    return "".join(_TO_BASE.get(letter, letter) for letter in _LETTERS.findall(cluster))


def _has_triple(letters: Sequence[str]) -> bool:
    return any(one == two == three for one, two, three in zip(letters, letters[1:], letters[2:], strict=False))


_NATIVE_LETTERS = "ཀཁགངཅཆཇཉཏཐདནཔཕབམཙཚཛཝཞཟའཡརལཤསཧཨ"
_UNDER_RA = "ཀགངཇཉཏདནབམཙཛ"
_UNDER_LA = "ཀགངཅཇཏདཔབཧ"
_UNDER_SA = "ཀགངཉཏདནཔབམཙ"
_OVER = {
    "ཡ": ("ཀ", "ཁ", "ག", "པ", "ཕ", "བ", "མ", "རཀ", "རག", "རམ", "སཀ", "སག", "སཔ", "སབ", "སམ"),
    "ར": ("ཀ", "ཁ", "ག", "ཏ", "ཐ", "ད", "ན", "པ", "ཕ", "བ", "མ", "ཤ", "ས", "ཧ", "སཀ", "སག", "སན", "སཔ", "སབ", "སམ"),
    "ལ": ("ཀ", "ག", "བ", "ཟ", "ར", "ས"),
    "ཝ": (
        *("ཀ", "ཁ", "ག", "ཅ", "ཉ", "ཏ", "ད", "ཙ", "ཚ", "ཞ", "ཟ", "ར", "ལ", "ཤ", "ས", "ཧ"),
        *("གར", "དར", "ཕཡ", "རག", "རཙ"),
    ),
}


@cache
def _native() -> frozenset[str]:
    headed = {head + root for head, roots in (("ར", _UNDER_RA), ("ལ", _UNDER_LA), ("ས", _UNDER_SA)) for root in roots}
    footed = {above + foot for foot, stacks in _OVER.items() for above in stacks}
    return frozenset({*_NATIVE_LETTERS, *headed, *footed})
