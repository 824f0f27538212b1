"""From the output of a CTC network to symbols: the best path, and how sure it is.

The rows of a matrix (T, S) are steps, its columns symbols; column 0 is the blank. CTC (Graves et al., ICML 2006) reads
a path of symbols by merging repeats, then dropping blanks; a text's probability is the sum over all its paths. Best
path decoding is theirs (section 3.2).
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Prefix = tuple[int, ...]

BLANK = 0


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
