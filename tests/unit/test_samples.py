"""The sample volumes: what their README promises, and that their truth fits their pictures."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from bec_orch.exports.reading import read_document
from bench.score_lines import read_alto

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
VOLUMES = [Path("W1BEC001/I1BEC0001"), Path("W1BEC002/I1BEC0002")]
PAGES = sorted(page for volume in VOLUMES for page in (SAMPLES / volume).iterdir())
TRUNCATED, BLANK = "I1BEC00020007", "I1BEC00010006"
WHOLE_PAGES = [page for page in PAGES if page.stem != TRUNCATED]
FONTS = [
    Path("/usr/share/fonts/truetype/tibetan/DDC_Uchen.ttf"),
    ROOT / "../shared/data/fonts_text/fonts/DDC_Uchen.ttf",
]
OTHER_KINDS = {"head": "running", "number": "running", "margin": "margin", "note": "note"}
ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"


@dataclass(frozen=True)
class TruthLine:
    kind: str
    block: str
    text: str
    baseline: NDArray[np.int32]
    polygon: NDArray[np.int32]


def truth_of(page: Path, root: Path = SAMPLES) -> Path:
    return root / "truth" / page.parent.relative_to(SAMPLES) / f"{page.stem}.xml"


def points(text: str) -> NDArray[np.int32]:
    return np.array([point.split(",") for point in text.split()], np.int32)


def lines_of(truth: Path) -> list[TruthLine]:
    return [
        TruthLine(
            kind=line.attrib["TAGREFS"],
            block=block.attrib["ID"],
            text=" ".join(string.attrib["CONTENT"] for string in line.iter(f"{ALTO}String")),
            baseline=points(line.attrib["BASELINE"]),
            polygon=points(next(line.iter(f"{ALTO}Polygon")).attrib["POINTS"]),
        )
        for block in ET.parse(truth).iter(f"{ALTO}TextBlock")  # noqa: S314 - our own file
        for line in block.iter(f"{ALTO}TextLine")
    ]


def filled(shape: tuple[int, int], line: TruthLine) -> NDArray[np.bool_]:
    return np.asarray(cv2.fillPoly(np.zeros(shape, np.uint8), [line.polygon], 1), np.bool_)


def page_named(stem: str) -> Path:
    return next(page for page in PAGES if page.stem == stem)


def main_lines(stem: str) -> list[TruthLine]:
    return [line for line in lines_of(truth_of(page_named(stem))) if line.kind == "main"]


def slope(line: TruthLine) -> float:
    (x0, y0), (x1, y1) = line.baseline[0], line.baseline[-1]
    return float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))


def bow(line: TruthLine) -> float:
    """How far the baseline strays from the straight line between its ends, pixels."""
    x, y = line.baseline.astype(float).T
    return float(np.abs(y - np.interp(x, x[[0, -1]], y[[0, -1]])).max())


def test_two_small_volumes_with_eight_to_ten_pages_each() -> None:
    assert [8 <= sum(page.parent == SAMPLES / volume for page in PAGES) <= 10 for volume in VOLUMES] == [True, True]
    assert all(page.stem.startswith(page.parent.name) for page in PAGES)
    assert sum(file.stat().st_size for file in SAMPLES.rglob("*") if file.is_file()) < 4.3e6


def test_every_page_but_the_truncated_one_has_truth() -> None:
    truths = {truth.stem for truth in (SAMPLES / "truth").rglob("*.xml")}
    assert truths == {page.stem for page in WHOLE_PAGES}


def test_readme_names_every_page() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`...{page.stem[-4:]}{page.suffix}`" in readme for page in PAGES)


@pytest.mark.parametrize("page", WHOLE_PAGES, ids=lambda page: page.stem)
def test_truth_fits_the_picture(page: Path) -> None:
    grey = np.asarray(cv2.imread(str(page), cv2.IMREAD_GRAYSCALE))
    lines = lines_of(truth_of(page))
    sheet = next(ET.parse(truth_of(page)).iter(f"{ALTO}Page"))  # noqa: S314 - our own file
    assert grey.shape == (int(sheet.attrib["HEIGHT"]), int(sheet.attrib["WIDTH"]))
    dark = grey < cv2.medianBlur(grey, 41).astype(float) * 0.75
    masks = [filled(grey.shape, line) for line in lines]
    assert all(0.08 < dark[mask].mean() < 0.5 for mask in masks), "each line's polygon is full of ink"
    if masks:
        assert np.maximum.reduce(masks).sum() > 0.97 * sum(mask.sum() for mask in masks), "lines lie apart"
        inside = dark[np.maximum.reduce(masks)].mean()
        assert dark[between(masks)].mean() < 0.4 * inside, "right above and below there is little but stacks"


def between(masks: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """The white space right above and below of the lines."""
    lines = np.maximum.reduce(masks).astype(np.uint8)
    return np.asarray(cv2.dilate(lines, np.ones((13, 1), np.uint8)) > lines, np.bool_)


@pytest.mark.parametrize("page", WHOLE_PAGES, ids=lambda page: page.stem)
def test_baselines_run_inside_of_their_polygons_and_bear_text(page: Path) -> None:
    for line in lines_of(truth_of(page)):
        inner = [tuple(map(float, point)) for point in line.baseline[1:-1]]
        assert all(cv2.pointPolygonTest(line.polygon, point, measureDist=False) >= 0 for point in inner)
        assert line.text.strip()
        assert line.kind == (line.block if line.block in OTHER_KINDS else "main")


def test_blank_page_has_no_lines() -> None:
    assert lines_of(truth_of(page_named(BLANK))) == []


@pytest.mark.parametrize("page", WHOLE_PAGES, ids=lambda page: page.stem)
def test_kinds_of_lines_are_read_as_those_of_documents(page: Path) -> None:
    read = [line.kind for line in read_document(truth_of(page).read_bytes(), "alto").lines]
    assert read == [OTHER_KINDS.get(line.kind, "main") for line in lines_of(truth_of(page))]


@pytest.mark.parametrize("page", WHOLE_PAGES, ids=lambda page: page.stem)
def test_only_main_lines_have_to_be_found(page: Path) -> None:
    assert [line.optional for line in read_alto(truth_of(page))] == [
        line.kind != "main" for line in lines_of(truth_of(page))
    ]


def test_there_is_each_kind_of_line() -> None:
    of = {page.stem[-8:]: {line.kind for line in lines_of(truth_of(page))} for page in WHOLE_PAGES}
    assert of["00010009"] == {"main", "margin", "note", "number"}
    assert of["00010008"] == {"main", "margin", "number"}
    assert of["00020002"] == {"main", "head", "number"}


def test_notes_stand_between_the_lines_in_smaller_letters() -> None:
    lines = lines_of(truth_of(page_named("I1BEC00010009")))
    rows = [line.baseline[:, 1].mean() for line in lines if line.kind == "main"]
    for note in (line for line in lines if line.kind == "note"):
        above = max(row for row in rows if row < note.baseline[:, 1].mean())
        assert above < rows[-1]
        assert np.ptp(note.polygon[:, 1]) < 0.4 * (rows[1] - rows[0])


def test_skewed_page_leans_by_three_degrees() -> None:
    assert [slope(line) for line in main_lines("I1BEC00010004")] == pytest.approx([3.0] * 6, abs=0.1)


def test_curved_page_bends_its_lines_by_half_a_line() -> None:
    curved = main_lines("I1BEC00010005")
    pitch = np.diff([line.baseline[:, 1].mean() for line in curved]).mean()
    assert min(bow(line) for line in curved) > pitch / 2
    assert max(bow(line) for line in main_lines("I1BEC00010002")) < pitch / 10


def test_lines_broken_by_string_holes_are_one_line() -> None:
    pieces = [
        sum(1 for _ in line.iter(f"{ALTO}String"))
        for line in ET.parse(truth_of(page_named("I1BEC00010003"))).iter(f"{ALTO}TextLine")  # noqa: S314 - our own file
    ]
    assert pieces == [1, 1, 3, 3, 3, 1, 1, 1]


def test_two_columns_stand_side_by_side() -> None:
    lines = main_lines("I1BEC00020003")
    left = [line for line in lines if line.block == "column_1"]
    right = [line for line in lines if line.block == "column_2"]
    assert len(left) == len(right) == 26
    assert lines == left + right, "in reading order"
    assert max(line.polygon[:, 0].max() for line in left) < min(line.polygon[:, 0].min() for line in right)


def test_tiff_is_bitonal_group_4_and_png_is_grey() -> None:
    with Image.open(page_named("I1BEC00020005")) as tiff, Image.open(page_named("I1BEC00020006")) as png:
        assert (tiff.format, tiff.mode, tiff.info["compression"]) == ("TIFF", "1", "group4")
        assert (png.format, png.mode) == ("PNG", "L")


def test_truncated_jpeg_ends_in_the_middle_of_the_picture() -> None:
    data = page_named(TRUNCATED).read_bytes()
    assert data.startswith(b"\xff\xd8")
    assert b"\xff\xd9" not in data
    with Image.open(page_named(TRUNCATED)) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def test_script_draws_the_same_page_again(tmp_path: Path) -> None:
    font = next(filter(Path.exists, FONTS), None)
    if font is None or not features.check("raqm"):
        pytest.skip("needs the font DDC Uchen (Debian: fonts-ddc-uchen) and Pillow with libraqm")
    page = page_named("I1BEC00010004")
    command = [
        sys.executable,
        "-m",
        "samples.draw_samples",
        "--font",
        str(font),
        "--out",
        str(tmp_path),
        "--only",
        page.stem,
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    again = tmp_path / page.relative_to(SAMPLES)
    before, after = (np.asarray(cv2.imread(str(path)), np.float32) for path in (page, again))
    assert np.abs(after - before).mean() < 1
    assert [p.name for p in again.parent.iterdir()] == [page.name]
    new, old = lines_of(truth_of(page, tmp_path)), lines_of(truth_of(page))
    assert [line.text for line in new] == [line.text for line in old]
    assert np.abs(np.concatenate([line.polygon for line in new]) - np.concatenate([x.polygon for x in old])).max() <= 2
