"""Judge a network on real pages with counted lines, and draw what it sees over them.

    python -m training.judge FILE.onnx --out DIR [--data DIR] [--samples DIR]

`pages_gt`: the truth counts the rows of the transcription, running heads and page numbers included, so main lines and
the rows of other text above and below them are counted. `pages_more`: main lines as counted by eye. The samples of the
project are drawn. None of these pages is ever trained on.
"""

import argparse
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from PIL import Image

from bec_orch.jobs.ldv1.pitch import line_pitch
from training.compose import DATA
from training.kinds import Bytes, Floats
from training.network_input import PITCH, normalised, padded
from training.targets import STRIDE
from training.tracing import MAP_PITCH, Core, pitch_of, traced

UNSEEN = Path(__file__).with_name("unseen.tsv")
"""Pages that nothing was chosen or changed by: nobody looks at what a network does with them before it is done."""
SAMPLES = Path(__file__).resolve().parents[1] / "samples"
GUESSES = (6, 13, 28)
"""Where the page shows no pitch, or no valid one, this many lines are tried in its height or in half its width."""
MOST_OFF = 1.3
"""A pitch that is off by more than this factor is looked at again."""
SURE = 0.9
LOOKS = (0.5, 0.71, 1.41)
SURENESS = 8
MOST_PIXELS = 1_500_000
RUNNING_ROWS = 0.6


@dataclass(frozen=True, slots=True)
class Look:
    """A page as it was seen at one scale.

    Attributes:
        scale: pixels of the network's input for one of the page.
        grey: the input before it was normalised.
        maps: the network's maps.
        main: traced lines of main text.
        other: traced lines of other text.
    """

    scale: float
    grey: Bytes
    maps: Floats
    main: list[Core]
    other: list[Core]

    @property
    def worth(self) -> float:
        """Length of what was found, on the page, times how sure it is."""
        return sum(line.length * line.chance**SURENESS for line in self.main) / self.scale

    @property
    def chance(self) -> float:
        """Mean probability of the main lines."""
        if not self.main:
            return 0.0
        return float(np.average([line.chance for line in self.main], weights=[line.length for line in self.main]))

    def rows(self) -> int:
        """Count main lines, and the rows of other text above the first and below the last."""
        if not self.main:
            return len(self.other)
        first, last = (self.main[at].middle for at in (0, -1))
        outside = sorted(
            line.middle
            for line in self.other
            if line.middle < first - RUNNING_ROWS * MAP_PITCH or line.middle > last + RUNNING_ROWS * MAP_PITCH
        )
        apart = np.diff(outside) > RUNNING_ROWS * MAP_PITCH
        return len(self.main) + (1 + int(apart.sum()) if outside else 0)


def _worth(look: Look) -> float:
    return look.worth


class Reader:
    """Runs the network on pages."""

    def __init__(self, model: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def look(self, grey: Bytes, scale: float) -> Look:
        """See a page at one scale."""
        height, width = grey.shape
        scale = min(scale, (MOST_PIXELS / (height * width)) ** 0.5)
        size = max(32, round(width * scale)), max(32, round(height * scale))
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = np.asarray(cv2.resize(grey, size, interpolation=interpolation), np.uint8)
        page = normalised(padded(small))[None, None]
        maps = np.asarray(self._session.run(None, {"page": page})[0][0], np.float32)
        maps = maps[:, : (size[1] + 1) // STRIDE, : (size[0] + 1) // STRIDE]
        return Look(scale, small, maps, traced(maps, main=True), traced(maps, main=False))

    def read(self, grey: Bytes) -> Look:
        """See a page at the scale that its pitch asks for, and again where that does not fit."""
        pitch = line_pitch(grey)
        guesses = [min(grey.shape[0], grey.shape[1] / 2) / lines for lines in GUESSES]
        best = max((self.look(grey, PITCH / each) for each in ([pitch] if pitch else guesses)), key=_worth)
        seen = pitch_of(best.main)
        factor = MAP_PITCH / seen if seen else 1.0
        if not 1 / MOST_OFF < factor < MOST_OFF:
            best = max(best, self.look(grey, best.scale * factor), key=_worth)
        if best.chance < SURE:
            scales = [best.scale * each for each in LOOKS] + [PITCH / each for each in guesses if pitch]
            best = max([best, *(self.look(grey, scale) for scale in scales)], key=_worth)
        return best


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


def opened(path: Path) -> Bytes:
    """Read a page as grey."""
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), np.uint8)


def drawn(look: Look) -> Bytes:
    """Draw the maps and the traced lines over a page: main red, other blue, gaps violet."""
    picture = cv2.cvtColor(look.grey, cv2.COLOR_GRAY2BGR)
    large = [cv2.resize(each, look.grey.shape[::-1]) for each in look.maps]
    for channel, colour in ((1, (60, 60, 255)), (2, (255, 120, 40)), (5, (200, 60, 200))):
        strength = np.clip(large[channel], 0, 1)[..., None] * 0.6
        picture = (picture * (1 - strength) + np.array(colour) * strength).astype(np.uint8)
    for lines, colour in ((look.main, (0, 0, 160)), (look.other, (160, 60, 0))):
        for number, line in enumerate(lines, 1):
            points = np.round(np.column_stack([line.x, line.y]) * STRIDE).astype(np.int32)
            cv2.polylines(picture, [points], isClosed=False, color=colour, thickness=1)
            cv2.putText(picture, str(number), (int(points[0, 0]) - 12, int(points[0, 1]) + 4), 0, 0.35, colour, 1)
    return np.asarray(picture, np.uint8)


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
            found = look.rows() if page.rows else len(look.main)
            of[page.group] += 1
            right[page.group] += found == page.lines
            near[page.group] += page.least <= found <= page.most
            row = (
                page.name,
                page.lines,
                f"{page.least}..{page.most}",
                found,
                f"{look.chance:.2f}",
                f"{look.scale:.3f}",
            )
            table.write("\t".join(map(str, row)) + "\n")
            print("  " if page.least <= found <= page.most else "x ", *row, sep="\t", flush=True)
            cv2.imwrite(str(options.out / f"{page.name.replace('/', '-')}.jpg"), drawn(look))
    for group, count in of.items():
        print(f"{group}: {right[group]} of {count} exact, {near[group]} within what may be right too")


if __name__ == "__main__":
    main()
