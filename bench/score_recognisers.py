"""Score the recognisers of Tibetan beside each other: on line pictures, on pages, and by what a line costs.

    python -m bench.score_recognisers [--data DIR] [--engines NAME ...] [--sets TEXT] [--lines FILE]

`plain` is Tesseract's `bod` on the picture as it is (pages: with its own page layout); all others are `ocrv1` on the
lines that `ldv1` finds, each with its own cut. Rates are character error rates in code points, white space ignored,
marks in one order; ༎ counts as two shads and ༌ as tsheg, because the sources write one for the other. `letters`:
without tshegs, shads and head marks too. On line pictures the line nearest to the middle is scored. `--lines` writes
each one's text.
"""

import argparse
import re
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import tesserocr
from PIL import Image
from rapidfuzz.distance import Levenshtein

from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.jobs.ldv1.config import PPOCR
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.ocrv1.worker import Ocrv1Worker, normalised
from bench.ocr_held_out import middle_place
from bench.score_ocr import MEMORY_BUDGET, rows_of, truth_of
from bench.throughput import LocalModels

PLAIN = "plain"
ENGINES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "tesseract": {"engine": "tesseract"},
    "bec, lm: none": {"engine": "bec", "lm": "none"},
    "bec": {"engine": "bec"},
}
LINE_SETS = ("lines_gt/line_crops", "lines_gt/lhasa_lines", "lines_gt/g4_lines")
PAGE_SETS = ("namsel_ngb", "namsel_sample_book1", "namsel_sample_book3", "namsel_sample_book5", "multimodel")
SUFFIXES = {".jpg", ".png", ".tif"}
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

    def read(self, engine: str, folder: Path, names: Sequence[str], lines: pa.Table) -> tuple[list[Read], float]:
        """Read pictures; return the texts, and seconds of CPU for each line read."""
        middle = folder.name in {Path(each).name for each in LINE_SETS}
        if engine == PLAIN:
            mode = tesserocr.PSM.RAW_LINE if middle else tesserocr.PSM.AUTO
            return list(self._plain(folder, names, mode)), float("nan")
        config = dict(ENGINES[engine])
        if config["engine"] == "tesseract":
            config["tessdata"] = str(self._data / "models" / "tessdata" / "bod.traineddata")
        worker = Ocrv1Worker.create(config, self._resources)
        started = time.process_time()
        rows = rows_of(worker, folder, names, {"ldv1": lines}).to_pylist()
        spent = (time.process_time() - started) / max(1, sum(row["nb_lines"] or 0 for row in rows))
        return [_read(folder, row, middle=middle) for row in rows], spent

    def _plain(self, folder: Path, names: Sequence[str], mode: int) -> Iterator[Read]:
        tessdata = self._data / "models" / "tessdata"
        with tesserocr.PyTessBaseAPI(path=f"{tessdata}/", lang="bod", psm=mode) as api:
            for name in names:
                with Image.open(folder / name) as opened:
                    api.SetImage(opened.convert("L"))
                yield Read(name, api.GetUTF8Text(), truth_of(folder / name), float("nan"))


def _read(folder: Path, row: Mapping[str, Any], *, middle: bool) -> Read:
    name, confidences = row["img_file_name"], row["line_confidences"] or ()
    text = row["page_text"] or ""
    if middle:
        place = middle_place(row, folder / name)
        text, confidences = ("", ()) if place is None else (row["line_texts"][place], [confidences[place]])
    return Read(name, text, truth_of(folder / name), statistics.mean(confidences) if confidences else 0.0)


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
    everything: dict[str, list[Read]] = {engine: [] for engine in options.engines}
    print("| set | engine | pictures | median | mean | letters, median | ms a line |\n|---|---|---|---|---|---|---|")
    for name in (*LINE_SETS, *(f"pages_gt/{each}" for each in PAGE_SETS)):
        if options.sets not in name:
            continue
        folder = options.data / name
        names = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
        lines = bench.lines(folder, names)
        for engine in options.engines:
            reads, spent = bench.read(engine, folder, names, lines)
            print(_row(name, engine, reads, spent), flush=True)
            told += [
                f"{name}/{each.name}\t{engine}\t{each.rate(WHITE_SPACE):.3f}\t{each.confidence:.3f}\t"
                f"{each.text!r}\t{each.truth!r}"
                for each in reads
            ]
            everything[engine] += reads if name in LINE_SETS else []
    for engine, reads in everything.items():
        if reads:
            print(_row("all line pictures", engine, reads, float("nan")))
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
