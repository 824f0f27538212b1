"""Reads the output of a CTC network with a language model beside it.

A line falls apart where the network is sure that it saw nothing: between these places stand a few symbols each. Where
the network is sure of them, there is one reading; elsewhere the likeliest ones are found by prefix search. The language
model then chooses among the readings, from left to right; histories that it cannot tell apart are one. So most of the
work is done where there is doubt, and the search takes no longer than the network.

It counts most where the network doubts what it saw and that reads as a text. Where a line is none that the language
model knows, as one of Sanskrit or of a table, what it would put there instead is invented.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from bec_orch.jobs.ocrv1.decoding.language import LanguageModel
from bec_orch.jobs.ocrv1.decoding.paths import (
    BLANK,
    Matrix,
    Prefix,
    Reading,
    Step,
    best_path,
    confidence,
    considered,
    searched,
)

SURE = 0.95
"""From this probability on, the network is not doubted."""
LONGEST = 24
"""Steps of a part; a longer one is parted where a blank is likeliest, if it is likelier than `PARTS_AT`."""
PARTS_AT = 0.5
READINGS = 12
"""Readings of a part that are looked at."""
LEAST_CHANCE = 0.01
HISTORIES = 12
FURTHEST = 5.0
"""Readings and histories that are less likely than the best by this much, as a logarithm, are dropped."""
DOUBTED, TRUSTED, TRUSTED_SHARE = 0.93, 0.97, 0.4
"""From the first confidence of a line on the language model counts less, from the second on by this share."""
STRANGE, USUAL, STRANGE_SHARE = -6.5, -4.5, 0.25
"""Means of the language model's logarithms for the symbols that the network saw. Composed lines of text lie above the
second, but for those that can hardly be read; random stacks below the first, where it counts by this share."""


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses the likeliest text.

    Attributes:
        language: the language model.
        weight: what its logarithms count beside the network's, at most.
        bonus: what each symbol is worth for one of weight, against the language model's liking for short texts.
    """

    language: LanguageModel
    weight: float
    bonus: float

    def text(self, matrix: Matrix) -> Prefix:
        """Read the likeliest text of probabilities (T, S)."""
        histories: dict[int, Reading] = {0: ((), 0.0)}
        weight = self.weight * self.share(matrix)
        steps, peaks = considered(matrix, LEAST_CHANCE), matrix.max(axis=1)
        for start, end in _parts(matrix):
            readings = _readings(matrix[start:end], steps[start:end], peaks[start:end])
            histories = self._longer(histories, readings, weight)
        return max(histories.values(), key=lambda history: history[1])[0]

    def share(self, matrix: Matrix) -> float:
        """Return by which share of its weight the language model counts in a line of probabilities (T, S)."""
        trusted = np.interp(confidence(matrix), (DOUBTED, TRUSTED), (1.0, TRUSTED_SHARE))
        known = np.interp(self._likelihood(best_path(matrix)), (STRANGE, USUAL), (STRANGE_SHARE, 1.0))
        return float(min(trusted, known))

    def _likelihood(self, symbols: Prefix) -> float:
        """Return the mean of the logarithms of symbols' probabilities, each after those before it."""
        total, context = 0.0, 0
        for symbol in symbols:
            likely, context = self.language.after(context, symbol)
            total += likely
        return total / max(1, len(symbols))

    def _longer(self, histories: dict[int, Reading], readings: list[Reading], weight: float) -> dict[int, Reading]:
        longer: dict[int, Reading] = {}
        least = -inf
        for context, (before, worth) in histories.items():
            for symbols, chance in readings:
                following, total = context, worth + chance + weight * self.bonus * len(symbols)
                if total < least:  # the language model makes no text likelier
                    continue
                for symbol in symbols:
                    likely, following = self.language.after(following, symbol)
                    total += weight * likely
                known = longer.get(following)
                if known is None or known[1] < total:
                    longer[following] = (before + symbols, total)
                    least = max(least, total - FURTHEST)
        kept = sorted(longer.items(), key=lambda item: -item[1][1])[:HISTORIES]
        return {context: history for context, history in kept if history[1] > least}


def _parts(matrix: Matrix) -> Iterator[tuple[int, int]]:
    """Yield where the parts of a line between sure blanks start and end."""
    unsure = np.flatnonzero(matrix[:, BLANK] < SURE)
    if not len(unsure):
        return
    breaks = np.flatnonzero(np.diff(unsure) > 1)
    starts, ends = unsure[np.r_[0, breaks + 1]], unsure[np.r_[breaks, len(unsure) - 1]] + 1
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield from _shortened(matrix[:, BLANK], start, end)


def _shortened(blank: Matrix, start: int, end: int) -> Iterator[tuple[int, int]]:
    if end - start > LONGEST:
        place = start + 1 + int(blank[start + 1 : end - 1].argmax())
        if blank[place] > PARTS_AT:
            yield from _shortened(blank, start, place)
            yield from _shortened(blank, place + 1, end)
            return
    yield start, end


def _readings(part: Matrix, steps: Sequence[Step], peaks: Matrix) -> list[Reading]:
    """Read a part of a line, given the symbols that are looked at and the highest probability of each of its steps."""
    if peaks.min() >= SURE:
        return [(best_path(part), 0.0)]
    found = searched(steps, READINGS)
    return [reading for reading in found if reading[1] > found[0][1] - FURTHEST]
