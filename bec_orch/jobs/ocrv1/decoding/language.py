"""A language model of symbols: how likely each is after those before it, by n-grams with back-off.

Its file (NumPy's `.npz`) is made by `training.reader.language`:

- `order`: length of the longest n-gram;
- `steps`: the n-grams as numbers, sorted, each but the first as its distance from the one before. A number has 7 bits
  for each symbol, the last symbol lowest; symbols begin with 1, so that n-grams of all lengths are told apart;
- `chances`: of each, the logarithm of its last symbol's probability after the others, in `UNIT`s below 0;
- `weights`: the logarithm of what its context's back-off is worth, in `UNIT`s below 0.
"""

from array import array
from bisect import bisect_left
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from bec_orch.jobs.shared.model_files import digest_of, invalid_model, read_model

BITS = 7
MOST_SYMBOLS = 2**BITS - 1
UNIT = 1 / 14
"""Logarithms are kept in steps of this, from 0 to -18."""
UNKNOWN = -5.0
"""Of a symbol that no text had, such as most digits: as if all symbols were as likely, so that what is seen decides."""
REMEMBERED = 2**16
"""Answers that are kept: lines say the same again and again."""


class LanguageModel:
    """Opens a language model.

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
                self._grams = array("Q", np.cumsum(file["steps"], dtype=np.uint64).tobytes())
                self._chances, self._weights = file["chances"].tobytes(), file["weights"].tobytes()
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise invalid_model(path, "is not a language model of this program") from error
        self._longest = (1 << BITS * (self.order - 1)) - 1
        self.after = lru_cache(REMEMBERED)(self._after)

    def _after(self, context: int, symbol: int) -> tuple[float, int]:
        """Return the logarithm of a symbol's probability in a context, and the context of the next one.

        That is no longer than any n-gram reaches, so that texts that go on alike are soon in the same one.

        Args:
            context: what the last call returned; 0 at the beginning.
            symbol: its number, from 1.
        """
        lost = 0.0
        while True:
            gram = context << BITS | symbol
            place = self._place(gram)
            if place is not None:
                return lost - UNIT * self._chances[place], gram & self._longest
            if not context:
                return lost + UNKNOWN, 0
            known = self._place(context)
            lost -= UNIT * self._weights[known] if known is not None else 0.0
            context &= (1 << BITS * (_length(context) - 1)) - 1

    def _place(self, gram: int) -> int | None:
        place = bisect_left(self._grams, gram)
        return place if place < len(self._grams) and self._grams[place] == gram else None


def _length(gram: int) -> int:
    return -(-gram.bit_length() // BITS)
