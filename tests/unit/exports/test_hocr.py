"""hOCR, read by the rules of its specification with a parser of its own."""

import re
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring

from bec_orch.core.transcripts import PageRecord
from bec_orch.exports.characters import line_text
from bec_orch.exports.formats import Level, Material, format_of
from tests.unit.exports.made import CONTROLS, FULL, ORIGIN, PAGES, TEXT

XHTML = "{http://www.w3.org/1999/xhtml}"
KNOWN = {"ocr_page", "ocr_carea", "ocr_par", "ocr_line", "ocrx_word"}
# Grammar of properties, section 3.1.
PROPERTY = re.compile(r'([a-z][a-z_]*)((?: (?:"[^"]*"|[^\s;"]+))+)')


def written(pages: tuple[PageRecord, ...]) -> Element:
    root: Element = fromstring(b"".join(format_of("hocr").writers[Level.VOLUME](pages, ORIGIN, Material())))
    return root


def of_class(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if element.get("class") == name]


def properties(element: Element) -> dict[str, list[str]]:
    title = element.get("title", "")
    found = [PROPERTY.fullmatch(part.strip()) for part in re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', title)]
    assert all(found), title
    return {each[1]: each[2].split() for each in found if each}


def test_every_title_is_of_the_grammar_and_every_class_is_declared() -> None:
    root = written(PAGES)
    classes = {element.get("class") for element in root.iter() if element.get("class")}
    assert classes == KNOWN
    for name in KNOWN:
        for element in of_class(root, name):
            assert "bbox" in properties(element)
    metas = {meta.get("name"): meta.get("content", "") for meta in root.iter(f"{XHTML}meta")}
    assert set(metas["ocr-capabilities"].split()) >= KNOWN
    assert metas["ocr-system"] == "bec_orch tesseract 1"
    assert metas["bec_orch artefact sha256"] == "ef" * 32


def test_identifiers_are_of_one_element_each() -> None:
    named = [element.get("id") for element in written(PAGES).iter() if element.get("id")]
    assert len(named) == len(set(named)) > 20


def test_a_page_states_image_size_number_and_lean() -> None:
    page = properties(of_class(written(PAGES), "ocr_page")[0])
    assert page["bbox"] == ["0", "0", "200", "140"]
    assert page["ppageno"] == ["0"]
    assert page["textangle"] == ["-1.25"]
    assert page["image"][0].startswith('"a')
    assert '"b"' not in " ".join(page["image"])


def test_lines_state_place_baseline_confidence_and_text() -> None:
    root = written((FULL,))
    lines, words = of_class(root, "ocr_line"), of_class(root, "ocrx_word")
    assert len(lines) == len(FULL.content.lines)
    assert len(words) == len(FULL.content.lines) - 1  # one was not read
    line, word = properties(lines[0]), properties(words[0])
    assert line["bbox"] == word["bbox"] == ["9", "20", "111", "61"]
    assert line["baseline"] == ["0.01", "-11"]
    assert line["poly"] == ["10", "20", "110", "22", "108", "60", "9", "58"]
    assert word["x_wconf"] == ["88"]
    assert words[0].text == TEXT


def test_a_baseline_passes_through_its_own_points() -> None:
    for element, line in zip(of_class(written((FULL,)), "ocr_line"), FULL.content.lines, strict=True):
        told = properties(element)
        if "baseline" in told:
            slope, offset = map(float, told["baseline"])
            left, _, _, bottom = map(int, told["bbox"])
            assert abs(bottom + offset + slope * (line.baseline[0][0] - left) - line.baseline[0][1]) < 1


def test_an_upright_baseline_has_no_slope_and_is_left_out() -> None:
    (note,) = [
        line
        for line in of_class(written((FULL,)), "ocr_line")
        if "0 100" not in line.get("title", "") and "3 100 9 130" in line.get("title", "")
    ]
    assert "baseline" not in properties(note)


def test_control_characters_and_markup_do_no_harm() -> None:
    root = written((CONTROLS,))
    assert of_class(root, "ocrx_word")[0].text == line_text(CONTROLS.content.lines[0].text or "")


@pytest.mark.parametrize("note", ["--", "---", "-->", "<!--"])
def test_a_note_does_not_end_its_comment(note: str) -> None:
    assert len(of_class(written((PageRecord(0, "a.jpg", note=note),)), "ocr_page")) == 1
