"""What can be told of a page's recognised text without knowing the true one."""

from collections.abc import Sequence
from dataclasses import dataclass

from bec_orch.jobs.evalv1.config import TIBETAN, Evalv1Config
from bec_orch.jobs.evalv1.normalise import composed, graphemes, normalise, without_whitespace
from bec_orch.jobs.evalv1.ocr_rows import OcrPage
from bec_orch.jobs.evalv1.rates import agreement
from bec_orch.jobs.evalv1.repeats import repeated_count
from bec_orch.jobs.evalv1.script import Stacks, outside_script, stacks_of

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
        """Give the largest of the shares of what is suspect, 0 to 1: a page is as doubtful as its worst sign."""
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
        config: tells the script, and which confidence is low.
    """
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
        stacks=_stacks(page.text) if config.script == TIBETAN else _NO_STACKS,
        repeated=repeated_count(clusters),
    )


def _stacks(text: str) -> Stacks:
    # As they are stored: the normalisation would put a stack in order that no program can show.
    return stacks_of(graphemes(without_whitespace(composed(text))))


def agreement_of(clusters: Sequence[str], other: OcrPage) -> float:
    """Tell how far a second OCR of the page agrees with the first, 0 to 1, white space ignored."""
    return agreement(clusters, graphemes(without_whitespace(normalise(other.text))))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
