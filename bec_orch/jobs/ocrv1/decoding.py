"""From the output of a CTC network to symbols: best path, and prefix beam search.

The rows of a matrix (T, S) are steps, its columns symbols; column 0 is the blank. CTC (Graves et al., ICML 2006) reads
a path of symbols by merging repeats, then dropping blanks; a text's probability is the sum over all its paths. Best
path decoding is theirs (section 3.2); the prefix search is that of Hannun et al., First-Pass Large Vocabulary
Continuous Speech Recognition using Bi-Directional Recurrent DNNs, 2014 (arXiv 1408.2873, algorithm 1), without a
language model.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf, log1p

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Prefix = tuple[int, ...]

BLANK = 0
LEAST_PROBABILITY = 0.005
"""A beam search leaves out symbols that are less probable at a step, except the step's best."""


@dataclass(slots=True)
class _Ends:
    """Logarithms of the probability of all paths so far that read as a prefix, by what they end with."""

    blank: float = -inf
    symbol: float = -inf

    @property
    def total(self) -> float:
        return _added(self.blank, self.symbol)


def probabilities(scores: NDArray[np.float32]) -> Matrix:
    """Return probabilities (T, S) for a network's output, which may be logits, logarithms or probabilities already."""
    if scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=1e-2):
        return np.asarray(scores, np.float32)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def best_path(matrix: Matrix) -> Prefix:
    """Read the likeliest path of probabilities (T, S)."""
    path = matrix.argmax(axis=1)
    symbols = path[_starts(path)]
    return tuple(symbols[symbols != BLANK].tolist())


def confidence(matrix: Matrix) -> float:
    """Return how sure a reading is: the mean, over the best path's symbols, of each one's highest probability."""
    path = matrix.argmax(axis=1)
    starts = _starts(path)
    peaks = np.maximum.reduceat(matrix.max(axis=1), starts)[path[starts] != BLANK]
    return float(min(peaks.mean(), 1.0)) if peaks.size else 0.0


def _starts(path: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the steps at which a path goes over to another symbol, the first step among them."""
    return np.flatnonzero(np.diff(path, prepend=-1))


def beam_search(matrix: Matrix, width: int, least: float = LEAST_PROBABILITY) -> Prefix:
    """Read the likeliest text of probabilities (T, S); see `likeliest_texts`."""
    return likeliest_texts(matrix, width, least)[0][0]


def likeliest_texts(matrix: Matrix, width: int, least: float = LEAST_PROBABILITY) -> list[tuple[Prefix, float]]:
    """Read the likeliest texts of probabilities (T, S), by a search that holds the `width` best prefixes at each step.

    Args:
        matrix: the probabilities.
        width: prefixes that are held.
        least: symbols below this probability are left out; 0 for an exact search, if `width` is large enough.

    Returns:
        The texts and the logarithms of their probabilities, the likeliest first.
    """
    beams: Mapping[Prefix, _Ends] = {(): _Ends(blank=0.0)}
    for step in matrix:
        longer = _grown(beams, step, least)
        beams = dict(sorted(longer.items(), key=lambda item: -item[1].total)[:width])
    return sorted(((prefix, ends.total) for prefix, ends in beams.items()), key=lambda item: -item[1])


def _grown(beams: Mapping[Prefix, _Ends], step: Matrix, least: float) -> dict[Prefix, _Ends]:
    """Go one step on with every prefix."""
    wanted = np.flatnonzero((step >= least) & (step > 0) | (step == step.max()))
    logs = {symbol: float(np.log(step[symbol])) for symbol in wanted.tolist()}
    grown: defaultdict[Prefix, _Ends] = defaultdict(_Ends)
    for prefix, ends in beams.items():
        _grow(prefix, ends, logs, grown)
    return grown


def _grow(prefix: Prefix, ends: _Ends, logs: Mapping[int, float], grown: defaultdict[Prefix, _Ends]) -> None:
    """Add what becomes of one prefix: blanks and repeats leave it as it is, other symbols make it longer."""
    total, last = ends.total, prefix[-1] if prefix else BLANK
    for symbol, log in logs.items():
        if symbol == BLANK:
            stays = grown[prefix]
            stays.blank = _added(stays.blank, total + log)
            continue
        longer = grown[(*prefix, symbol)]
        longer.symbol = _added(longer.symbol, (ends.blank if symbol == last else total) + log)
        if symbol == last:
            stays = grown[prefix]
            stays.symbol = _added(stays.symbol, ends.symbol + log)


def _added(first: float, second: float) -> float:
    """Add two probabilities, all as logarithms."""
    low, high = sorted((first, second))
    return high if low == -inf else high + log1p(exp(low - high))
