from pathlib import Path

import pytest

from bec_orch.jobs.evalv1.normalise import normalise
from bec_orch.jobs.evalv1.rates import grapheme_edits
from bec_orch.jobs.evalv1.xml_text import NotTruthError, xml_kinds, xml_text


def page(body: str, order: str = "") -> bytes:
    return f'<PcGts xmlns="http://example.org/pagecontent"><Page>{order}{body}</Page></PcGts>'.encode()


def region(name: str, text: str) -> str:
    return f'<TextRegion id="{name}"><TextLine>{unicode(text)}</TextLine></TextRegion>'


def unicode(text: str, index: str = "") -> str:
    return f"<TextEquiv {index}><Unicode>{text}</Unicode></TextEquiv>"


def alto(lines: str) -> bytes:
    return (
        f'<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Layout><Page>{lines}</Page></Layout></alto>'.encode()
    )


@pytest.fixture
def fixtures(shared_data: Path) -> Path:
    return shared_data / "eval_pairs" / "dinglehopper"


def test_two_page_documents_differ_in_two_characters(fixtures: Path) -> None:
    truth, ocr = (
        normalise(xml_text((fixtures / name).read_bytes()))
        for name in ("test-gt.page2018.xml", "test-fake-ocr.page2018.xml")
    )
    assert grapheme_edits(truth, ocr).errors == 2


def test_kinds_are_those_of_lines_and_of_regions_without_lines() -> None:
    header = f'<TextRegion type="header">{unicode("head")}</TextRegion>'
    margin = f'<TextRegion><TextLine custom="structure {{type:margin;}}">{unicode("note")}</TextLine></TextRegion>'
    empty = '<TextRegion type="footnote"><TextLine/></TextRegion>'
    assert xml_kinds(page(header + margin + empty)) == {"running", "margin"}
    assert xml_kinds(page(region("a", "text"))) == {"main"}
    assert xml_kinds(page(f'<TextRegion type="header">{region("a", "text")}</TextRegion>')) == {"main"}
    assert xml_kinds(alto("")) == frozenset()


@pytest.mark.parametrize(("name", "errors"), [("lorem-ipsum-scan", 0), ("lorem-ipsum-scan-bad", 8)])
def test_alto_against_page(fixtures: Path, name: str, errors: int) -> None:
    folder = fixtures / "lorem-ipsum"
    truth = xml_text((folder / f"{name}.gt.page.xml").read_bytes())
    ocr = xml_text((folder / f"{name}.ocr.tesseract.alto.xml").read_bytes())
    edits = grapheme_edits(truth, ocr)
    assert (edits.errors, edits.length) == (errors, 591)


def test_regions_of_all_kinds(fixtures: Path) -> None:
    text = xml_text((fixtures / "mixed-regions.page.xml").read_bytes())
    assert text.startswith("phari\u017fei hypocritæ, qui comeditis domos uiduarã \u017fub\nprætextu longarum")


def test_alto_of_manuscripts(shared_data: Path) -> None:
    text = xml_text((shared_data / "lines_gt" / "cremma_bnf_fr_1728" / "btv1b84473026_f10.xml").read_bytes())
    assert "puissanz sont dabstinẽce ⁊\nde trauail. La poeste du ro\n" in normalise(text)


def test_a_page_document_without_any_text(shared_data: Path) -> None:
    assert xml_text((shared_data / "lines_gt" / "I1KG812750004" / "I1KG812750004.xml").read_bytes()) == ""


def test_regions_come_in_reading_order_and_the_others_last() -> None:
    order = (
        "<ReadingOrder><OrderedGroup>"
        '<RegionRefIndexed index="1" regionRef="b"/>'
        '<UnorderedGroupIndexed index="0"><RegionRef regionRef="d"/></UnorderedGroupIndexed>'
        "</OrderedGroup></ReadingOrder>"
    )
    body = region("a", "last") + region("b", "second") + f"<TableRegion>{region('c', 'cell')}</TableRegion>"
    assert xml_text(page(body + region("d", "first"), order)) == "first\nsecond\nlast\ncell"


def test_the_first_reading_of_the_outermost_text_counts() -> None:
    words = f"<Word>{unicode('one')}</Word><Word><Glyph>{unicode('t')}</Glyph><Glyph>{unicode('wo')}</Glyph></Word>"
    readings = unicode("worse", 'index="2"') + unicode("best", 'index="1"')
    nested = (
        f"<TextRegion><TextLine>{words}</TextLine><TextRegion><TextLine>{readings}</TextLine></TextRegion></TextRegion>"
    )
    assert xml_text(page(nested)) == "one two\nbest"


def test_strings_of_an_alto_line() -> None:
    spaced = (
        '<TextLine><String CONTENT="a"/><String CONTENT="b"/><SP/><String CONTENT="c"/><HYP CONTENT="-"/></TextLine>'
    )
    unspaced = '<TextLine><String CONTENT="a"/><String CONTENT="b"/></TextLine>'
    assert xml_text(alto(spaced + unspaced)) == "ab c-\na b"


BOMB = (
    '<!DOCTYPE alto [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    '<alto><TextLine><String CONTENT="&b;"/></TextLine></alto>'
)
READER = '<!DOCTYPE alto [<!ENTITY a SYSTEM "file:///etc/passwd">]><alto>&a;</alto>'
OTHER_DTD = '<!DOCTYPE alto SYSTEM "http://127.0.0.1/alto.dtd"><alto/>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain text",
        b"<alto>",
        b"<html/>",
        b"<alto>\xff</alto>",
        b'<?xml version="1.0" encoding="no-such"?><alto/>',
        BOMB.encode(),
        READER.encode(),
        page("<TextRegion>" * 5000 + "</TextRegion>" * 5000),
    ],
)
def test_what_is_broken_or_hostile_is_refused(data: bytes) -> None:
    with pytest.raises(NotTruthError):
        xml_text(data)


def test_no_document_type_is_fetched() -> None:
    assert xml_text(OTHER_DTD.encode()) == ""


def test_a_byte_order_mark_and_other_encodings() -> None:
    assert xml_text("\ufeff".encode() + alto('<TextLine><String CONTENT="ཀ"/></TextLine>')) == "ཀ"
    utf16 = '<?xml version="1.0" encoding="UTF-16"?><alto><TextLine><String CONTENT="ཀ"/></TextLine></alto>'
    assert xml_text(utf16.encode("utf-16")) == "ཀ"
