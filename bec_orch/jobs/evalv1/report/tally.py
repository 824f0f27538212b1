"""Adds up an evaluation job over all its volumes, however many: each volume's rows are read, counted and dropped."""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from bec_orch.core.frames import page_numbers
from bec_orch.core.ports.views import Tally
from bec_orch.core.volumes import PageCounts, VolumeRef
from bec_orch.jobs.evalv1.report.html import EvaluationReport
from bec_orch.jobs.evalv1.report.values import (
    BINS,
    FIRST_LINE_OFF,
    UNMATCHED,
    UNMATCHED_NAMES,
    Confusion,
    Distribution,
    PageScore,
    Sums,
    WorkScore,
)

WORST_PAGES = 24
CONFUSIONS = 50
_KEPT_CONFUSIONS = 100_000
_KEPT_UNMATCHED = 50
_SUMMED = (
    *("has_truth", "truth_chars", "char_errors", "char_insertions", "char_deletions", "char_substitutions"),
    *("truth_syllables", "syllable_errors", "truth_words", "word_errors"),
    *("nb_chars", "nb_lines", "low_confidence_lines", "codepoints", "outside_script"),
    *("stacks", "illegal_stacks", "foreign_stacks", "repeated_chars", "empty_with_ink"),
)
_SCORED = ("index", "img_file_name", "cer", "suspicion", "nb_chars", "truth_chars")
_TEXTS = ("truth_text", "ocr_text")
"""Artefacts of before have none, and none of the other columns that came later."""
_Key = Callable[[PageScore], tuple[float, str, str, int]]
_COLUMNS = ("img_file_name", "ok", "skipped", *_SUMMED, "cer", "agreement", "suspicion", "confusions")


@dataclass(slots=True)
class _WorkTally:
    volumes: int = 0
    pages: int = 0
    sums: Sums = field(default_factory=Sums)
    suspicion: float = 0.0

    def score(self, w_id: str) -> WorkScore:
        return WorkScore(w_id, self.volumes, self.pages, self.sums, self.suspicion / self.pages if self.pages else 0.0)


class EvaluationTally(Tally):
    """The tally of evaluations. Grows with the number of works, not with that of volumes or pages.

    Args:
        job: the job's name.
    """

    columns = (*_COLUMNS, UNMATCHED, UNMATCHED_NAMES, FIRST_LINE_OFF, *_TEXTS)

    def __init__(self, job: str) -> None:
        self._job = job
        self._volumes = 0
        self._partial = 0
        self._unreadable: list[VolumeRef] = []
        self._pages = PageCounts()
        self._works: dict[str, _WorkTally] = {}
        self._agreement = 0.0
        self._agreeing = 0
        self._cer: Counter[int] = Counter()
        self._suspicion: Counter[int] = Counter()
        self._confusions: Counter[tuple[str, str]] = Counter()
        self._worst: list[PageScore] = []
        self._suspects: list[PageScore] = []
        self._unmatched: list[str] = []

    @override
    def add(self, volume: VolumeRef, table: pa.Table | None, *, partial: bool = False) -> None:
        self._volumes += 1
        self._partial += partial
        if table is None or set(_COLUMNS) - set(table.column_names):
            self._unreadable.append(volume)
            return
        self._pages += _page_counts(table)
        names: list[Any] = table.column("img_file_name").to_pylist()
        numbered = table.append_column("index", pa.array([number - 1 for number in page_numbers(names)], pa.int32()))
        evaluated = numbered.filter(pc.field("ok"))
        self._add_to_work(volume, evaluated)
        self._add_later_columns(volume, table)
        self._agreement += pc.sum(evaluated.column("agreement")).as_py() or 0.0
        self._agreeing += pc.count(evaluated.column("agreement")).as_py()
        self._cer += _binned(evaluated.column("cer"))
        self._suspicion += _binned(evaluated.column("suspicion"))
        self._add_confusions(evaluated.column("confusions"))
        self._worst = _highest(self._worst, _top(volume, evaluated, "cer"), _by_cer)
        self._suspects = _highest(self._suspects, _top(volume, evaluated, "suspicion"), _by_suspicion)

    @override
    def report(self) -> EvaluationReport:
        works = [work.score(w_id) for w_id, work in self._works.items()]
        return EvaluationReport(
            job=self._job,
            volumes=self._volumes,
            unreadable=tuple(self._unreadable),
            pages=self._pages,
            sums=sum((work.sums for work in self._works.values()), Sums()),
            agreement=self._agreement / self._agreeing if self._agreeing else None,
            cer=_distribution(self._cer),
            suspicion=_distribution(self._suspicion),
            works=tuple(sorted(works, key=lambda work: (-(work.sums.cer or 0.0), -work.suspicion, work.w_id))),
            confusions=tuple(Confusion(*pair, count) for pair, count in self._confusions.most_common(CONFUSIONS)),
            worst=tuple(self._worst),
            suspects=tuple(self._suspects),
            partial=self._partial,
            unmatched=tuple(self._unmatched),
        )

    def _add_to_work(self, volume: VolumeRef, evaluated: pa.Table) -> None:
        work = self._works.setdefault(volume.w_id, _WorkTally())
        work.volumes += 1
        work.pages += evaluated.num_rows
        work.sums += Sums({name: int(pc.sum(evaluated.column(name)).as_py() or 0) for name in _SUMMED})
        work.suspicion += pc.sum(evaluated.column("suspicion")).as_py() or 0.0

    def _add_later_columns(self, volume: VolumeRef, table: pa.Table) -> None:
        """Count what artefacts of before do not have."""
        for name in {UNMATCHED, FIRST_LINE_OFF} & set(table.column_names):
            self._works[volume.w_id].sums += Sums({name: int(pc.sum(table.column(name)).as_py() or 0)})
        if UNMATCHED_NAMES in table.column_names and len(self._unmatched) < _KEPT_UNMATCHED:
            names: list[Any] = pc.list_flatten(table.column(UNMATCHED_NAMES)).to_pylist()
            self._unmatched += names[: _KEPT_UNMATCHED - len(self._unmatched)]

    def _add_confusions(self, column: "pa.ChunkedArray[Any]") -> None:
        for confusion in _grouped(pc.list_flatten(column)).to_pylist():
            self._confusions[confusion["truth"], confusion["ocr"]] += confusion["count_sum"]
        if len(self._confusions) > 2 * _KEPT_CONFUSIONS:
            self._confusions = Counter(dict(self._confusions.most_common(_KEPT_CONFUSIONS)))


def _grouped(confusions: "pa.Array[Any] | pa.ChunkedArray[Any]") -> pa.Table:
    columns = {name: pc.struct_field(confusions, name) for name in ("truth", "ocr", "count")}
    return pa.table(columns).group_by(["truth", "ocr"]).aggregate([("count", "sum")])


def _page_counts(table: pa.Table) -> PageCounts:
    ok, skipped = (int(pc.sum(table.column(name)).as_py() or 0) for name in ("ok", "skipped"))
    return PageCounts(ok, skipped, table.num_rows - ok - skipped)


def _binned(column: "pa.ChunkedArray[Any]") -> Counter[int]:
    """Count values by thousandths, those of 1 and above together; what is null counts nowhere."""
    thousandths = pc.floor(pc.multiply(column.cast(pa.float64()).drop_null(), BINS))
    found = pc.value_counts(thousandths)
    values: list[Any] = found.field("values").to_pylist()
    counts: list[Any] = found.field("counts").to_pylist()
    binned: Counter[int] = Counter()
    for value, count in zip(values, counts, strict=True):
        binned[min(int(value), BINS)] += count
    return binned


def _distribution(counts: Counter[int]) -> Distribution:
    return Distribution(tuple(counts[place] for place in range(BINS + 1)))


def _top(volume: VolumeRef, evaluated: pa.Table, column: str) -> list[PageScore]:
    """Return the volume's pages with the highest values above 0 of a column."""
    some = (
        evaluated.filter(pc.field(column) > 0)
        .select([*_SCORED, *(name for name in _TEXTS if name in evaluated.column_names)])
        .sort_by([(column, "descending"), ("index", "ascending")])
    )
    return [PageScore(volume=volume, **row) for row in some.slice(0, WORST_PAGES).to_pylist()]


def _highest(held: list[PageScore], new: list[PageScore], key: _Key) -> list[PageScore]:
    return heapq.nsmallest(WORST_PAGES, [*held, *new], key=key)


def _by_cer(page: PageScore) -> tuple[float, str, str, int]:
    return (-(page.cer or 0.0), page.volume.w_id, page.volume.i_id, page.index)


def _by_suspicion(page: PageScore) -> tuple[float, str, str, int]:
    return (-page.suspicion, page.volume.w_id, page.volume.i_id, page.index)
