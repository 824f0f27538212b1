"""Count the language model of a recogniser: n-grams of symbols in the texts that lines are composed of.

    python -m training.reader.language --out FILE.npz [--data DIR] [--order 8]

Probabilities are Kneser and Ney's, modified and interpolated, as in Chen and Goodman, An empirical study of smoothing
techniques for language modeling (Computer Speech & Language 13, 1999), section 4.1.6 and equations 17 and 26: a shorter
n-gram counts by how many symbols it came after, and what came once, twice or more often is discounted by what that was
worth. Rare n-grams are left out afterwards; their share goes to the shorter contexts, so that chances add up to one.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ocrv1.decoding.language import BITS, UNIT
from training.reader.material import texts_in
from training.reader.symbols import SYMBOLS
from training.reader.writing import plain
from training.shared import DATA

ORDER = 8
ONCE = 3
"""N-grams up to this length are kept if they came once; of longer ones, what came once says nothing of other texts."""
DISCOUNTED = 3
"""Counts from this on are discounted alike."""

Grams = NDArray[np.uint64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counted:
    """The n-grams of one length, and how often each came.

    Attributes:
        length: their length.
        grams: they, as numbers (see `bec_orch.jobs.ocrv1.decoding.language`), sorted.
        times: how often each came.
    """

    length: int
    grams: Grams
    times: NDArray[np.int64]

    @classmethod
    def of(cls, symbols: Grams, length: int) -> "Counted":
        """Count them in a row of symbols."""
        grams = np.zeros(len(symbols) - length + 1, np.uint64)
        for place in range(length):
            grams = grams << np.uint64(BITS) | symbols[place : len(symbols) - length + 1 + place]
        found, times = np.unique(grams, return_counts=True)
        return cls(length, found, times)

    @property
    def contexts(self) -> Grams:
        """All but the last symbol of each."""
        return self.grams >> np.uint64(BITS)

    @property
    def endings(self) -> Grams:
        """All but the first symbol of each."""
        return self.grams & np.uint64((1 << BITS * (self.length - 1)) - 1)

    def came_after(self, longer: "Counted") -> NDArray[np.int64]:
        """Return how many symbols each came after, given the n-grams that are longer by one; 1 for what came first."""
        kinds = np.zeros(len(self.grams), np.int64)
        endings, counts = np.unique(longer.endings, return_counts=True)
        kinds[np.searchsorted(self.grams, endings)] = counts
        return np.maximum(kinds, 1)


def numbers_in(texts: Sequence[str]) -> Grams:
    """Return all symbols of texts, one text after the other."""
    table = {symbol: number for number, symbol in enumerate(SYMBOLS, 1)}
    return np.array([table[symbol] for text in texts for symbol in text], np.uint64)


def model_of(texts: Sequence[str], order: int) -> dict[str, NDArray[np.generic]]:
    """Count the model of texts; return the arrays of its file."""
    symbols = numbers_in(texts)
    lengths = [Counted.of(symbols, length) for length in range(1, order + 1)]
    chances: dict[int, float] = {}
    weights: dict[int, float] = {}
    own = np.array([1 / len(SYMBOLS)])
    shorter = np.zeros(1, np.uint64)
    for counted, longer in zip_longest(lengths, lengths[1:]):
        lower = own[np.searchsorted(shorter, counted.endings)]
        own = _smoothed(counted.contexts, counted.came_after(longer) if longer else counted.times, lower)
        shorter = counted.grams
        kept = counted.times >= (1 if counted.length <= ONCE else 2)
        chances.update(zip(counted.grams[kept].tolist(), own[kept].tolist(), strict=True))
        weights.update(_weights(counted.contexts, own * kept, lower * kept))
    return _arrays(chances, weights, order)


def _smoothed(contexts: Grams, times: NDArray[np.int64], lower: Floats) -> Floats:
    """Return the chance of each n-gram's last symbol after its context, given its chance after the shorter one."""
    _, places = np.unique(contexts, return_inverse=True)
    discounts = _discounts(times)[np.minimum(times, DISCOUNTED)]
    totals, spared = np.bincount(places, times), np.bincount(places, discounts)
    return np.asarray((times - discounts + spared[places] * lower) / totals[places], np.float64)


def _discounts(times: NDArray[np.int64]) -> Floats:
    """Return what is taken off counts of 0, 1, 2, and 3 or more; a half of each where too few came to tell."""
    counts = np.arange(DISCOUNTED + 1)
    came = np.array([np.count_nonzero(times == count) for count in range(DISCOUNTED + 2)], np.float64)
    discounts = counts / 2
    if came[1:].all():
        once = came[1] / (came[1] + 2 * came[2])
        discounts[1:] = counts[1:] - (counts[1:] + 1) * once * came[2:] / came[1:-1]
    return np.asarray(np.clip(discounts, 0, None), np.float64)


def _weights(contexts: Grams, kept: Floats, lower: Floats) -> dict[int, float]:
    """Return what each context leaves to the shorter one, given the chances of what is kept after both."""
    found, places = np.unique(contexts, return_inverse=True)
    left, left_lower = 1 - np.bincount(places, kept), 1 - np.bincount(places, lower)
    shares = np.clip(left / np.maximum(left_lower, 1e-9), 1e-9, 1)
    return dict(zip(found.tolist(), shares.tolist(), strict=True))


def _arrays(chances: dict[int, float], weights: dict[int, float], order: int) -> dict[str, NDArray[np.generic]]:
    grams = np.array(sorted(chances), np.uint64)

    def units(values: list[float]) -> NDArray[np.generic]:
        return np.clip(np.round(-np.log(values) / UNIT), 0, 255).astype(np.uint8)

    return {
        "order": np.array(order),
        "steps": np.diff(grams, prepend=np.uint64(0)),
        "chances": units([chances[gram] for gram in grams.tolist()]),
        "weights": units([weights.get(gram, 1.0) for gram in grams.tolist()]),
    }


def write(out: Path, paths: Sequence[Path], order: int = ORDER) -> int:
    """Count the model of texts in files, write its file, and return how many n-grams it has."""
    arrays = model_of([plain(path.read_text("utf-8-sig")) for path in paths], order)
    with out.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return len(arrays["steps"])


def main() -> None:
    """Count as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--order", type=int, default=ORDER)
    options = parser.parse_args()
    count = write(options.out, [path for paths in texts_in(options.data) for path in paths], options.order)
    print(f"{count:,} n-grams, {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
