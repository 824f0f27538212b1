"""Reads the output of a CTC network with a language model beside it.

The language model counts where the network doubts what it saw. Where a line is none that it knows, as one of Sanskrit
or of a table, what it would put there instead is invented: there it counts little.
"""

from dataclasses import dataclass
from math import exp

import numpy as np

from bec_orch.jobs.ocrv1.decoding.beam import beam_search
from bec_orch.jobs.ocrv1.decoding.language import LanguageModel
from bec_orch.jobs.ocrv1.decoding.paths import Matrix, Prefix, best_path

SURE = 0.98
"""From this probability on, the network is not doubted."""
WIDTH = 10
STRANGE, USUAL, STRANGE_SHARE = -3.9, -3.0, 0.25
"""Means of the language model's logarithms for the symbols that the network saw. Nine of ten composed lines of text lie
above the second; of random stacks below the first, where it counts by this share."""


def likeliest_text(matrix: Matrix) -> Prefix:
    """Read the text of probabilities (T, S) that is likeliest without a language model, over all paths to it."""
    return beam_search(matrix, WIDTH, sure=SURE)


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
        weight = self.weight * self.share(matrix)

        def worth(context: int, symbol: int) -> tuple[float, int]:
            likely, following = self.language.after(context, symbol)
            return exp(weight * (likely + self.bonus)), following

        return beam_search(matrix, WIDTH, worth, sure=SURE)

    def share(self, matrix: Matrix) -> float:
        """Return by which share of its weight the language model counts in a line of probabilities (T, S)."""
        return float(np.interp(self._likelihood(best_path(matrix)), (STRANGE, USUAL), (STRANGE_SHARE, 1.0)))

    def _likelihood(self, symbols: Prefix) -> float:
        """Return the mean of the logarithms of symbols' probabilities, each after those before it."""
        total, context = 0.0, 0
        for symbol in symbols:
            likely, context = self.language.after(context, symbol)
            total += likely
        return total / max(1, len(symbols))
