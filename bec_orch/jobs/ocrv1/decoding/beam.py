"""The likeliest text in the output of a CTC network, by prefix beam search, with a language model or without.

The search is that of Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
Recurrent DNNs, 2014 (arXiv 1408.2873, algorithm 1). Prefixes that go on in the same way for the language model are one:
the likeliest of them is kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import exp

import numpy as np

from bec_orch.jobs.ocrv1.decoding.paths import BLANK, Matrix, Prefix

Step = Sequence[tuple[int, float]]
"""Symbols, each with its probability."""
Ends = dict[int, float]
"""Prefixes by number, each with the probability of all paths so far that read as it and end in one way."""
Held = tuple[int, float, float]
"""A prefix, and the probabilities of those that end with a blank, and with its last symbol."""
Worth = Callable[[int, int], tuple[float, int]]
"""By what a text gets likelier when a symbol comes after a context, and the context of the next one; 0 at first."""

LEAST_PROBABILITY = 0.005
"""Symbols that are less probable at a step are left out, except the step's best."""
NEVER = 2.0
FURTHEST = exp(-7)
"""Prefixes that are less probable than this share of the likeliest are dropped."""
BITS = 21
"""Of a symbol's number: code points have so many."""


class _Prefixes:
    """The prefixes that were met: a tree, in which each has a number. The empty one is 0."""

    def __init__(self, worth: Worth | None) -> None:
        self.last = [BLANK]
        self.contexts = [0]
        self._parents = [0]
        self._factors = [1.0]
        self._longer: dict[int, int] = {}
        self._worth = worth

    def longer(self, prefix: int, symbol: int) -> tuple[int, float]:
        """Return a prefix with one more symbol, and by what that makes it likelier."""
        key = prefix << BITS | symbol
        number = self._longer.get(key)
        if number is None:
            number = self._longer[key] = len(self.last)
            # Without a language model each prefix is a context of its own.
            factor, context = self._worth(self.contexts[prefix], symbol) if self._worth else (1.0, number)
            self.last.append(symbol)
            self.contexts.append(context)
            self._parents.append(prefix)
            self._factors.append(factor)
        return number, self._factors[number]

    def text(self, prefix: int) -> Prefix:
        """Return the symbols of a prefix."""
        symbols = []
        while prefix:
            symbols.append(self.last[prefix])
            prefix = self._parents[prefix]
        return tuple(reversed(symbols))


def beam_search(
    matrix: Matrix, width: int, worth: Worth | None = None, *, least: float = LEAST_PROBABILITY, sure: float = NEVER
) -> Prefix:
    """Read the likeliest text of probabilities (T, S), by a search that holds the `width` best prefixes at each step.

    Args:
        matrix: the probabilities.
        width: prefixes that are held.
        worth: what a language model says of each symbol; None: there is none.
        least: symbols below this probability are left out; with 0 and a `width` that is large enough nothing is missed
            but what `FURTHEST` drops.
        sure: from this probability on, a step's best symbol is the only one that is looked at.
    """
    prefixes = _Prefixes(worth)
    beam: list[Held] = [(0, 1.0, 0.0)]
    for step in _considered(matrix, least, sure):
        beam = _kept(*_grown(beam, step, prefixes), prefixes, width)
    likeliest, _, _ = max(beam, key=lambda held: held[1] + held[2])
    return prefixes.text(likeliest)


def _considered(matrix: Matrix, least: float, sure: float) -> list[Step]:
    """Return the symbols that are looked at, for each step; of sure blanks in a row the first says all."""
    best, peaks = matrix.argmax(axis=1), matrix.max(axis=1)
    empty = (best == BLANK) & (peaks >= sure)
    again = empty & np.append(False, empty[:-1])
    matrix, best, peaks = matrix[~again], best[~again], peaks[~again]
    wanted = (matrix >= least) & (matrix > 0) & (peaks < sure)[:, None]
    wanted[np.arange(len(matrix)), best] = True
    steps, symbols = wanted.nonzero()
    pairs = list(zip(symbols.tolist(), matrix[steps, symbols].tolist(), strict=True))
    ends = wanted.sum(axis=1).cumsum().tolist()
    return [pairs[start:end] for start, end in pairwise([0, *ends])]


def _grown(beam: Iterable[Held], step: Step, prefixes: _Prefixes) -> tuple[Ends, Ends]:
    """Go one step on with every prefix: blanks and repeats leave it as it is, other symbols make it longer."""
    blanks: Ends = {}
    symbols: Ends = {}
    for prefix, after_blank, after_symbol in beam:
        last = prefixes.last[prefix]
        for symbol, chance in step:
            if symbol == BLANK:
                blanks[prefix] = (after_blank + after_symbol) * chance
                continue
            before = after_blank
            if symbol != last:
                before += after_symbol
            elif after_symbol:
                symbols[prefix] = symbols.get(prefix, 0.0) + after_symbol * chance
            if before:
                longer, factor = prefixes.longer(prefix, symbol)
                symbols[longer] = symbols.get(longer, 0.0) + before * chance * factor
    return blanks, symbols


def _kept(blanks: Mapping[int, float], symbols: Mapping[int, float], prefixes: _Prefixes, width: int) -> list[Held]:
    """Return the likeliest prefixes, one for each way in which they may go on.

    Probabilities of long lines are too small for numbers: those of each step are told in terms of the highest.
    """
    totals = {prefix: blanks.get(prefix, 0.0) + symbols.get(prefix, 0.0) for prefix in {**blanks, **symbols}}
    likeliest = sorted(totals, key=totals.__getitem__, reverse=True)
    most = totals[likeliest[0]]
    kept: dict[tuple[int, int], Held] = {}
    for prefix in likeliest:
        if totals[prefix] < FURTHEST * most or len(kept) == width:
            break
        goes_on = prefixes.contexts[prefix], prefixes.last[prefix]
        if goes_on not in kept:
            kept[goes_on] = prefix, blanks.get(prefix, 0.0) / most, symbols.get(prefix, 0.0) / most
    return list(kept.values())
