"""The lines whose text was read by eye: what their README says of the file holds, and a line can be cut and shown."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import ImageFont

from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1.worker import normalised
from bench.label_texts import OVERLAP, SHEET, parts, sheet, strip, wrapped
from bench.labelled import PRINTS, TRUTH, LabelledLine, digest, read_pages, read_texts
from bench.score_recognisers import TEXT_SETS, pictures_of, place_of
from training.lines.kinds import Kind

DATA = Path(__file__).parents[3] / "shared" / "data"
TEXTS = read_texts()
PAGES = {page.page: page for page in read_pages()}
FONT = cast("ImageFont.FreeTypeFont", ImageFont.load_default(30))


def test_each_line_is_there_once_and_one_of_main_text() -> None:
    assert len({(text.sha256, text.line) for text in TEXTS}) == len(TEXTS)
    for text in TEXTS:
        if text.line:
            assert PAGES[text.picture].sha256 == text.sha256
            assert PAGES[text.picture].lines[text.line - 1].kind is Kind.MAIN


def test_texts_are_in_the_spelling_that_is_stored() -> None:
    for text in TEXTS:
        assert text.text == normalised(text.text)
        assert text.print in PRINTS


def test_each_picture_of_a_text_is_found_by_its_digest() -> None:
    if not DATA.is_dir():
        pytest.skip("shared/data is not beside the checkout")
    digests = {text.picture: text.sha256 for text in TEXTS}
    assert {name: digest(DATA / name) for name in pictures_of(TEXTS)} == digests


def test_the_readme_counts_the_texts() -> None:
    readme = (TRUTH / "README.md").read_text("utf-8")
    assert f"what stands in {len(TEXTS)} lines" in readme
    for name in PRINTS:
        texts = [text for text in TEXTS if text.print == name]
        symbols = sum(len(text.text) for text in texts)
        assert f"| `{name}` | {len(texts)} | {len(pictures_of(texts))} | {symbols:,} |" in readme
    assert [f"texts/{name}" for name in PRINTS] == [*TEXT_SETS]


def test_a_sloping_line_is_cut_level_with_all_of_it_in_the_middle() -> None:
    page = np.full((300, 800), 255, np.uint8)
    for column in range(100, 700):
        middle = round(100 + (column - 100) / 6)
        page[middle - 5 : middle + 5, column] = 0
    line = LabelledLine(1, Kind.MAIN, 40.0, np.array([[100.0, 100.0], [700.0, 200.0]]))
    cut = strip(page, line, letters=80, beyond=0.5)
    assert len(cut) == 160
    assert abs(cut.shape[1] - 2 * (np.hypot(600, 100) + 40)) < 4
    rows = np.flatnonzero((cut < 128).any(axis=1))
    assert 66 < rows[0] < 72
    assert 88 < rows[-1] < 94
    columns = np.flatnonzero((cut < 128).any(axis=0))
    assert 35 < columns[0] < 45
    assert 35 < cut.shape[1] - columns[-1] < 45


def test_a_lying_line_is_cut_as_it_stands_upright() -> None:
    page = np.full((600, 200), 255, np.uint8)
    page[100:500, 90:110] = 0
    page[400:500, 80:90] = 0
    line = LabelledLine(1, Kind.MAIN, 40.0, np.array([[100.0, 500.0], [100.0, 100.0]]))
    cut = strip(page, line, letters=40, beyond=0.5)
    beginning, rest = cut[:, 30:110], cut[:, 140:400]
    assert np.flatnonzero((beginning < 128).any(axis=1))[0] < np.flatnonzero((rest < 128).any(axis=1))[0]


def test_a_large_line_is_shrunk_and_a_small_one_enlarged() -> None:
    page = np.full((400, 400), 255, np.uint8)
    large = LabelledLine(1, Kind.MAIN, 200.0, np.array([[100.0, 200.0], [300.0, 200.0]]))
    small = LabelledLine(1, Kind.MAIN, 20.0, np.array([[100.0, 200.0], [300.0, 200.0]]))
    assert strip(page, large, 50, 0.0).shape == (50, 100)
    assert strip(page, small, 50, 0.0).shape == (50, 550)


@pytest.mark.parametrize("width", [300, SHEET, 4000])
def test_the_parts_of_a_wide_line_overlap_and_leave_nothing_out(width: int) -> None:
    columns = np.tile(np.arange(width) % 251, (4, 1)).astype(np.uint8)
    seen = np.zeros(width, bool)
    at = 0
    for number, part in enumerate(parts(columns)):
        assert part.shape[1] <= SHEET
        at = at - OVERLAP if number else 0
        assert (part[0] == np.arange(at, at + part.shape[1]) % 251).all() or number
        seen[max(0, at) : at + part.shape[1]] = True
        at += part.shape[1]
    assert seen.mean() > 0.99


def test_a_long_text_is_parted_behind_tshegs() -> None:
    text = "ཀ་ཁ་ ག་" * 40
    lines = wrapped(text, FONT)
    assert "".join(lines) == text
    assert len(lines) > 1
    assert all(line.rstrip().endswith("་") and FONT.getlength(line) <= SHEET for line in lines)
    assert wrapped("", FONT) == [""]


def test_pictures_and_texts_stand_below_each_other() -> None:
    image = np.asarray(sheet([np.zeros((20, 100), np.uint8), "ab", np.zeros((30, 50), np.uint8)], FONT))
    assert image.shape[1] == SHEET
    dark = np.flatnonzero((image < 128).any(axis=1))
    assert dark[0] < 12
    assert len(image) - dark[-1] < 24
    assert (image[dark[0] : dark[0] + 20, 8:108] == 0).all()


def outline(left: int, top: int, right: int, bottom: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Return the outline of a box."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.int32)


def test_the_line_that_covers_most_of_a_label_is_taken() -> None:
    text = next(text for text in TEXTS if text.line)
    page = PAGES[text.picture]
    x, y = (int(value) for value in page.lines[text.line - 1].points.mean(axis=0))
    whole, piece = outline(0, y - 40, page.width - 1, y + 40), outline(x - 30, y - 40, x + 30, y + 40)
    found = PageLines(page.width, page.height, contours=(piece, whole), line_ids=(0, 1))
    assert place_of(text, found) == 1
    elsewhere = outline(0, 0, 5, 5)
    assert place_of(text, PageLines(page.width, page.height, contours=(elsewhere,), line_ids=(0,))) is None
    assert place_of(text, PageLines(page.width, page.height)) is None
