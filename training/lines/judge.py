"""Judge a network on real pages with counted lines, and draw what it sees over them.

    python -m training.lines.judge FILE.onnx --out DIR [--data DIR] [--samples DIR]

`pages_gt`: the truth counts the rows of the transcription, running heads and page numbers included, so main lines and
the rows of other text above and below them are counted. `pages_more`: main lines as counted by eye. The samples of the
project are drawn. None of these pages is ever trained on.
"""

import argparse
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bec_orch.jobs.ldv1.bec.detector import Look, NetworkDetector, Seen
from bec_orch.jobs.ldv1.bec.network import Network
from bec_orch.jobs.ldv1.bec.network_input import STRIDE
from bec_orch.jobs.ldv1.config import Ldv1Config
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced
from bec_orch.jobs.shared.model_session import ModelSession
from training.shared import DATA, Bytes, opened

UNSEEN = Path(__file__).with_name("unseen.tsv")
"""Pages that nothing was chosen or changed by: nobody looks at what a network does with them before it is done."""
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
RUNNING_ROWS = 0.6


class Reader:
    """Runs a network on pages, as the product does."""

    def __init__(self, model: Path) -> None:
        self._network = Network(ModelSession(model))
        self._detector = NetworkDetector(self._network, Ldv1Config().second_pass_min_angle)

    def read(self, grey: Bytes) -> Look:
        """See a page at the scale that its pitch asks for, and again where that does not fit."""
        found: Look | Seen = self._detector.prepare(grey, grey.shape[1], grey.shape[0])
        while isinstance(found, Seen):
            found = self._detector.look(found, self._detector.infer(found.items))
        return found

    def drawn(self, look: Look) -> Bytes:
        """Draw the maps and the traced lines over a page: main red, other blue, gaps violet."""
        (output,) = self._network.infer([look.view.pixels])
        width, height = look.view.shown
        picture = cv2.cvtColor(look.view.pixels[:height, :width], cv2.COLOR_GRAY2BGR)
        large = [cv2.resize(each, (width, height)) for each in self._network.maps(look.view, output)]
        for channel, colour in ((1, (60, 60, 255)), (2, (255, 120, 40)), (5, (200, 60, 200))):
            strength = np.clip(large[channel], 0, 1)[..., None] * 0.6
            picture = (picture * (1 - strength) + np.array(colour) * strength).astype(np.uint8)
        for number, line in enumerate(look.lines, 1):
            colour = (0, 0, 160) if line.is_main else (160, 60, 0)
            points = np.round(np.column_stack([line.x, line.y]) * STRIDE).astype(np.int32)
            cv2.polylines(picture, [points], isClosed=False, color=colour, thickness=1)
            cv2.putText(picture, str(number), (int(points[0, 0]) - 12, int(points[0, 1]) + 4), 0, 0.35, colour, 1)
        return np.asarray(picture, np.uint8)


def rows_of(lines: Sequence[Traced]) -> int:
    """Count main lines, and the rows of other text above the first and below the last."""
    main = [line for line in lines if line.is_main]
    if not main:
        return len(lines)
    outside = [
        line.middle
        for line in lines
        if line.middle < main[0].middle - RUNNING_ROWS * MAP_PITCH
        or line.middle > main[-1].middle + RUNNING_ROWS * MAP_PITCH
    ]
    apart = np.diff(outside) > RUNNING_ROWS * MAP_PITCH
    return len(main) + (1 + int(apart.sum()) if outside else 0)


@dataclass(frozen=True, slots=True)
class Counted:
    """A page with a counted number of lines, and the numbers that may be right too."""

    path: Path
    lines: int
    least: int
    most: int
    rows: bool

    @property
    def group(self) -> str:
        """The set that it is of: `pages_gt`, `pages_more`, `W1BEC001`."""
        return self.path.parts[-3]

    @property
    def name(self) -> str:
        """Set, folder and file."""
        return "/".join(self.path.parts[-3:])


def counted(data: Path) -> Iterator[Counted]:
    """Yield the counted pages whose lines are level and have a count."""
    folder = data / "pages_gt"
    for row in _table(folder / "EXPECTED_lines.tsv"):
        lines = int(row["gt_lines"])
        yield Counted(folder / row["image"], lines, lines, lines, rows=row["line_broken_gt"] == "yes")
    folder = data / "pages_more"
    for row in _table(folder / "EXPECTED_lines.tsv"):
        if row["main_lines"] and not row["uncertainty"].startswith(("vertical", "sideways")):
            lines = int(row["main_lines"])
            yield Counted(folder / row["image"], lines, *may_be(lines, row["uncertainty"]), rows=False)
    for row in _table(UNSEEN):
        lines, least, most = (int(row[name]) for name in ("lines", "least", "most"))
        yield Counted(data / row["page"], lines, least, most, rows=False)


def sampled(root: Path) -> Iterator[Counted]:
    """Yield the drawn sample pages of the project: the lines of their main blocks."""
    for truth in sorted((root / "truth").rglob("*.xml")):
        lines = len(re.findall(r'<TextLine [^>]*TAGREFS="main"', truth.read_text("utf-8")))
        (page,) = (root / truth.relative_to(root / "truth")).parent.glob(f"{truth.stem}.*")
        yield Counted(page, lines, lines, lines, rows=False)


def may_be(lines: int, text: str) -> tuple[int, int]:
    """Read what else may be right: `20..24`, `-1..+1`, `+2`."""
    least, most = lines, lines
    for low, high in re.findall(r"(?<![+-])\b(\d+)\.\.(\d+)", text):
        least, most = int(low), int(high)
    for low, high in re.findall(r"(-\d+)\.\.\+(\d+)", text):
        least, most = least + int(low), most + int(high)
    most += sum(int(more) for more in re.findall(r"(?<!\.)\+(\d+)(?!\.\.)", text))
    return least, most


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def main() -> None:
    """Judge as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures and counts.tsv")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    pages = [*counted(options.data), *sampled(options.samples)]
    right = dict.fromkeys((page.group for page in pages), 0)
    near, of = right.copy(), right.copy()
    reader = Reader(options.model)
    with (options.out / "counts.tsv").open("w", encoding="utf-8") as table:
        for page in pages:
            look = reader.read(opened(page.path))
            found = rows_of(look.lines) if page.rows else len(look.main)
            of[page.group] += 1
            right[page.group] += found == page.lines
            near[page.group] += page.least <= found <= page.most
            row = (
                page.name,
                page.lines,
                f"{page.least}..{page.most}",
                found,
                f"{look.chance:.2f}",
                f"{look.view.scale:.3f}",
            )
            table.write("\t".join(map(str, row)) + "\n")
            print("  " if page.least <= found <= page.most else "x ", *row, sep="\t", flush=True)
            cv2.imwrite(str(options.out / f"{page.name.replace('/', '-')}.jpg"), reader.drawn(look))
    for group, count in of.items():
        print(f"{group}: {right[group]} of {count} exact, {near[group]} within what may be right too")


if __name__ == "__main__":
    main()
