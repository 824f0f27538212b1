"""The one order in which the code points of a Tibetan stack are written.

NFC (UAX #15) decomposes Tibetan (its precomposed letters are excluded from composition) and sorts marks by combining
class: a-chung (U+0F71), then the vowels above, then U+0F74. It cannot sort what has combining class 0: subjoined
letters, anusvara (U+0F7E) and visarga (U+0F7F), which may stand before a vowel or after it. The order here is that of
the Unicode Standard, core specification, section 13.4 "Tibetan": head letter, subjoined letters from top to bottom,
a-chung, vowels, then the marks on top, and the visarga.
"""

import re
import unicodedata

_SUBJOINED = "\u0f8d-\u0fbc"
_MARKS = "\u0f18\u0f19\u0f35\u0f37\u0f39\u0f71-\u0f84\u0f86\u0f87\u0fc6"
# Combining marks of no script, which hands and recognisers put on Tibetan too: NFC sorts them among the others.
_OF_ANY_SCRIPT = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_STACK_REST = re.compile(f"[{_SUBJOINED}{_MARKS}{_OF_ANY_SCRIPT}]{{2,}}")
_WRITTEN_OUT = str.maketrans({"\u0f77": "\u0fb2\u0f71\u0f80", "\u0f79": "\u0fb3\u0f71\u0f80"})
"""The two vowels that section 13.4 discourages, as what they stand for."""

# What stands later in a stack has the higher rank; equals keep their order. The tsa-phru is part of the letter that it
# follows, so it ranks with the letters.
_RANKED = (
    "\u0f71",
    "\u0f72\u0f73\u0f7a\u0f7b\u0f7c\u0f7d\u0f80\u0f81",
    "\u0f74\u0f75\u0f76\u0f78",
    "\u0f84",
    "\u0f18\u0f19\u0f35\u0f37\u0fc6",
    "\u0f82\u0f83\u0f86\u0f87",
    "\u0f7e",
    "\u0f7f",
)
_RANKS = {mark: rank for rank, marks in enumerate(_RANKED, 1) for mark in marks}


def in_order(text: str) -> str:
    """Return a text in NFC, each Tibetan stack in the order of this module; idempotent."""
    apart = unicodedata.normalize("NFD", text.translate(_WRITTEN_OUT))
    return unicodedata.normalize("NFC", _STACK_REST.sub(_sorted, apart))


def _sorted(marks: re.Match[str]) -> str:
    return "".join(sorted(marks[0], key=lambda mark: _RANKS.get(mark, 0)))
