"""Score `ldv1` against pages whose lines are known.

    python -m bench.score_lines [--data DIR] [--samples DIR] [--json] [--failures]

Two kinds of truth. *Counted* pages (`pages_gt/EXPECTED_lines.tsv`): the number of lines must be right. *Drawn* lines
(ALTO 4 baselines, or PAGE polygons): a true line is found when 80 % of its centre line lies inside one detected line
and that detected line holds no other true line. Recall is found / true lines, precision is found / detected lines.

The centre line is the baseline raised by 0.3 of the height that the line's polygon has above it (for Latin script about
half the x-height); for Tibetan, whose letters fill the height above the baseline, that lies in the body of the letters.
Lines of blocks named `margin`, `head`, `number` or `note` are optional: neither missed when they are not detected, nor
wrong when they are.
"""

import argparse
import json
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.errors import PageError
from bec_orch.jobs import images
from bec_orch.jobs.formats.header import ImageHeader
from bec_orch.jobs.ldv1.config import PPOCR, Ldv1Config
from bec_orch.jobs.ldv1.loading import load_detector
from bec_orch.jobs.ldv1.page.detector import Detector
from bec_orch.jobs.ldv1.page.page_lines import PageLines

RAISED_BY = 0.3
INSIDE = 0.8
HELD = 0.5
"""A detected line holds a true line from this share of its centre line on."""
SAMPLES_ON_LINE = 100
OPTIONAL_BLOCKS = {"head", "number", "note"}
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class TrueLine:
    """A line of the truth: points (n, 2) of its centre line, and whether it may be left out."""

    centre: NDArray[np.float64]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """What was found on a page or a set of pages."""

    name: str
    true: int
    detected: int
    found: int

    @property
    def recall(self) -> float:
        """Share of the true lines that were found."""
        return self.found / self.true if self.true else 1.0

    @property
    def precision(self) -> float:
        """Share of the detected lines that are one true line."""
        return self.found / self.detected if self.detected else 1.0


def decoded(detector: Detector[Any], path: Path) -> tuple[NDArray[np.uint8], ImageHeader] | None:
    """Decode an image file as the page pipeline does for a detector; None if it cannot be decoded."""
    data = path.read_bytes()
    try:
        header = images.probe(data)
        return images.decode(data, header, reduce=detector.reduce_factor(header.width, header.height)), header
    except PageError:
        return None


def lines_of(detector: Detector[Any], image: NDArray[np.uint8], header: ImageHeader) -> PageLines:
    """Find the lines of a decoded image, with no other page beside it."""
    found = detector.prepare(image, header.width, header.height, header.orientation)
    while not isinstance(found, PageLines):
        found = detector.finish(found, detector.infer(found.items))
    return found


def detect(detector: Detector[Any], path: Path) -> PageLines | None:
    """Find the lines of an image file; None if it cannot be decoded."""
    page = decoded(detector, path)
    return None if page is None else lines_of(detector, *page)


def score_page(name: str, truth: list[TrueLine], lines: PageLines) -> Score:
    """Score the detected lines of a page against its truth."""
    masks = [line_mask(lines, number) for number in range(lines.line_count)]
    inside = np.array([[share_inside(line.centre, mask) for mask in masks] for line in truth])
    inside = inside.reshape(len(truth), len(masks))
    wanted = np.array([not line.optional for line in truth], bool)
    holds = (inside >= HELD).sum(axis=0)
    good = (inside >= INSIDE) & (holds == 1)[None, :]
    found = int(good[wanted].any(axis=1).sum())
    spare = int(((inside[~wanted] >= HELD).any(axis=0) & ~(inside[wanted] >= HELD).any(axis=0)).sum())
    return Score(name, int(wanted.sum()), len(masks) - spare, found)


def line_mask(lines: PageLines, number: int) -> NDArray[np.uint8]:
    """Mark (1) what a detected line covers of its page, the gaps between its segments included."""
    mask = np.zeros((lines.height, lines.width), np.uint8)
    own = [contour for contour, line in zip(lines.contours, lines.line_ids, strict=True) if line == number]
    for contour in own:
        cv2.fillPoly(mask, [contour], 1)
    for before, behind in pairwise(own):
        _bridge(mask, before, behind)
    return mask


def _bridge(mask: NDArray[np.uint8], before: NDArray[np.int32], behind: NDArray[np.int32]) -> None:
    """A line goes on across the gap between its segments: fill it, as high as the ends on both sides."""
    ends = np.vstack([_last_part(before, after=True), _last_part(behind, after=False)])
    cv2.fillConvexPoly(mask, cv2.convexHull(ends), 1)


def _last_part(contour: NDArray[np.int32], *, after: bool) -> NDArray[np.int32]:
    """The points of a contour near its right (or left) end."""
    x, _, width, height = cv2.boundingRect(contour)
    along = contour[:, 0] - x
    near = along >= width - height if after else along <= height
    return contour[near] if near.any() else contour


def share_inside(centre: NDArray[np.float64], mask: NDArray[np.uint8]) -> float:
    """Return the share of a line's points (n, 2) that lie in a mask."""
    points = np.rint(_resampled(centre)).astype(int)
    height, width = mask.shape
    points = np.clip(points, 0, (width - 1, height - 1))
    return float(mask[points[:, 1], points[:, 0]].mean())


def _resampled(line: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    places = np.linspace(0, steps[-1], SAMPLES_ON_LINE)
    return np.column_stack([np.interp(places, steps, line[:, axis]) for axis in (0, 1)])


def read_alto(path: Path) -> list[TrueLine]:
    """Read the lines of an ALTO 4 file."""
    root = ET.parse(path).getroot()  # noqa: S314  (truth files of the project's own)
    names = {tag.get("ID"): tag.get("LABEL", "") for tag in root.iter() if tag.tag.endswith("Tag")}
    return [
        line
        for block in root.findall(".//{*}TextBlock")
        for element in block.findall(".//{*}TextLine")
        if (line := _alto_line(element, _block_name(block, element, names)))
    ]


def _block_name(block: ET.Element, line: ET.Element, names: dict[str | None, str]) -> str:
    tags = f"{block.get('TAGREFS', '')} {line.get('TAGREFS', '')}".split()
    return " ".join([block.get("ID", ""), *(names.get(tag, "") for tag in tags)])


def _alto_line(element: ET.Element, block: str) -> TrueLine | None:
    baseline = _numbers(element.get("BASELINE", ""))
    polygon = element.find("{*}Shape/{*}Polygon")
    if len(baseline) < 2:  # noqa: PLR2004
        return None
    outline = _numbers(polygon.get("POINTS", "")) if polygon is not None else baseline
    optional = "margin" in block.lower() or block.partition(" ")[0] in OPTIONAL_BLOCKS
    return TrueLine(_raised(baseline, outline), optional=optional)


def _raised(baseline: NDArray[np.float64], outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move the baseline into its polygon, by 0.3 of what the polygon measures on the upper side, across the line."""
    along = baseline[-1] - baseline[0]
    along = along / max(np.hypot(*along), 1e-6)
    up = np.array([along[1], -along[0]])
    height = np.median(np.sort((outline - baseline.mean(axis=0)) @ up)[len(outline) // 2 :])
    return np.asarray(baseline + RAISED_BY * max(height, 0.0) * up, np.float64)


def read_page(path: Path) -> list[TrueLine]:
    """Read the line polygons of a PAGE file; the centre line is the middle of the polygon, from left to right."""
    lines = []
    for element in ET.parse(path).getroot().findall(".//{*}TextLine"):  # noqa: S314
        coords = element.find("{*}Coords")
        points = _numbers(coords.get("points", "")) if coords is not None else np.zeros((0, 2))
        if len(points) > 2:  # noqa: PLR2004
            lines.append(TrueLine(_middle(points)))
    return lines


def _middle(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    edges = np.linspace(outline[:, 0].min(), outline[:, 0].max(), 12)
    middles = []
    for low, high in pairwise(edges):
        part = outline[(outline[:, 0] >= low) & (outline[:, 0] <= high)]
        if len(part):
            middles.append(((low + high) / 2, (part[:, 1].min() + part[:, 1].max()) / 2))
    return np.array(middles)


def _numbers(text: str) -> NDArray[np.float64]:
    """Read points, however they are punctuated: `x,y x,y`, `x y x y`, `(x, y)`."""
    values = [float(value) for value in re.findall(r"-?\d+(?:\.\d+)?", text)]
    return np.array(values[: len(values) // 2 * 2]).reshape(-1, 2)


def counted_scores(detector: Detector[Any], data: Path) -> Iterator[Score]:
    """Score the pages whose lines are counted: `found` is the true number where it is met, else 0."""
    table = (data / "pages_gt" / "EXPECTED_lines.tsv").read_text(encoding="utf-8").splitlines()
    for name, lines, _, line_broken in (row.split("\t") for row in table[1:]):
        if line_broken == "yes":
            result = detect(detector, data / "pages_gt" / name)
            count = result.line_count if result else 0
            yield Score(name, int(lines), count, int(lines) if count == int(lines) else 0)


def drawn_scores(detector: Detector[Any], images: Path, truths: Path) -> Iterator[Score]:
    """Score the pages of a folder that have a truth file of the same stem under `truths`."""
    for image in sorted(path for path in images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES):
        truth = truths / image.relative_to(images).with_suffix(".xml")
        if truth.is_file():
            result = detect(detector, image)
            lines = read_page(truth) if b"PcGts" in truth.read_bytes()[:400] else read_alto(truth)
            name = str(image.relative_to(images))
            yield score_page(name, lines, result) if result else Score(name, len(lines), 0, 0)


def summed(name: str, scores: list[Score]) -> Score:
    """Add the scores of pages up."""
    return Score(name, *(sum(getattr(score, key) for score in scores) for key in ("true", "detected", "found")))


def all_scores(detector: Detector[Any], data: Path, samples: Path) -> dict[str, list[Score]]:
    """Score every set of pages that is there."""
    sets: dict[str, list[Score]] = {}
    if (data / "pages_gt").is_dir():
        sets["counted pages"] = list(counted_scores(detector, data))
    folders = sorted((data / "lines_gt").glob("cremma_*")) + sorted((data / "lines_gt").glob("I1KG*"))
    for folder in folders:
        sets[folder.name] = list(drawn_scores(detector, folder, folder))
    if (samples / "truth").is_dir():
        sets["samples"] = list(drawn_scores(detector, samples, samples / "truth"))
    return sets


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    root = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description="Score ldv1 against pages whose lines are known.")
    parser.add_argument(
        "--data", type=Path, default=root.parent / "shared" / "data", help="folder with pages_gt and lines_gt"
    )
    parser.add_argument("--samples", type=Path, default=root / "samples")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--failures", action="store_true", help="list the pages on which something is wrong")
    options = parser.parse_args(arguments)
    config = Ldv1Config(model=PPOCR)
    sets = all_scores(load_detector(config), options.data, options.samples)
    if options.json:
        print(json.dumps({name: [_as_json(score) for score in scores] for name, scores in sets.items()}, indent=1))
    else:
        _print_table(sets, failures=options.failures)
    return 0 if sets else 1


def _as_json(score: Score) -> dict[str, str | int | float]:
    return asdict(score) | {"recall": round(score.recall, 4), "precision": round(score.precision, 4)}


def _print_table(sets: dict[str, list[Score]], *, failures: bool) -> None:
    print(f"{'set':40} {'pages':>5} {'lines':>6} {'found':>6} {'recall':>7} {'precision':>9} {'count right':>11}")
    for name, scores in sets.items():
        total = summed(name, scores)
        right = sum(score.detected == score.true for score in scores)
        print(
            f"{name:40} {len(scores):5} {total.true:6} {total.found:6} {total.recall:7.3f} {total.precision:9.3f}"
            f" {right:7}/{len(scores)}"
        )
        for score in scores if failures else ():
            if score.found != score.true or score.found != score.detected:
                print(f"    {score.name}: {score.true} lines, {score.detected} detected, {score.found} found")


if __name__ == "__main__":
    sys.exit(main())
