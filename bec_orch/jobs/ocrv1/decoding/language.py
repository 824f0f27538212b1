"""A language model of symbols: how likely each is after those before it, by n-grams with back-off.

Its file (NumPy's `.npz`) is made by `training.reader.language`:

- `order`: length of the longest n-gram;
- `steps`: the n-grams as numbers, sorted, each but the first as its distance from the one before. A number has 7 bits
  for each symbol, the last symbol lowest; symbols begin with 1, so that n-grams of all lengths are told apart.
  The context of each n-gram, all of it but the last symbol, is one of them;
- `chances`: of each, the logarithm of its last symbol's probability after the others, in `UNIT`s below 0;
- `weights`: the logarithm of what its context's back-off is worth, in `UNIT`s below 0.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.shared.model_files import digest_of, invalid_model, read_model

Grams = NDArray[np.uint64]

BITS = 7
MOST_SYMBOLS = 2**BITS - 1
UNIT = 1 / 14
"""Logarithms are kept in steps of this, from 0 to -18."""
UNKNOWN = -5.0
"""Of a symbol that no text had, such as most digits: as if all symbols were as likely, so that what is seen decides."""


class LanguageModel:
    """Opens a language model.

    Contexts are numbered by the n-gram that they are, from 1 on in the file's order; 0 is the empty one. Those that go
    on an n-gram stand side by side in that order, so that the next symbol is looked for among them alone.

    Args:
        path: its file.

    Raises:
        ConfigError: it is missing (E_MODEL_NOT_FOUND) or not such a file (E_MODEL_INVALID).
    """

    def __init__(self, path: Path) -> None:
        data = read_model(path)
        self.digest = digest_of(data)
        try:
            with np.load(BytesIO(data), allow_pickle=False) as file:
                self.order = int(file["order"])
                grams = np.cumsum(file["steps"], dtype=np.uint64)
                self._chances, self._weights = file["chances"].tobytes(), file["weights"].tobytes()
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise invalid_model(path, "is not a language model of this program") from error
        shorter = _shorter(grams, self.order)
        own, longest = np.arange(1, len(grams) + 1), grams >> np.uint64(BITS * (self.order - 1)) > 0
        contexts = np.append(np.uint64(0), grams)
        self._symbols = (grams & np.uint64(MOST_SYMBOLS)).astype(np.uint8).tobytes()
        self._shorter = _numbers(np.append(0, shorter))
        self._following = _numbers(np.where(longest, shorter, own))
        self._first = _numbers(np.searchsorted(grams, contexts << np.uint64(BITS)))
        self._last = _numbers(np.searchsorted(grams, contexts + np.uint64(1) << np.uint64(BITS)))

    def after(self, context: int, symbol: int) -> tuple[float, int]:
        """Return the logarithm of a symbol's probability in a context, and the context of the next one.

        That is no longer than any n-gram reaches, so that texts that go on alike are soon in the same one.

        Args:
            context: what the last call returned; 0 at the beginning.
            symbol: its number, from 1.
        """
        lost = 0.0
        while True:
            last = self._last[context]
            place = bisect_left(self._symbols, symbol, self._first[context], last)
            if place < last and self._symbols[place] == symbol:
                return lost - UNIT * self._chances[place], self._following[place]
            if not context:
                return lost + UNKNOWN, 0
            lost -= UNIT * self._weights[context - 1]
            context = self._shorter[context]


def _shorter(grams: Grams, order: int) -> NDArray[np.intp]:
    """Return which context is left of each n-gram when its first symbols go, as few as lead to one that is known."""
    found = np.zeros(len(grams), np.intp)
    for length in range(order - 1, 0, -1):
        mask = np.uint64((1 << BITS * length) - 1)
        left = np.flatnonzero((grams > mask) & (found == 0))
        ends = grams[left] & mask
        places = np.searchsorted(grams, ends)
        known = grams[places] == ends
        found[left[known]] = places[known] + 1
    return found


def _numbers(values: NDArray[np.intp]) -> Sequence[int]:
    return array("I", values.astype(np.uint32).tobytes())
