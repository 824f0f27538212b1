"""Score the recognisers of Tibetan beside each other: on line pictures, on pages, and by what a line costs.

    python -m bench.score_recognisers [--data DIR] [--engines NAME ...] [--sets TEXT] [--lines FILE]

`plain` is Tesseract's `bod` on the picture as it is (pages: with its own page layout); all others are `ocrv1` on the
lines that `ldv1` finds, each with its own cut. Rates are character error rates in code points, white space ignored,
marks in one order; ༎ counts as two shads and ༌ as tsheg, because the sources write one for the other. `letters`:
without tshegs, shads and head marks too. On line pictures the line nearest to the middle is scored, of the pages of
`texts` (`bench/truth/texts.tsv`) the lines that were read by eye: each the one that `ldv1` found there, `plain` a strip
along its label. `--lines` writes each one's text.
"""

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tesserocr
from PIL import Image
from rapidfuzz.distance import Levenshtein

from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.volumes import Page
from bec_orch.jobs.ldv1.config import PPOCR
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.ocrv1.found_lines import lines_of
from bec_orch.jobs.ocrv1.worker import Ocrv1Worker, normalised
from bec_orch.jobs.pipeline.page_input import InputRows
from bench.label_lines import opened
from bench.label_texts import strip
from bench.labelled import PRINTS, LabelledText, read_pages, read_texts
from bench.ocr_held_out import middle_place
from bench.score_lines import line_mask, share_inside
from bench.score_ocr import MEMORY_BUDGET, rows_of, truth_of, whole_texts
from bench.throughput import LocalModels

PLAIN = "plain"
ENGINES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "tesseract": {"engine": "tesseract"},
    "bec, lm: none": {"engine": "bec", "lm": "none"},
    "bec": {"engine": "bec"},
}
LINE_SETS = ("lines_gt/line_crops", "lines_gt/lhasa_lines", "lines_gt/g4_lines")
TEXT_SETS = tuple(f"texts/{each}" for each in PRINTS)
PAGE_SETS = tuple(
    f"pages_gt/{each}"
    for each in ("namsel_ngb", "namsel_sample_book1", "namsel_sample_book3", "namsel_sample_book5", "multimodel")
)
SETS = LINE_SETS + TEXT_SETS + PAGE_SETS
TOTALS = dict.fromkeys(LINE_SETS, "all line pictures") | dict.fromkeys(TEXT_SETS, "all texts read by eye")
SUFFIXES = {".jpg", ".png", ".tif"}
PLAIN_BEYOND = 0.25
"""What plain Tesseract sees above and below a labelled line, in terms of its height."""
_ALIKE = str.maketrans({"༌": "་", "༎": "།།"})
NO_LETTERS = re.compile("[་།༄༅༆༈༑༔\\s]")
WHITE_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Read:
    """A picture's text, its truth and how sure the engine was (nan: it does not say)."""

    name: str
    text: str
    truth: str
    confidence: float

    def rate(self, left_out: re.Pattern[str]) -> float:
        """Return the character error rate without what is left out."""
        text, truth = (left_out.sub("", normalised(each).translate(_ALIKE)) for each in (self.text, self.truth))
        return Levenshtein.distance(text, truth) / len(truth)


class Bench:
    """The jobs, on one thread.

    Args:
        data: folder with `lines_gt`, `pages_gt` and `models`.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._resources = WorkerResources(1, MEMORY_BUDGET, LocalModels())
        self._ldv1 = Ldv1Worker.create({"model": PPOCR}, self._resources)

    def lines(self, folder: Path, names: Sequence[str]) -> pa.Table:
        """Find the lines of pictures."""
        return rows_of(self._ldv1, folder, names)

    def reader(self, name: str) -> Callable[[str], tuple[list[Read], float]]:
        """Find the lines of one of `SETS`; return what reads it, given an engine."""
        if name in TEXT_SETS:
            texts = [each for each in read_texts() if name == f"texts/{each.print}"]
            return partial(self.read_texts, texts=texts, lines=self.lines(self._data, pictures_of(texts)))
        folder = self._data / name
        names = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
        return partial(self.read, folder=folder, names=names, lines=self.lines(folder, names))

    def read(self, engine: str, folder: Path, names: Sequence[str], lines: pa.Table) -> tuple[list[Read], float]:
        """Read pictures; return the texts, and seconds of CPU for each line read."""
        middle = folder.name in {Path(each).name for each in LINE_SETS}
        if engine == PLAIN:
            mode = tesserocr.PSM.RAW_LINE if middle else tesserocr.PSM.AUTO
            return list(self._plain(folder, names, mode)), float("nan")
        table, spent = self._rows(dict(ENGINES[engine]), folder, names, lines)
        texts = {} if middle else whole_texts(table, folder, names)
        return [_read(folder, row, texts) for row in table.to_pylist()], spent

    def read_texts(self, engine: str, texts: Sequence[LabelledText], lines: pa.Table) -> tuple[list[Read], float]:
        """Read lines whose text was read by eye, of pages or line pictures whose lines were found; see `read`."""
        if engine == PLAIN:
            return list(self._plain_texts(texts)), float("nan")
        table, spent = self._rows(dict(ENGINES[engine]), self._data, pictures_of(texts), lines)
        read, found = {row["img_file_name"]: row for row in table.to_pylist()}, InputRows("ldv1", lines)
        return [_text_of(self._data, each, read[each.picture], found) for each in texts], spent

    def _rows(
        self, config: dict[str, Any], folder: Path, names: Sequence[str], lines: pa.Table
    ) -> tuple[pa.Table, float]:
        if config["engine"] == "tesseract":
            config["tessdata"] = str(self._data / "models" / "tessdata" / "bod.traineddata")
        worker = Ocrv1Worker.create(config, self._resources)
        started = time.process_time()
        table = rows_of(worker, folder, names, {"ldv1": lines})
        spent = time.process_time() - started
        return table, spent / max(1, sum(count or 0 for count in table["nb_lines"].to_pylist()))

    def _plain_texts(self, texts: Sequence[LabelledText]) -> Iterator[Read]:
        labels = {page.page: page.lines for page in read_pages()}
        with self._tesseract(tesserocr.PSM.RAW_LINE) as api:
            for text in texts:
                page = np.asarray(opened(self._data / text.picture).convert("L"), np.uint8)
                if text.line:
                    line = labels[text.picture][text.line - 1]
                    page = strip(page, line, line.height, PLAIN_BEYOND)
                api.SetImage(Image.fromarray(page))
                yield Read(f"{text.picture} {text.line}", api.GetUTF8Text(), text.text, float("nan"))

    def _tesseract(self, mode: int) -> tesserocr.PyTessBaseAPI:
        return tesserocr.PyTessBaseAPI(path=f"{self._data / 'models' / 'tessdata'}/", lang="bod", psm=mode)

    def _plain(self, folder: Path, names: Sequence[str], mode: int) -> Iterator[Read]:
        with self._tesseract(mode) as api:
            for name in names:
                with Image.open(folder / name) as image:
                    api.SetImage(image.convert("L"))
                yield Read(name, api.GetUTF8Text(), truth_of(folder / name), float("nan"))


def _read(folder: Path, row: Mapping[str, Any], texts: Mapping[str, str]) -> Read:
    """Return what was read on a page, whose text this is, or on a line picture, of which there is none."""
    name, confidences = row["img_file_name"], row["line_confidences"] or ()
    text = texts.get(name)
    if text is None:
        place = middle_place(row, folder / name)
        text, confidences = ("", ()) if place is None else (row["line_texts"][place], [confidences[place]])
    return Read(name, text, truth_of(folder / name), statistics.mean(confidences) if confidences else 0.0)


def pictures_of(texts: Sequence[LabelledText]) -> list[str]:
    """Return the pictures of texts, each once."""
    return sorted({text.picture for text in texts})


def _text_of(data: Path, text: LabelledText, row: Mapping[str, Any], found: InputRows) -> Read:
    """Return what was read of a labelled line: nothing where no line was found on it."""
    place = middle_place(row, data / text.picture)
    if text.line:
        place = place_of(text, lines_of(found.of(Page(0, text.picture))))
    what = ("", 0.0) if place is None else (row["line_texts"][place], row["line_confidences"][place])
    return Read(f"{text.picture} {text.line}", what[0], text.text, what[1])


def place_of(text: LabelledText, lines: PageLines) -> int | None:
    """Return which line of a page, from 0, covers the most of a label's centre line; None where none does."""
    label = next(page.lines for page in read_pages() if page.page == text.picture)[text.line - 1]
    shares = [share_inside(label.points, line_mask(lines, number)) for number in range(lines.line_count)]
    return int(np.argmax(shares)) if any(shares) else None


def main(arguments: list[str] | None = None) -> int:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=[*ENGINES])
    parser.add_argument("--sets", default="", help="only sets whose name holds this")
    parser.add_argument("--lines", type=Path, help="file for every text beside its truth")
    options = parser.parse_args(arguments)
    bench = Bench(options.data)
    told: list[str] = []
    totals: dict[tuple[str, str], list[Read]] = {}
    print("| set | engine | pictures | median | mean | letters, median | ms a line |\n|---|---|---|---|---|---|---|")
    for name in (each for each in SETS if options.sets in each):
        read_by = bench.reader(name)
        for engine in options.engines:
            reads, spent = read_by(engine)
            print(_row(name, engine, reads, spent), flush=True)
            told += [
                f"{name}/{each.name}\t{engine}\t{each.rate(WHITE_SPACE):.3f}\t{each.confidence:.3f}\t"
                f"{each.text!r}\t{each.truth!r}"
                for each in reads
            ]
            if name in TOTALS:
                totals.setdefault((TOTALS[name], engine), []).extend(reads)
    for (title, engine), reads in totals.items():
        print(_row(title, engine, reads, float("nan")))
    if options.lines:
        options.lines.write_text("\n".join(told) + "\n", "utf-8")
    return 0


def _row(name: str, engine: str, reads: Sequence[Read], spent: float) -> str:
    rates, letters = ([read.rate(left_out) for read in reads] for left_out in (WHITE_SPACE, NO_LETTERS))
    cost = "" if spent != spent else f"{1000 * spent:.0f}"  # noqa: PLR0124 - nan alone is not itself
    figures = (statistics.median(rates), statistics.mean(rates), statistics.median(letters))
    return f"| {name} | {engine} | {len(reads)} | " + " | ".join(f"{each:.3f}" for each in figures) + f" | {cost} |"


if __name__ == "__main__":
    sys.exit(main())
