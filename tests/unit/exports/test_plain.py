import json

from bec_orch.core.transcripts import PageContent
from bec_orch.exports.characters import line_text, lost_characters
from bec_orch.exports.formats import Level, Material, format_of
from tests.unit.exports.made import BLANK, CONTROLS, FULL, ORIGIN, PAGES, TEXT


def written(name: str) -> str:
    return b"".join(format_of(name).writers[Level.VOLUME](PAGES, ORIGIN, Material())).decode()


def test_plain_text_has_the_main_lines_of_each_page() -> None:
    pages = written("txt").split("\f\n")
    assert len(pages) == len(PAGES)
    assert pages[0] == f"{TEXT}\nགཉིས་པ།\nmain again\n"
    assert pages[1:4] == ["", "", ""]
    assert pages[5] == "abc d e\n"


def test_json_lines_lose_nothing() -> None:
    head, *pages = (json.loads(line) for line in written("jsonl").splitlines() if line)
    assert head["made_with"]["job"] == "ocr-uchen"
    assert len(head["made_with"]["models"]) == 2
    assert [page["image"] for page in pages] == [page.image for page in PAGES]
    assert [line["text"] for line in pages[0]["lines"]] == [line.text for line in FULL.content.lines]
    assert pages[5]["lines"][0]["text"] == CONTROLS.content.lines[0].text
    assert pages[2]["note"] == "skipped: intro -- & <more>"


def test_a_json_line_is_a_line_whatever_is_in_it() -> None:
    assert len(written("jsonl").encode().split(b"\n")) == len(PAGES) + 2


def test_what_no_document_can_hold_is_reported() -> None:
    assert lost_characters(CONTROLS.content) == ("U+0000", "U+000B", "U+D800", "U+FFFE")
    assert lost_characters(FULL.content) == ()


def test_a_line_stays_one_line() -> None:
    assert line_text("a\nb\r\nc\x85d\u2029e\tf") == "a b c d e f"


def test_the_text_of_a_page_is_that_of_its_main_lines() -> None:
    assert FULL.content.text == f"{TEXT}\nགཉིས་པ།\nmain again"
    assert (BLANK.content.text, PageContent().text) == ("", "")
