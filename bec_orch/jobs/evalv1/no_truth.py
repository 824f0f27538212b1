"""What can be said of a page's recognised text without knowing the true one.

Among it is text that repeats itself over and over, as engines that have lost their way write it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from bec_orch.jobs.evalv1.config import TIBETAN, Evalv1Config
from bec_orch.jobs.evalv1.normalise import composed, graphemes, normalise, without_whitespace
from bec_orch.jobs.evalv1.ocr_rows import OcrPage
from bec_orch.jobs.evalv1.rates import agreement
from bec_orch.jobs.evalv1.script import Stacks, outside_script, stacks_of

LONGEST_UNIT = 1024
"""Grapheme clusters: a whole page's text. Only texts that are longer than a page's can repeat units of this length."""
TIMES = 3
"""A unit must follow itself this often: once or twice is found in refrains and in emphatic speech."""
FEWEST = 8
"""Clusters that the repetitions must take at least: short ones are mere stutter, such as in mantras."""
_LETTER = regex.compile(r"\p{L}")
_NO_STACKS = Stacks(0, 0, 0, ())


@dataclass(frozen=True, slots=True)
class Signs:
    """Signs of good or bad recognition; counts are of the normalised text without white space, but for the stacks.

    Attributes:
        clusters: grapheme clusters.
        lines: text lines that were recognised, empty ones among them.
        doubtful_lines: those whose confidence is low.
        mean_confidence: of the lines, 0 to 1; None without lines.
        clusters_per_line: over the lines that are not empty; None without any.
        codepoints: code points.
        outside_script: code points outside of the script.
        stacks: the Tibetan stacks, as they are stored.
        repeated: clusters that only repeat what stands before them.
    """

    clusters: int
    lines: int
    doubtful_lines: int
    mean_confidence: float | None
    clusters_per_line: float | None
    codepoints: int
    outside_script: int
    stacks: Stacks
    repeated: int

    def suspicion(self) -> float:
        """Return the largest of the shares of what is suspect, 0 to 1: a page is as doubtful as its worst sign."""
        return max(
            _share(self.doubtful_lines, self.lines),
            _share(self.outside_script, self.codepoints),
            _share(self.stacks.illegal, self.stacks.count),
            _share(self.repeated, self.clusters),
        )


def signs_of(page: OcrPage, text: str, clusters: Sequence[str], config: Evalv1Config) -> Signs:
    """Look at a page's text.

    Args:
        page: the page as it was read.
        text: its text, normalised, without white space.
        clusters: the grapheme clusters of that text.
        config: says which script is expected, and which confidence is low.
    """
    # Normalising would put a stack in order that no program can show.
    as_stored = graphemes(without_whitespace(composed(page.text)))
    written = sum(bool(line.strip()) for line in page.lines)
    known = [confidence for confidence in page.confidences if confidence is not None]
    return Signs(
        clusters=len(clusters),
        lines=len(page.lines),
        doubtful_lines=sum(confidence < config.low_confidence for confidence in known),
        mean_confidence=sum(known) / len(known) if known else None,
        clusters_per_line=len(clusters) / written if written else None,
        codepoints=len(text),
        outside_script=outside_script(text, config.script),
        stacks=stacks_of(as_stored) if config.script == TIBETAN else _NO_STACKS,
        repeated=repeated_count(clusters),
    )


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
    """Return the stretches of True of some length, each as [start, end)."""
    if np.count_nonzero(same) < at_least:
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])))).reshape(-1, 2)
    long_ones = edges[edges[:, 1] - edges[:, 0] >= at_least]
    return [(int(start), int(end)) for start, end in long_ones]


def agreement_of(clusters: Sequence[str], other: OcrPage) -> float:
    """Return how far a second OCR of the page agrees with the first, 0 to 1, white space ignored."""
    return agreement(clusters, graphemes(without_whitespace(normalise(other.text))))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
