"""Score `ocrv1` against pages whose text is known, beside Tesseract's own page layout on the same pages.

    python -m bench.score_ocr [--data DIR] [--pages TEXT] [--line-model MODEL] [--json]

The pages are the line-counted ones of `pages_gt`; `ldv1` and then `ocrv1` with Tesseract's `bod` run on them as jobs
do, with page reader, pipeline and rows, only without a database. The character error rate is Levenshtein's distance in
code points over the number of code points of the truth, white space ignored in both, and both in the spelling of
`ocrv1.worker`. The plain column is `BASELINE_tesseract_bod.tsv`: Tesseract 5.5 with the same language on the whole
page. The transcriptions of books have running heads and page numbers, those of pechas main text alone: these kinds of
lines are compared where the line model tells kinds.
"""

import argparse
import csv
import json
import os
import re
import statistics
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
from rapidfuzz.distance import Levenshtein
from typing_extensions import override

from bec_orch.core.ports.job_worker import JobContext, JobWorker, PageBytes, PageReader, RowStore, WorkerResources
from bec_orch.core.volumes import Manifest, Page, PageCounts, PageOutcome, PageState, VolumeRef
from bec_orch.io.artefacts.rows import outcomes_table
from bec_orch.jobs.evalv1.ocr_rows import ocr_page
from bec_orch.jobs.ldv1.config import DEFAULT_MODEL
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.ocrv1.worker import Ocrv1Worker, normalised
from bec_orch.jobs.pipeline.page_input import InputRows
from bench.throughput import LocalModels, NeverStop

MEMORY_BUDGET = 2**30
FILE_NAME_ON_TOP = "namsel_"
"""The truth files of these sets begin with the name of the image."""


BOOKS = "namsel_sample_"
"""Transcriptions of whole pages."""


@dataclass(frozen=True, slots=True)
class Score:
    """The character error rates of one page."""

    page: str
    truth_chars: int
    ocrv1: float
    plain: float


class Folder(PageReader):
    """Reads page images of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @override
    async def read(self, page: Page) -> PageBytes:
        return PageBytes((self._root / page.filename).read_bytes(), "")


@dataclass
class Rows(RowStore):
    """Keeps the rows of one run."""

    outcomes: list[PageOutcome] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @override
    def finished(self) -> frozenset[int]:
        return frozenset()

    @override
    def add(self, outcome: PageOutcome) -> None:
        with self._lock:
            self.outcomes.append(outcome)

    @override
    def flush(self) -> None:
        """Keep nothing for later."""

    @override
    def counts(self) -> PageCounts:
        states = [outcome.state for outcome in self.outcomes]
        return PageCounts(*(states.count(state) for state in (PageState.OK, PageState.SKIPPED, PageState.ERROR)))


def rows_of(
    worker: JobWorker, root: Path, names: Sequence[str], dependencies: Mapping[str, pa.Table] | None = None
) -> pa.Table:
    """Run a job over pages, and return its artefact's rows.

    Args:
        worker: the job.
        root: folder that the names begin in.
        names: the pages' files.
        dependencies: rows of the jobs that it needs, by name.
    """
    volume = VolumeRef("W0", "I0", f"folder+{root.as_uri()}")
    pages = tuple(Page(index, name, size=(root / name).stat().st_size) for index, name in enumerate(names))
    manifest, rows = Manifest(volume, "0" * 32, pages), Rows()
    readers = {name: lambda table=table: table for name, table in (dependencies or {}).items()}
    with tempfile.TemporaryDirectory() as scratch:
        context = JobContext(
            worker.job_type, volume, manifest, Folder(root), rows, NeverStop(), _unheard, Path(scratch), readers
        )
        worker.run(context)
    return outcomes_table(rows.outcomes, manifest, worker.schema)


def _unheard(pages: int) -> None:
    del pages


def truth_of(image: Path) -> str:
    """Read the transcription of a page."""
    text = image.with_suffix(".txt").read_text(encoding="utf-8-sig")
    named = image.parent.name.startswith(FILE_NAME_ON_TOP)
    return text.partition("\n")[2] if named else text


def error_rate(read: str, truth: str) -> float:
    """Return the character error rate, white space ignored."""
    wanted = _bare(truth)
    return Levenshtein.distance(_bare(read), wanted) / len(wanted)


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", normalised(text))


def scores(data: Path, wanted: str = "", line_model: str = DEFAULT_MODEL) -> list[Score]:
    """Score the line-counted pages whose name has `wanted` in it, their lines found by a line model."""
    pages = data / "pages_gt"
    plain = plain_rates(pages / "BASELINE_tesseract_bod.tsv")
    names = [name for name in plain if wanted in name]
    resources = WorkerResources(os.cpu_count() or 1, MEMORY_BUDGET, LocalModels())
    lines = rows_of(Ldv1Worker.create({"model": line_model}, resources), pages, names)
    tessdata = str(data / "models" / "tessdata" / "bod.traineddata")
    read = rows_of(Ocrv1Worker.create({"tessdata": tessdata}, resources), pages, names, {"ldv1": lines})
    return [_score(pages / name, name, text, plain) for name, text in whole_texts(read, pages, names).items()]


def whole_texts(read: pa.Table, folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return what `ocrv1` read on each of these pages of a folder, in lines of the kinds that are transcribed."""
    rows = InputRows("ocrv1", read)
    return {name: ocr_page(rows.of(Page(0, name)), _transcribed(folder / name)).text for name in names}


def _transcribed(page: Path) -> tuple[str, ...]:
    return ("main", "running") if BOOKS in str(page) else ("main",)


def _score(image: Path, name: str, text: str, plain: Mapping[str, float]) -> Score:
    truth = truth_of(image)
    return Score(name, len(_bare(truth)), error_rate(text, truth), plain[name])


def plain_rates(table: Path) -> dict[str, float]:
    """Read the pages and the error rates of Tesseract with its own page layout."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {f"{row['set']}/{row['image']}": float(row["cer_no_ws"]) for row in rows}


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Score ocrv1 against pages whose text is known.")
    usual = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=usual, help="folder with pages_gt and models")
    parser.add_argument("--pages", default="", metavar="TEXT", help="only pages with this in their name")
    parser.add_argument("--line-model", default=DEFAULT_MODEL, help="model of `ldv1` that finds the lines")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    found = scores(options.data, options.pages, options.line_model)
    if options.json:
        print(json.dumps([asdict(score) for score in found], indent=1))
    elif found:
        _print_table(found)
    return 0 if found else 1


def _print_table(found: Sequence[Score]) -> None:
    print(f"{'page':48} {'chars':>6} {'ocrv1':>7} {'plain':>7}")
    for score in found:
        print(f"{score.page:48} {score.truth_chars:6} {score.ocrv1:7.3f} {score.plain:7.3f}")
    for name, middle in (("median", statistics.median), ("mean", statistics.fmean)):
        ours, plain = middle([score.ocrv1 for score in found]), middle([score.plain for score in found])
        print(f"{name:48} {'':6} {ours:7.4f} {plain:7.4f}")


if __name__ == "__main__":
    sys.exit(main())
