"""Score the line models of `ldv1` on the pages whose lines were labelled by hand (`bench/truth/`).

    python -m bench.line_models [--data DIR] [--models ppocr,bec,auto,tesseract,blla] [--network FILE]
        [--sample PAGES] [--failures] [--draw DIR]

Of main text: *exact* is the number of pages with as many lines as were labelled. A labelled line is found when 80 % of
its centre line lies inside one line that holds no other; recall is found / labelled, precision found / detected. A
model that tells no kinds has main text alone, so that each head that it finds counts against it.

*Kinds* is the share of labelled lines that lie inside a detected line of the same kind, of those that lie inside any.
*Numbers*: pages with a short running line (a number) on which all of these are found as such. *Across*: detected lines
that hold labelled lines of two columns. *Spare*: detected lines of other kinds than main text that hold no labelled
line. *CPU*: ms a page from the decoded picture to the lines, one thread, second looks included: the median, the mean
and the most.

`--sample` scores so many pages of each set, drawn by lot (always the same): `blla`, kraken's own segmentation, takes
half a minute a page, and 3 GB of disk at its first run.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.core.transcripts import MAIN
from bec_orch.jobs.ldv1.auto import AutoDetector
from bec_orch.jobs.ldv1.bec.detector import NetworkDetector
from bec_orch.jobs.ldv1.bec.network import Network
from bec_orch.jobs.ldv1.config import AUTO, BEC, PPOCR, Ldv1Config
from bec_orch.jobs.ldv1.loading import load_detector, load_line_model
from bec_orch.jobs.ldv1.one_map.detector import LineDetector
from bec_orch.jobs.ldv1.overlay import draw_page
from bec_orch.jobs.ldv1.page.detector import Detector
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.worker import row_of
from bec_orch.jobs.shared.model_session import ModelSession
from bench import kraken_layout, tesseract_layout
from bench.labelled import LABELLED, LabelledPage, read_pages
from bench.score_lines import HELD, INSIDE, decoded, line_mask, lines_of, share_inside

RUNNING = "running"
NUMBER_SHAPE = 5.0
"""A running line at most this many times as long as high is a number."""
LOT = 1


@dataclass(frozen=True, slots=True)
class Found:
    """What a model found on a page, against the labels."""

    page: LabelledPage
    lines: PageLines
    inside: NDArray[np.float64]
    """Share of each labelled line's centre (rows) inside each detected line (columns)."""
    milliseconds: float

    @property
    def kinds(self) -> list[str]:
        """The kind of each detected line."""
        return list(self.lines.kinds_by_line.values())

    @property
    def true_kinds(self) -> list[str]:
        """The kind of each labelled line."""
        return [str(line.kind) for line in self.page.lines]

    def of_main(self) -> tuple[int, int, int]:
        """Count main lines: labelled, detected, found."""
        wanted = np.array([kind == MAIN for kind in self.true_kinds], bool)
        given = np.array([kind == MAIN for kind in self.kinds], bool)
        inside = self.inside[np.ix_(wanted, given)]
        good = (inside >= INSIDE) & ((inside >= HELD).sum(axis=0) == 1)[None, :]
        return int(wanted.sum()), int(given.sum()), int(good.any(axis=1).sum())

    def of_kinds(self) -> tuple[int, int]:
        """Count labelled lines inside a detected line, and those inside one of their kind."""
        best = [(kind, row.argmax()) for kind, row in zip(self.true_kinds, self.inside, strict=True) if _held(row)]
        return len(best), sum(self.kinds[at] == kind for kind, at in best)

    def has_numbers(self) -> bool | None:
        """Return whether all numbers are found; None on a page without any."""
        numbers = [row for line, row in zip(self.page.lines, self.inside, strict=True) if _is_number(line)]
        running = np.array([kind == RUNNING for kind in self.kinds], bool)
        return all(_held(row[running]) for row in numbers) if numbers else None

    def across(self) -> int:
        """Count detected lines that hold labelled lines of two columns."""
        columns = np.array([line.column for line in self.page.lines])
        return sum(len(set(columns[held])) > 1 for held in (self.inside >= HELD).T)

    def spare(self) -> int:
        """Count detected lines that are no main text, and hold no labelled line."""
        is_other = np.array([kind != MAIN for kind in self.kinds], bool)
        return int((is_other & ~(self.inside >= HELD).any(axis=0)).sum())


def _held(row: NDArray[np.float64]) -> bool:
    return bool(row.max(initial=0) >= HELD)


def _is_number(line: Any) -> bool:
    return str(line.kind) == RUNNING and float(np.ptp(line.points, axis=0).max()) <= NUMBER_SHAPE * line.height


def detector_of(model: str, network: Path | None) -> Detector[Any]:
    """Open a detector by its name; with another network than the package's, where one is given."""
    if model == tesseract_layout.NAME:
        return tesseract_layout.TesseractLayout()
    if model == kraken_layout.NAME:
        return kraken_layout.KrakenLayout()
    config = Ldv1Config(model=model)
    if network is None or model not in {BEC, AUTO}:
        return load_detector(config)
    ours = NetworkDetector(Network(ModelSession(network, config.intra_op_threads)), config.second_pass_min_angle)
    if model == BEC:
        return ours
    return AutoDetector(ours, LineDetector(load_line_model(Ldv1Config(model=PPOCR)), config.second_pass_min_angle))


def found_on(page: LabelledPage, detector: Detector[Any], data: Path) -> Found | None:
    """Find the lines of a labelled page; None where it cannot be decoded."""
    image = decoded(detector, data / page.page)
    if image is None:
        return None
    started = time.process_time()
    lines = lines_of(detector, *image)
    spent = time.process_time() - started
    if isinstance(detector, kraken_layout.KrakenLayout):
        spent = detector.seconds
    masks = [line_mask(lines, number) for number in range(lines.line_count)]
    inside = [[share_inside(line.points, mask) for mask in masks] for line in page.lines]
    return Found(page, lines, np.array(inside, np.float64).reshape(len(page.lines), len(masks)), 1000 * spent)


def drawn_by_lot(pages: Sequence[LabelledPage], count: int) -> list[LabelledPage]:
    """Return so many pages of each set, in the order that they have."""
    rng = random.Random(LOT)  # noqa: S311  (a lot that is the same each time)
    sets = [
        [page for page in pages if page.set_name == name] for name in dict.fromkeys(page.set_name for page in pages)
    ]
    drawn = {page.page for own in sets for page in rng.sample(own, min(count, len(own)))}
    return [page for page in pages if page.page in drawn]


def table(name: str, pages: Sequence[Found]) -> str:
    """Return a row of the table."""
    counts = np.array([page.of_main() for page in pages])
    labelled, detected, found = counts.sum(axis=0)
    exact = int((counts[:, 0] == counts[:, 1]).sum())
    inside, right = np.array([page.of_kinds() for page in pages]).sum(axis=0)
    numbers = [page.has_numbers() for page in pages if page.has_numbers() is not None]
    cost = [page.milliseconds for page in pages]
    cells = (
        name,
        f"{exact}/{len(pages)}",
        f"{found / max(labelled, 1):.3f}",
        f"{found / max(detected, 1):.3f}",
        f"{right / max(inside, 1):.3f}",
        f"{sum(map(bool, numbers))}/{len(numbers)}",
        str(sum(page.across() for page in pages)),
        str(sum(page.spare() for page in pages)),
        f"{statistics.median(cost):.0f} / {statistics.mean(cost):.0f} / {max(cost):.0f}",
    )
    return "| " + " | ".join(cells) + " |"


def told(pages: Sequence[Found]) -> Iterator[str]:
    """Yield what is wrong on each page that is not exact."""
    for page in pages:
        labelled, detected, found = page.of_main()
        if labelled != detected or found != labelled:
            yield f"  {page.page.page}: {labelled} labelled, {detected} detected, {found} found ({page.lines.model})"


def draw(found: Found, data: Path, folder: Path) -> None:
    """Draw what was found on a page."""
    picture = cv2.imread(str(data / found.page.page), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is not None:
        contours = [[{"x": int(x), "y": int(y)} for x, y in contour] for contour in found.lines.contours]
        row = {
            "skipped": False,
            "ok": True,
            **row_of(found.lines),
            "tps_points": None if found.lines.tps_points is None else found.lines.tps_points.tolist(),
            "contours": contours,
            "line_ids": found.lines.line_ids,
        }
        folder.mkdir(parents=True, exist_ok=True)
        shown = draw_page(np.asarray(picture, np.uint8), row, max_width=1500)
        cv2.imwrite(str(folder / f"{found.page.page.replace('/', '-')}.png"), shown)


def main() -> None:
    """Score as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--models", default="ppocr,bec,auto")
    parser.add_argument("--network", type=Path, help="one that `training.lines.export` wrote, for the package's own")
    parser.add_argument("--sample", type=int, help="score so many pages of each set, drawn by lot")
    parser.add_argument("--failures", action="store_true", help="name the pages that are not exact")
    parser.add_argument("--draw", type=Path, help="folder for pictures of what was found, by model")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    labelled = [page for page in read_pages() if page.state == LABELLED]
    labelled = labelled if options.sample is None else drawn_by_lot(labelled, options.sample)
    print("| model, set | exact | recall | precision | kinds | numbers | across | spare | CPU ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in options.models.split(","):
        detector = detector_of(model, options.network)
        found = [each for page in labelled if (each := found_on(page, detector, options.data))]
        if isinstance(detector, kraken_layout.KrakenLayout):
            detector.close()
        for name in dict.fromkeys(page.page.set_name for page in found):
            print(table(f"{model}, {name}", [page for page in found if page.page.set_name == name]))
        print(table(f"{model}, all", found), flush=True)
        if options.failures:
            print(*told(found), sep="\n")
        if options.draw:
            for page in found:
                draw(page, options.data, options.draw / model)


if __name__ == "__main__":
    main()
