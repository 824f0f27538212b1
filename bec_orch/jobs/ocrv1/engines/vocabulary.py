"""What the classes of a published recogniser mean: which are blank, and how the others become Unicode."""

import threading
from collections.abc import Sequence

import numpy as np
import pyewts

from bec_orch.jobs.ocrv1.decoding.paths import Matrix
from bec_orch.jobs.ocrv1.engines.ctc_config import CtcModelConfig

SPACE = " "
STAND_INS = ("ß", "^")
"""With one of these in front, a charset's first entry is the blank."""
WYLIE_TSHEG = "§"


class Vocabulary:
    """The classes of one recogniser, its blanks taken together as symbol 0.

    A space is a blank too: no published encoding writes one (a tsheg is a symbol of its own), and models whose charset
    ends in a space were trained with it as their blank.

    Args:
        config: the model's config.
        classes: number of classes of its output, one of `possible_classes`.
    """

    def __init__(self, config: CtcModelConfig, classes: int) -> None:
        # One class more than the charset has: the blank stands in front of it.
        entries = ("", *config.charset) if classes > len(config.charset) else config.charset
        blanks = _blanks(entries)
        self._blanks = np.flatnonzero(blanks)
        self._others = np.flatnonzero(~blanks)
        self._symbols = ["", *(entries[place] for place in self._others)]
        self._wylie = _Wylie() if config.encoder == "wylie" else None

    def merged(self, probabilities: Matrix) -> Matrix:
        """Take probabilities (T, classes) to (T, symbols), the blank first."""
        blank = probabilities[:, self._blanks].sum(axis=1, keepdims=True)
        return np.hstack([blank, probabilities[:, self._others]])

    def text(self, symbols: Sequence[int]) -> str:
        """Write symbols in Unicode."""
        written = "".join(self._symbols[symbol] for symbol in symbols)
        return self._wylie.in_unicode(written) if self._wylie else written


class _Wylie:
    """Extended Wylie (EWTS, of the Tibetan and Himalayan Library) to Unicode, by one converter for all threads."""

    def __init__(self) -> None:
        self._converter = pyewts.pyewts()
        self._lock = threading.Lock()

    def in_unicode(self, wylie: str) -> str:
        spaced = wylie.replace(WYLIE_TSHEG, SPACE)
        with self._lock:
            return str(self._converter.toUnicode(spaced)) if spaced.strip() else ""


def possible_classes(config: CtcModelConfig) -> tuple[int, ...]:
    """Return the numbers of classes that fit a model's charset, the likelier first."""
    count = len(config.charset)
    return (count + 1,) if config.add_blank and SPACE not in config.charset else (count + 1, count)


def _blanks(entries: tuple[str, ...]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Mark the entries that are blanks; where none says so, the first, as CTC has it."""
    blanks = np.array([entry in {"", SPACE} for entry in entries])
    blanks[0] |= entries[0] in STAND_INS or not blanks.any()
    return blanks
