"""What a report over the volumes of an evaluation job holds. docs/evaluation.md says how each figure is made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bec_orch.core.names import printable
from bec_orch.core.volumes import PageCounts, VolumeRef
from bec_orch.jobs.evalv1.report.differences import Comparison, compared

UNMATCHED = "nb_unmatched_truth"
"""The column that counts a volume's files of truth without a page."""
UNMATCHED_NAMES = "unmatched_truth"
"""The column that names the first of them."""
FIRST_LINE_OFF = "first_line_off"
"""The column that says that the first line of a page's truth was not read, and the others were."""
_USUAL = 0.5
"""From this share of the pages on, a first line that was not read is taken for no text of the page."""
BINS = 1000
"""Of a distribution from 0 to 1; what is 1 or above lies in one more."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of the integer columns of an evaluation over some pages, by the names of the columns. Mergeable."""

    columns: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, column: str) -> int:
        return self.columns.get(column, 0)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums({name: self[name] + other[name] for name in {**self.columns, **other.columns}})

    def share(self, part: str, whole: str) -> float | None:
        """Divide one sum by another; None when that is 0."""
        return self[part] / self[whole] if self[whole] else None

    @property
    def cer(self) -> float | None:
        """Character errors / characters of the truth, over all pages together."""
        return self.share("char_errors", "truth_chars")

    @property
    def ser(self) -> float | None:
        """Syllable errors / syllables of the truth."""
        return self.share("syllable_errors", "truth_syllables")

    @property
    def wer(self) -> float | None:
        """Word errors / words of the truth."""
        return self.share("word_errors", "truth_words")


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many pages have a value in each thousandth of 0 to 1, and last, of 1 or above."""

    counts: tuple[int, ...] = (0,) * (BINS + 1)

    @property
    def total(self) -> int:
        """How many pages have a value at all."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Return the lower bound of the thousandth in which that share (0 to 1) of the pages is reached."""
        reached = 0
        for place, count in enumerate(self.counts):
            reached += count
            if reached and reached >= share * self.total:
                return place / BINS
        return None

    def to_json(self) -> dict[str, int]:
        """Return the form of `--json`: the pages of each thousandth that has any, by its lower bound."""
        return {f"{place / BINS:.3f}": count for place, count in enumerate(self.counts) if count}


@dataclass(frozen=True)
class PageScore:
    """One page and how it did. `index` is its place in the manifest, from 0."""

    volume: VolumeRef
    index: int
    img_file_name: str
    cer: float | None
    suspicion: float
    nb_chars: int
    truth_chars: int | None
    truth_text: str | None = None
    ocr_text: str | None = None

    @cached_property
    def comparison(self) -> Comparison | None:
        """Its truth beside what was read; None where there is no truth, or the evaluation is of an older version."""
        return None if self.truth_text is None else compared(self.truth_text, self.ocr_text or "")

    def to_json(self) -> dict[str, Any]:
        """Return the form of `--json`."""
        return {
            "w_id": self.volume.w_id,
            "i_id": self.volume.i_id,
            "page": self.index + 1,
            "img_file_name": self.img_file_name,
            "cer": self.cer,
            "suspicion": self.suspicion,
            "nb_chars": self.nb_chars,
            "truth_chars": self.truth_chars,
        }


@dataclass(frozen=True, slots=True)
class WorkScore:
    """One work: its volumes, its pages that were evaluated, their sums, and the mean of their suspicion."""

    w_id: str
    volumes: int
    pages: int
    sums: Sums
    suspicion: float

    def to_json(self) -> dict[str, Any]:
        """Return the form of `--json`."""
        figures = {"cer": self.sums.cer, "ser": self.sums.ser, "wer": self.sums.wer, "suspicion": self.suspicion}
        counts = {"volumes": self.volumes, "pages": self.pages, "pages_with_truth": self.sums["has_truth"]}
        return {"w_id": self.w_id, **counts, **figures}


@dataclass(frozen=True, slots=True)
class Confusion:
    """A character of the truth that was read as another, and how often; empty text stands for none."""

    truth: str
    ocr: str
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """All volumes of an evaluation job that are done.

    `unreadable` are volumes whose artefact is gone or broken. `agreement` is the mean over the pages that a second OCR
    job read too. `worst` are the pages with the highest character error rates, `suspects` those with the highest
    suspicion, which needs no truth; both are short lists. `works` are all works, the worst first. `partial` is how many
    of the volumes are not done: what their attempts left stands for them. `unmatched` are the first files of truth that
    belong to no page.
    """

    job: str
    volumes: int
    unreadable: tuple[VolumeRef, ...]
    pages: PageCounts
    sums: Sums
    agreement: float | None
    cer: Distribution
    suspicion: Distribution
    works: tuple[WorkScore, ...]
    confusions: tuple[Confusion, ...]
    worst: tuple[PageScore, ...]
    suspects: tuple[PageScore, ...]
    partial: int = 0
    unmatched: tuple[str, ...] = ()

    def summary(self) -> list[tuple[str, str]]:
        """Return the figures of the whole job as a table of two columns; what is not known is left out."""
        return [(label, _in_words(value)) for label, value in self._figures() if value is not None]

    def hints(self) -> list[str]:
        """Return what to look at before the figures are believed, a sentence or two each."""
        off, pages, alone = self.sums[FIRST_LINE_OFF], self.sums["has_truth"], self.sums[UNMATCHED]
        found = []
        if off > 1 and off >= _USUAL * pages:
            found.append(
                f"On {off:,} of {pages:,} pages the first line of the truth is not in the text, and the others are. If "
                "it is no text of the page (a name, a number), raise `truth_skip_lines` of the job's config by one."
            )
        if alone:
            files = "file of truth belongs" if alone == 1 else "files of truth belong"
            names = ", ".join(map(printable, self.unmatched[:3]))
            more = ", ..." if alone > len(self.unmatched[:3]) else ""
            found.append(f"{alone:,} {files} to no page ({names}{more}): truth is named like the image of its page.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the form of `--json`: everything, numbers as they are."""
        return {
            "job": self.job,
            "volumes": self.volumes,
            "partial": self.partial,
            "hints": self.hints(),
            "unmatched_truth": list(self.unmatched),
            "unreadable": [str(volume) for volume in self.unreadable],
            "pages": {"ok": self.pages.ok, "skipped": self.pages.skipped, "error": self.pages.error},
            "cer": self.sums.cer,
            "ser": self.sums.ser,
            "wer": self.sums.wer,
            "agreement": self.agreement,
            "sums": dict(self.sums.columns),
            "cer_distribution": self.cer.to_json(),
            "suspicion_distribution": self.suspicion.to_json(),
            "confusions": [{"truth": c.truth, "ocr": c.ocr, "count": c.count} for c in self.confusions],
            "works": _in_json(self.works),
            "worst": _in_json(self.worst),
            "suspects": _in_json(self.suspects),
        }

    def table(self) -> list[dict[str, Any]]:
        """Return the works, the worst first."""
        return _in_json(self.works)

    def _figures(self) -> list[tuple[str, float | None]]:
        sums = self.sums
        return [
            ("Volumes", self.volumes),
            ("Volumes that are not done, and partly counted", self.partial or None),
            ("Volumes whose artefact cannot be read", len(self.unreadable) or None),
            ("Pages evaluated", self.pages.ok),
            ("Pages skipped", self.pages.skipped),
            ("Pages with errors", self.pages.error),
            ("Pages with ground truth", sums["has_truth"]),
            ("Files of ground truth without a page", sums[UNMATCHED] or None),
            ("Pages whose first line of truth was not read", sums[FIRST_LINE_OFF] or None),
            ("Character error rate", sums.cer),
            ("Character error rate, median page", self.cer.quantile(0.5)),
            ("Character error rate, 90th percentile of pages", self.cer.quantile(0.9)),
            ("Insertions per true character", sums.share("char_insertions", "truth_chars")),
            ("Deletions per true character", sums.share("char_deletions", "truth_chars")),
            ("Substitutions per true character", sums.share("char_substitutions", "truth_chars")),
            ("Syllable error rate", sums.ser),
            ("Word error rate", sums.wer),
            ("Characters read", sums["nb_chars"]),
            ("Lines read", sums["nb_lines"]),
            ("Lines of low confidence", sums.share("low_confidence_lines", "nb_lines")),
            ("Code points outside the script", sums.share("outside_script", "codepoints")),
            ("Illegal stacks", sums.share("illegal_stacks", "stacks")),
            ("Foreign stacks", sums.share("foreign_stacks", "stacks")),
            ("Repeated text", sums.share("repeated_chars", "nb_chars")),
            ("Pages without text, but with ink", sums["empty_with_ink"]),
            ("Agreement with the second OCR", self.agreement),
        ]


def _in_json(values: Iterable[WorkScore | PageScore]) -> list[dict[str, Any]]:
    return [value.to_json() for value in values]


def _in_words(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.2%}"
