"""The PDF, read back by pypdfium2."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from bec_orch.core.transcripts import Line, PageContent, PageRecord
from bec_orch.exports.formats import Level, Material, Picture, format_of
from tests.unit.exports.made import ORIGIN, PAGES, TEXT

pdfium = pytest.importorskip("pypdfium2")
TIBETAN = ("༄༅། །བཀྲ་ཤིས་བདེ་ལེགས། །", "ཧཱུྃ་ཀྵྨླྺྱྃ་རྡྷྱཱ", "བོད་ abc 漢字 𠀀 ñ")


def black(width: int, height: int) -> Picture:
    return Picture(zlib.compress(bytes((width + 7) // 8 * height)), width, height, 1, 1, is_jpeg=False)


def written(pages: list[PageRecord], folder: Path, picture: Picture | None = None) -> bytes:
    material = Material(picture=lambda _image: picture, scratch=folder)
    return b"".join(format_of("pdf").writers[Level.VOLUME](pages, ORIGIN, material))


def lines_of(data: bytes, page: int = 0) -> list[str]:
    text = pdfium.PdfDocument(data)[page].get_textpage().get_text_range()
    # PDFium ends lines that lean by more than a degree with a blank of its own.
    return [line.rstrip() for line in text.replace("\r\n", "\n").split("\n") if line]


def page_of(texts: tuple[str, ...], rise: int = 0) -> PageRecord:
    lines = [
        Line(
            ((50, y), (1950, y - rise), (1950, y - rise + 80), (50, y + 80)),
            ((50, y + 60), (1950, y + 60 - rise)),
            text,
        )
        for y, text in zip(range(200, 2000, 100), texts, strict=False)
    ]
    return PageRecord(0, "a.jpg", PageContent(tuple(lines), (2000, 1000)))


@pytest.mark.parametrize("rise", [0, 5, 40, 150, -60])
def test_lines_are_read_back_letter_for_letter_however_they_lean(tmp_path: Path, rise: int) -> None:
    assert lines_of(written([page_of(TIBETAN, rise)], tmp_path)) == list(TIBETAN)


def test_text_that_stands_upright_is_read_back(tmp_path: Path) -> None:
    upright = Line(((50, 900), (50, 100), (120, 100), (120, 900)), ((100, 900), (100, 100)), TIBETAN[0])
    assert lines_of(written([PageRecord(0, "a.jpg", PageContent((upright,), (200, 1000)))], tmp_path)) == [TIBETAN[0]]


def test_text_lies_where_its_line_is(tmp_path: Path) -> None:
    page = pdfium.PdfDocument(written([page_of(TIBETAN)], tmp_path))[0]
    text, scale = page.get_textpage(), 300 / 72
    assert text.count_rects() >= len(TIBETAN)
    left, bottom, right, top = (side * scale for side in text.get_rect(0))
    assert (left, right) == (pytest.approx(50, abs=30), pytest.approx(1950, abs=60))
    assert (1000 - top, 1000 - bottom) == (pytest.approx(200, abs=12), pytest.approx(280, abs=12))


def test_the_text_is_not_seen_and_the_picture_is(tmp_path: Path) -> None:
    assert pdfium.PdfDocument(written([page_of(TIBETAN)], tmp_path))[0].render().to_numpy().min() == 255
    assert (
        pdfium.PdfDocument(written([page_of(TIBETAN)], tmp_path, black(2000, 1000)))[0].render().to_numpy().max() == 0
    )


def test_every_page_is_there_however_many(tmp_path: Path) -> None:
    many = [replace(page_of((f"page {number}",)), index=number) for number in range(120)]
    data = written(many, tmp_path)
    assert len(pdfium.PdfDocument(data)) == 120
    assert [lines_of(data, number) for number in (0, 49, 50, 119)] == [[f"page {n}"] for n in (0, 49, 50, 119)]
    assert list(tmp_path.iterdir()) == []


def test_pages_without_lines_size_or_picture_are_pages(tmp_path: Path) -> None:
    data = written(list(PAGES), tmp_path)
    assert len(pdfium.PdfDocument(data)) == len(PAGES)
    assert lines_of(data)[0] == TEXT


def test_it_says_how_it_was_made_and_is_the_same_each_time(tmp_path: Path) -> None:
    data = written([page_of(TIBETAN)], tmp_path)
    told = pdfium.PdfDocument(data).get_metadata_dict()
    assert told["Title"] == "W1<&>/I1'\""
    assert "artefact sha256: " + "ef" * 32 in told["Subject"]
    assert data == written([page_of(TIBETAN)], tmp_path)


def test_many_different_letters_have_a_code_each(tmp_path: Path) -> None:
    letters = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 700))
    data = written([page_of((letters[:350], letters[350:]))], tmp_path)
    assert "".join(lines_of(data)) == letters


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_page_is_shown_as_its_file_says_with_the_text_where_it_was(tmp_path: Path, rotation: int) -> None:
    data = written([page_of(TIBETAN)], tmp_path, replace(black(2000, 1000), rotation=rotation))
    page = pdfium.PdfDocument(data)[0]
    assert page.get_rotation() == rotation
    size = (480, 240) if rotation % 180 == 0 else (240, 480)
    assert page.get_size() == pytest.approx(size)
    assert sorted(lines_of(data)) == sorted(TIBETAN)  # PDFium reads a page as it is shown
    assert extent_of(data) == pytest.approx(extent_of(written([page_of(TIBETAN)], tmp_path)))


def extent_of(data: bytes) -> tuple[float, float]:
    """Where the text of a page begins at the left, and at the top."""
    text = pdfium.PdfDocument(data)[0].get_textpage()
    boxes = [text.get_charbox(place) for place in range(text.count_chars()) if text.get_text_range(place, 1).strip()]
    return min(box[0] for box in boxes), max(box[3] for box in boxes)
