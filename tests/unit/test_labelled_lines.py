"""The lines labelled by hand: what their README says of the files holds, and a label can be proposed and drawn."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.ink_lines import Block, proposed
from bench.label_lines import block_of, drawn
from bench.labelled import (
    LABELLED,
    SETS,
    STATES,
    TRUTH,
    LabelledLine,
    LabelledPage,
    digest,
    read_pages,
    write_pages,
)
from training.lines.kinds import Kind

DATA = Path(__file__).parents[3] / "shared" / "data"
PAGES = read_pages()
UNREADABLE = next(page.sha256 for page in PAGES if page.page.endswith("corrupt_25.jpg"))
IMAGES = {".jpg", ".png", ".tif"}
BOOK = np.full((400, 900), 255, np.uint8)
for row in range(4):
    cv2.putText(BOOK, "mamama ramana", (60, 90 + 80 * row), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 0, 4)


def test_each_page_is_there_once() -> None:
    assert len({page.sha256 for page in PAGES}) == len({page.page for page in PAGES}) == len(PAGES)
    assert {page.set_name for page in PAGES} == set(SETS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.page)
def test_the_lines_of_a_page_lie_within_it(page: LabelledPage) -> None:
    assert page.state in STATES
    assert page.state == LABELLED or (page.note and not page.lines)
    for line in page.lines:
        assert len(line.points) > 1
        assert np.ptp(line.points, axis=0).max() > 0
        assert (line.points >= 0).all()
        assert (line.points < (page.width, page.height)).all()
        assert 0 < line.height < min(page.width, page.height)
        assert line.column > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.page)
def test_no_line_is_labelled_twice(page: LabelledPage) -> None:
    middles = {(line.kind, *line.points[[0, -1]].mean(axis=0).round()) for line in page.lines}
    assert len(middles) == len(page.lines)


def test_the_files_are_written_as_they_are_read(tmp_path: Path) -> None:
    write_pages(PAGES, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (TRUTH / path.name).read_bytes()


def test_every_page_of_the_data_is_labelled_by_its_digest() -> None:
    if not DATA.is_dir():
        pytest.skip("shared/data is not beside the checkout")
    files = {
        path.relative_to(DATA).as_posix(): path
        for name in SETS
        for path in (DATA / name).rglob("*")
        if path.suffix in IMAGES
    }
    assert {page.page: page.sha256 for page in PAGES} == {name: digest(path) for name, path in files.items()}
    for page in PAGES:
        if page.sha256 != UNREADABLE:
            with Image.open(files[page.page]) as image:
                assert image.size == (page.width, page.height), page.page


def test_a_note_says_why_another_eye_counted_otherwise() -> None:
    for page in PAGES:
        if page.counted_elsewhere and page.state == LABELLED:
            same = int(page.counted_elsewhere) == len(page.of_kind(Kind.MAIN))
            assert same or page.note, page.page


def test_the_readme_counts_what_is_there() -> None:
    readme = (TRUTH / "README.md").read_text("utf-8")
    assert f"of {len(PAGES)} real pages" in readme
    for name in SETS:
        pages = [page for page in PAGES if page.set_name == name]
        states = [sum(page.state == state for page in pages) for state in STATES]
        kinds = [sum(len(page.of_kind(kind)) for page in pages) for kind in Kind]
        assert f"| `{name}` | {' | '.join(map(str, states + kinds))} |" in readme


def test_lines_are_proposed_through_their_ink() -> None:
    lines = proposed(BOOK, Block(Kind.MAIN, 4, (20, 30, 880, 350)))
    assert len(lines) == 4
    for number, line in enumerate(lines):
        assert abs(line.points[:, 1] - (80 + 80 * number)).max() < 12
        assert 50 < line.points[0, 0] < 75
        assert 15 < line.height < 40


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_lines_of_a_turned_page_come_back_to_it(turn: int) -> None:
    stored = np.ascontiguousarray(np.rot90(BOOK, -turn // 90))
    upright = proposed(BOOK, Block(Kind.MAIN, 4, (20, 30, 880, 350)))[0]
    lying = proposed(stored, Block(Kind.MAIN, 4, (20, 30, 880, 350)), turn)[0]
    height, width = BOOK.shape
    x, y = upright.points[0]
    back = {90: (height - 1 - y, x), 180: (width - 1 - x, height - 1 - y), 270: (y, width - 1 - x)}[turn]
    assert np.allclose(lying.points[0], back, atol=1)


def test_a_leaning_and_hanging_block_is_followed() -> None:
    across = np.arange(900) / 900
    lower = (60 * across - 120 * across * (1 - across)).astype(np.float32)
    places = np.indices((500, 900), np.float32)
    page = np.asarray(cv2.remap(BOOK, places[1], places[0] - lower, cv2.INTER_LINEAR, borderValue=255), np.uint8)
    for number, line in enumerate(proposed(page, Block(Kind.MAIN, 4, (0, 30, 900, 350), drop=60, sag=-30))):
        expected = 80 + 80 * number + np.interp(line.points[:, 0], np.arange(900), lower)
        assert abs(line.points[:, 1] - expected).max() < 12


def test_print_of_the_other_side_is_no_ink_at_a_higher_contrast() -> None:
    thin = BOOK.copy()
    cv2.putText(thin, "ma", (640, 90), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 225, 4)
    plain, strict = (
        proposed(thin, Block(Kind.MAIN, 4, (20, 30, 880, 350), contrast=contrast))[0] for contrast in (8, 40)
    )
    assert plain.points[-1, 0] > 680 > strict.points[-1, 0]


def test_a_block_is_read_from_the_command_line() -> None:
    assert block_of("main:4:1,2,3,4", bends=1, contrast=30) == Block(Kind.MAIN, 4, (1, 2, 3, 4), bends=1, contrast=30)
    expected = Block(Kind.NOTE, 1, (1, 2, 3, 4), 2, drop=-5, sag=6)
    assert block_of("note:1:1,2,3,4,-5,6:2", bends=3, contrast=12) == expected


def test_a_line_is_drawn_in_the_colour_of_its_kind() -> None:
    line = LabelledLine(1, Kind.MAIN, 20, np.array([[50.0, 50.0], [150.0, 50.0]]))
    page = Image.new("L", (200, 100), 255)
    red = drawn(page, (line,), (0, 0, 200, 100), 400)[100, 220]
    blue = drawn(page, (replace(line, kind=Kind.RUNNING),), (0, 0, 200, 100), 400)[100, 220]
    assert red[0] > 150 > red[2]
    assert blue[2] > 150 > blue[0]
