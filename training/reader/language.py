"""Count the language model of a recogniser: n-grams of symbols in the texts that lines are composed of.

    python -m training.reader.language --out FILE.npz [--data DIR] [--order 7]

Probabilities are Witten and Bell's (IEEE Trans. Information Theory 37(4), 1991, method C): a context that went on in
many ways leaves more to shorter ones.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ocrv1.decoding.language import BITS, UNIT
from training.reader.symbols import SYMBOLS
from training.reader.writing import plain
from training.shared import DATA

ORDER = 7
LEAST_COUNTS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 3}
LEAST_COUNT = 3
"""Of n-grams longer than those: what stands once in a book says nothing of others."""


def numbers_in(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return all symbols of texts, one text after the other."""
    table = {symbol: number for number, symbol in enumerate(SYMBOLS, 1)}
    return np.array([table[symbol] for text in texts for symbol in text], np.uint64)


def counted(symbols: NDArray[np.uint64], length: int) -> Counter[int]:
    """Count the n-grams of one length, as numbers: see `bec_orch.jobs.ocrv1.decoding.language`."""
    grams = np.zeros(len(symbols) - length + 1, np.uint64)
    for place in range(length):
        grams = grams << np.uint64(BITS) | symbols[place : len(symbols) - length + 1 + place]
    found, counts = np.unique(grams, return_counts=True)
    enough = counts >= LEAST_COUNTS.get(length, LEAST_COUNT)
    return Counter(dict(zip(found[enough].tolist(), counts[enough].tolist(), strict=True)))


def model_of(texts: Sequence[str], order: int) -> dict[str, NDArray[np.generic]]:
    """Count the model of texts; return the arrays of its file."""
    symbols = numbers_in(texts)
    chances: dict[int, float] = {}
    weights: dict[int, float] = {}
    for length in range(1, order + 1):
        after: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for gram, count in counted(symbols, length).items():
            after[gram >> BITS].append((gram, count))
        for context, following in after.items():
            total, kinds = sum(count for _, count in following), len(following)
            weights[context] = kinds / (total + kinds)
            for gram, count in following:
                rest = chances.get(_without_first(gram, length), 1 / len(SYMBOLS))
                chances[gram] = (count + kinds * rest) / (total + kinds)
    return _arrays(chances, weights, order)


def _without_first(gram: int, length: int) -> int:
    return gram & ((1 << BITS * (length - 1)) - 1)


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


def main() -> None:
    """Count as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--order", type=int, default=ORDER)
    options = parser.parse_args()
    paths = sorted((options.data / "fonts_text").rglob("*.txt"))
    arrays = model_of([plain(path.read_text("utf-8-sig")) for path in paths], options.order)
    with options.out.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    print(f"{len(arrays['steps']):,} n-grams, {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
