"""From the output of a CTC network to symbols: best path, and prefix beam search.

The rows of a matrix (T, S) are steps, its columns symbols; column 0 is the blank. CTC (Graves et al., ICML 2006) reads
a path of symbols by merging repeats, then dropping blanks; a text's probability is the sum over all its paths. Best
path decoding is theirs (section 3.2); the prefix search is that of Hannun et al., First-Pass Large Vocabulary
Continuous Speech Recognition using Bi-Directional Recurrent DNNs, 2014 (arXiv 1408.2873, algorithm 1), without a
language model.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Prefix = tuple[int, ...]
Reading = tuple[Prefix, float]
"""A text, and the logarithm of its probability."""
Step = Sequence[tuple[int, float]]
"""Symbols, each with its probability."""
Ends = tuple[float, float]
"""The probability of all paths so far that read as a prefix: those that end with a blank, and with its last symbol."""

BLANK = 0
LEAST_PROBABILITY = 0.005
"""A beam search leaves out symbols that are less probable at a step, except the step's best."""


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


def likeliest_texts(matrix: Matrix, width: int, least: float = LEAST_PROBABILITY) -> list[Reading]:
    """Read the likeliest texts of probabilities (T, S), by a search that holds the `width` best prefixes at each step.

    Args:
        matrix: the probabilities.
        width: prefixes that are held.
        least: symbols below this probability are left out; 0 for an exact search, if `width` is large enough.

    Returns:
        The texts and the logarithms of their probabilities, the likeliest first.
    """
    return searched(considered(matrix, least), width)


def considered(matrix: Matrix, least: float = LEAST_PROBABILITY) -> list[Step]:
    """Return the symbols that are looked at, for each step of probabilities (T, S); see `likeliest_texts`."""
    wanted = (matrix >= least) & (matrix > 0) | (matrix == matrix.max(axis=1, keepdims=True))
    steps, symbols = wanted.nonzero()
    pairs = list(zip(symbols.tolist(), matrix[steps, symbols].tolist(), strict=True))
    ends = wanted.sum(axis=1).cumsum().tolist()
    return [pairs[start:end] for start, end in pairwise([0, *ends])]


def searched(steps: Sequence[Step], width: int) -> list[Reading]:
    """Read the likeliest texts of the symbols that are looked at; see `likeliest_texts`."""
    ends: Mapping[Prefix, Ends] = {(): (1.0, 0.0)}
    scale = 0.0
    for step in steps:
        likeliest = sorted(_grown(ends, step).items(), key=lambda item: -sum(item[1]))[:width]
        # Probabilities of long lines are too small for numbers: those of each step are told in terms of the highest.
        most = sum(likeliest[0][1])
        scale += log(most)
        ends = {prefix: (blank / most, symbol / most) for prefix, (blank, symbol) in likeliest}
    found = ((prefix, sum(each)) for prefix, each in ends.items())
    return sorted(((prefix, scale + log(total)) for prefix, total in found if total), key=lambda item: -item[1])


def _grown(ends: Mapping[Prefix, Ends], step: Step) -> Mapping[Prefix, Ends]:
    """Go one step on with every prefix: blanks and repeats leave it as it is, other symbols make it longer."""
    blanks: defaultdict[Prefix, float] = defaultdict(float)
    symbols: defaultdict[Prefix, float] = defaultdict(float)
    for prefix, (after_blank, after_symbol) in ends.items():
        last = prefix[-1] if prefix else BLANK
        for symbol, chance in step:
            if symbol == BLANK:
                blanks[prefix] += (after_blank + after_symbol) * chance
            elif symbol == last:
                symbols[prefix] += after_symbol * chance
                symbols[*prefix, symbol] += after_blank * chance
            else:
                symbols[*prefix, symbol] += (after_blank + after_symbol) * chance
    return {prefix: (blanks.get(prefix, 0.0), symbols.get(prefix, 0.0)) for prefix in {**blanks, **symbols}}
