"""Finds text that repeats itself over and over, as engines that have lost their way write it."""

from collections.abc import Sequence

import numpy as np
import regex
from numpy.typing import NDArray

LONGEST_UNIT = 1024
"""Grapheme clusters: a whole page's text. Only texts that are longer than a page's can repeat units of this length."""
TIMES = 3
"""A unit must follow itself so often: once or twice is found in refrains and in emphatic speech."""
FEWEST = 8
"""Clusters that the repetitions must take at least: short ones are mere stutter, such as in mantras."""
_LETTER = regex.compile(r"\p{L}")


def repeated_count(clusters: Sequence[str]) -> int:
    """Count the grapheme clusters that only repeat a unit right before them, at least `TIMES` times over.

    The first occurrence of the unit is not counted, nor are units without a letter (leaders, ornaments, filled lines).
    """
    codes = np.unique(np.array([*clusters, ""], dtype=object).astype(str), return_inverse=True)[1][:-1]
    letters = np.array([bool(_LETTER.search(cluster)) for cluster in clusters], dtype=bool)
    repeated = np.zeros(len(clusters), dtype=bool)
    for unit in range(1, min(LONGEST_UNIT, len(clusters) // (TIMES + 1)) + 1):
        same = codes[unit:] == codes[:-unit]
        for start, end in _runs(same, at_least=max(TIMES * unit, FEWEST)):
            if letters[start : start + unit].any():
                repeated[start + unit : end + unit] = True
    return int(repeated.sum())


def _runs(same: NDArray[np.bool_], *, at_least: int) -> list[tuple[int, int]]:
    """Give the stretches of True of some length, each as [start, end)."""
    if np.count_nonzero(same) < at_least:
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])))).reshape(-1, 2)
    long_ones = edges[edges[:, 1] - edges[:, 0] >= at_least]
    return [(int(start), int(end)) for start, end in long_ones]
