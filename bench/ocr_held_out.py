"""Score `ocrv1` on text that the cropping of its lines was not tuned on.

    python -m bench.ocr_held_out [--data DIR] [--only books|pages|lines]

`books`: the rim of a cut line is chosen anew for each of the four books of `bench.score_ocr` by the pages of the three
others, and scored on the pages of that book. `pages`: four pictures of one pecha page (`pages_gt/multimodel`), beside
Tesseract with its own page layout. `lines`: single line pictures of block prints (`lines_gt`), each with parts of the
lines above and below: the line in the middle, found and cut as on a page, beside Tesseract on the picture as it is.
Rates are those of `bench.score_ocr`.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tesserocr
from PIL import Image

from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.jobs.ldv1.config import PPOCR
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.ocrv1.cut import line_images
from bec_orch.jobs.ocrv1.worker import Ocrv1Worker
from bench.score_ocr import MEMORY_BUDGET, error_rate, plain_rates, rows_of, truth_of, whole_texts
from bench.throughput import LocalModels

RIMS = (0.0, 0.03, 0.05, 0.08, 0.12, 0.25)
"""Shares of the line's height that are tried above and below the ink; twice that beside it, as shipped."""
LINE_SETS = ("line_crops", "lhasa_lines", "g4_lines")

Rates = Mapping[str, float]


class Jobs:
    """`ldv1` and `ocrv1` with Tesseract's `bod`, over images of a folder."""

    def __init__(self, data: Path, threads: int) -> None:
        self.tessdata = data / "models" / "tessdata"
        resources = WorkerResources(threads, MEMORY_BUDGET, LocalModels())
        self._ldv1 = Ldv1Worker.create({"model": PPOCR}, resources)
        self._ocrv1 = Ocrv1Worker.create({"tessdata": str(self.tessdata / "bod.traineddata")}, resources)

    def lines(self, root: Path, names: Sequence[str]) -> pa.Table:
        """Find the lines."""
        return rows_of(self._ldv1, root, names)

    def read(self, root: Path, names: Sequence[str], lines: pa.Table) -> pa.Table:
        """Read the lines, and return the artefact."""
        return rows_of(self._ocrv1, root, names, {"ldv1": lines})

    def rates(self, root: Path, names: Sequence[str], lines: pa.Table) -> Rates:
        """Return the error rate of each page."""
        texts = whole_texts(self.read(root, names, lines), root, names)
        return {name: error_rate(text, truth_of(root / name)) for name, text in texts.items()}


def books(data: Path, jobs: Jobs) -> None:
    """Print the leave-one-book-out rates."""
    root = data / "pages_gt"
    names = list(plain_rates(root / "BASELINE_tesseract_bod.tsv"))
    lines = jobs.lines(root, names)
    shipped, by_rim = (line_images.RIM, line_images.SIDE_RIM), {}
    for rim in RIMS:
        line_images.RIM, line_images.SIDE_RIM = rim, 2 * rim
        by_rim[rim] = jobs.rates(root, names, lines)
    line_images.RIM, line_images.SIDE_RIM = shipped
    held_out: dict[str, float] = {}
    for book in sorted({name.partition("/")[0] for name in names}):
        own = [name for name in names if name.startswith(book)]
        others = [name for name in names if name not in own]
        chosen = min(RIMS, key=lambda rim: statistics.median(by_rim[rim][name] for name in others))
        held_out |= {name: by_rim[chosen][name] for name in own}
        print(f"{book:24} rim {chosen:.2f}, chosen by the others: median {_median(held_out, own):.4f}")
    tuned = by_rim[shipped[0]]
    print(f"all pages: held out {_median(held_out, names):.4f}, with the rim as shipped {_median(tuned, names):.4f}")


def _median(rates: Rates, names: Iterable[str]) -> float:
    return statistics.median(rates[name] for name in names)


def pages(data: Path, jobs: Jobs) -> None:
    """Print the rates of the pecha page's four pictures."""
    root = data / "pages_gt" / "multimodel"
    names = sorted(path.name for path in root.iterdir() if path.suffix in {".jpg", ".png"})
    ours = jobs.rates(root, names, jobs.lines(root, names))
    plain = _plain(jobs.tessdata, root, names, tesserocr.PSM.AUTO)
    for name in names:
        print(f"{name:48} {ours[name]:7.3f} {plain[name]:7.3f}")
    print(f"{'median':48} {statistics.median(ours.values()):7.3f} {statistics.median(plain.values()):7.3f}")


def lines(data: Path, jobs: Jobs) -> None:
    """Print the rates of the line pictures, set by set and all together."""
    cut: dict[str, float] = {}
    whole: dict[str, float] = {}
    for kind in LINE_SETS:
        root = data / "lines_gt" / kind
        names = sorted(path.name for path in root.iterdir() if path.suffix in {".jpg", ".tif"})
        rows = zip(names, jobs.read(root, names, jobs.lines(root, names)).to_pylist(), strict=True)
        ours = {name: error_rate(middle_line(row, root / name), truth_of(root / name)) for name, row in rows}
        plain = _plain(jobs.tessdata, root, names, tesserocr.PSM.RAW_LINE)
        _print_lines(kind, ours, plain)
        cut.update(ours)
        whole.update(plain)
    _print_lines("all", cut, whole)


def _print_lines(kind: str, cut: Rates, whole: Rates) -> None:
    ours, plain = (statistics.median(rates.values()) for rates in (cut, whole))
    better = sum(cut[name] < whole[name] for name in cut)
    print(f"{kind:12} {len(cut):3} lines, median {ours:.3f}, as they are {plain:.3f}; better: {better}")


def middle_line(row: Mapping[str, Any], image: Path) -> str:
    """Return the text of the line whose box is nearest to the middle of the picture; empty when none was found."""
    place = middle_place(row, image)
    return "" if place is None else str(row["line_texts"][place])


def middle_place(row: Mapping[str, Any], image: Path) -> int | None:
    """Return which line's box is nearest to the middle of the picture; None when none was found."""
    with Image.open(image) as opened:
        middle = opened.height / 2
    distances = [abs(box["y"] + box["h"] / 2 - middle) for box in row["line_bboxes"] or ()]
    return distances.index(min(distances)) if distances else None


def _plain(tessdata: Path, root: Path, names: Sequence[str], mode: int) -> Rates:
    rates = {}
    with tesserocr.PyTessBaseAPI(path=f"{tessdata}/", lang="bod", psm=mode) as api:
        for name in names:
            with Image.open(root / name) as opened:
                api.SetImage(opened.convert("L"))
            rates[name] = error_rate(api.GetUTF8Text(), truth_of(root / name))
    return rates


PARTS: Mapping[str, Callable[[Path, Jobs], None]] = {"books": books, "pages": pages, "lines": lines}


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=usual, help="folder with pages_gt, lines_gt and models")
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="threads")
    options = parser.parse_args(arguments)
    jobs = Jobs(options.data, options.threads)
    for part in [options.only] if options.only else PARTS:
        print(f"{part}:")
        PARTS[part](options.data, jobs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
