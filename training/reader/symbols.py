"""The symbols that the recogniser writes: Unicode code points in the order of `in_order`, and the space.

Of other scripts there are only the digits, with which books number their pages. A text is brought to these before it is
set or compared: what looks alike is written alike.
"""

import re
import unicodedata

from bec_orch.jobs.shared.tibetan import in_order

_DIGITS = "".join(map(chr, range(0x0F20, 0x0F2A)))
_LETTERS = "".join(chr(code) for code in range(0x0F40, 0x0F6B) if unicodedata.name(chr(code), ""))
_SUBJOINED = "".join(chr(code) for code in range(0x0F90, 0x0FBD) if unicodedata.name(chr(code), ""))
_MARKS = "ཱིེཻོཽུཾཿ྄ྀྃ྅༹"
_SIGNS = " ་།༄༅༈༑༔༼༽"
_OF_BOOKS = "0123456789༸"
SYMBOLS = (
    _SIGNS
    + _DIGITS
    + "".join(each for each in _LETTERS + _SUBJOINED + _MARKS if unicodedata.normalize("NFC", each) == each)
    + _OF_BOOKS
)
"""Symbol n of the network's output is `SYMBOLS[n - 1]`; 0 is CTC's blank."""

_ALIKE = str.maketrans({"༌": "་", "༎": "།།", "༆": "༄"})
_SPACES = re.compile(r"\s+")
_STRANGE = re.compile(f"[^{re.escape(SYMBOLS)}]")


def written(text: str) -> str:
    """Return a text as the recogniser writes it; what it has no symbol for is left out."""
    return _STRANGE.sub("", _SPACES.sub(" ", in_order(text.translate(_ALIKE))))


def numbers_of(text: str) -> list[int]:
    """Return the number of each symbol of a text that is `written`."""
    return [SYMBOLS.index(symbol) + 1 for symbol in text]
