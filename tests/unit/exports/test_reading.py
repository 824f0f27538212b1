"""ALTO and PAGE back: what was written, what others write, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from bec_orch.core.transcripts import Line, PageContent
from bec_orch.exports.formats import Level, Material, format_of
from bec_orch.exports.reading import FORMATS, read_document
from bec_orch.exports.xml_tree import NotReadable
from tests.unit.exports.made import BLANK, FULL, ORIGIN, SQUARE

ALTO = b'<alto xmlns="x"><Layout><Page WIDTH="50" HEIGHT="40"><PrintSpace>%s</PrintSpace></Page></Layout></alto>'
PAGE = b'<PcGts xmlns="x"><Page imageFilename="a.jpg" imageWidth="50" imageHeight="40">%s</Page></PcGts>'


def written(name: str, content: PageContent) -> bytes:
    return b"".join(format_of(name).writers[Level.PAGE]([replace(FULL, content=content)], ORIGIN, Material()))


def alto_line(inner: bytes = b'<String CONTENT="x"/>', more: bytes = b"") -> bytes:
    return ALTO % (
        b'<TextBlock><TextLine HPOS="1" VPOS="2" WIDTH="10" HEIGHT="5" %s>%s</TextLine></TextBlock>' % (more, inner)
    )


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_written_is_read_back(name: str) -> None:
    read = read_document(written(name, FULL.content), name)
    rounded = [replace(line, confidence=line.confidence and round(line.confidence, 4)) for line in FULL.content.lines]
    # An outline of a single point stands there twice, because PAGE wants two.
    rounded[3] = replace(rounded[3], polygon=((150, 20),))
    assert read == replace(FULL.content, lines=tuple(rounded))
    assert written(name, read) == written(name, FULL.content)


@pytest.mark.parametrize("name", FORMATS)
def test_a_blank_page_is_read_back(name: str) -> None:
    assert read_document(written(name, BLANK.content), name) == BLANK.content


def test_words_are_joined_and_their_confidences_are_averaged() -> None:
    inner = b'<String CONTENT="a" WC="0.5"/><SP/><String CONTENT="b" WC="1"/><HYP CONTENT="-"/>'
    (line,) = read_document(alto_line(inner), "alto").lines
    assert (line.text, line.confidence) == ("a b-", 0.75)


def test_a_line_of_alto_without_an_outline_has_its_box() -> None:
    (line,) = read_document(alto_line(), "alto").lines
    assert line.polygon == ((1, 2), (10, 2), (10, 6), (1, 6))
    assert line.box == (1, 2, 10, 5)


def test_a_baseline_that_is_a_height_goes_along_the_box() -> None:
    (line,) = read_document(alto_line(more=b'BASELINE="6"'), "alto").lines
    assert line.baseline == ((1, 6), (11, 6))


def test_points_with_blanks_alone_and_fractions_are_read() -> None:
    inner = b'<Shape><Polygon POINTS="1.4 2 9.6 2 9 7"/></Shape><String CONTENT="x"/>'
    (line,) = read_document(alto_line(inner), "alto").lines
    assert line.polygon == ((1, 2), (10, 2), (9, 7))


def test_the_reading_order_of_alto_is_kept() -> None:
    place = 'HPOS="1" VPOS="2" WIDTH="3" HEIGHT="4"'
    blocks = "".join(
        f'<TextBlock ID="b{n}"><TextLine ID="l{n}" {place}><String CONTENT="{n}"/></TextLine></TextBlock>'
        for n in "123"
    )
    order = "".join(f'<ElementRef ID="r-{reference}" REF="{reference}"/>' for reference in ("b3", "l1"))
    order = f'<ReadingOrder><OrderedGroup ID="g">{order}</OrderedGroup></ReadingOrder>'
    data = (ALTO % blocks.encode()).replace(b"<Layout>", order.encode() + b"<Layout>")
    assert [line.text for line in read_document(data, "alto").lines] == ["3", "1", "2"]


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("running", "running"),
        ("type:marginalia", "margin"),
        ("page-number", "running"),
        ("MarginTextZone", "margin"),
        ("Zone", "main"),
    ],
)
def test_tags_of_alto_state_kinds(label: str, kind: str) -> None:
    tags = f'<Tags><OtherTag ID="t" LABEL="{label}"/></Tags>'.encode()
    data = alto_line(more=b'TAGREFS="none t"').replace(b"<Layout>", tags + b"<Layout>")
    assert read_document(data, "alto").lines[0].kind == kind


@pytest.mark.parametrize(
    ("region", "custom", "kind"),
    [
        ("marginalia", "", "margin"),
        ("footer", "", "running"),
        ("paragraph", "structure {type:note;}", "note"),
        ("", "", "main"),
    ],
)
def test_regions_and_custom_of_page_state_kinds(region: str, custom: str, kind: str) -> None:
    inner = (
        f'<TextRegion type="{region}"><TextLine custom="{custom}"><Coords points="1,2 3,4"/></TextLine></TextRegion>'
    )
    (line,) = read_document(PAGE % inner.encode(), "page").lines
    assert line == Line(((1, 2), (3, 4)), kind=kind)


def test_regions_in_regions_and_words_of_page_are_read() -> None:
    word = b"<Word><TextEquiv><Unicode>%s</Unicode></TextEquiv></Word>"
    line = b'<TextLine><Coords points="1,2 3,4"/>%s</TextLine>' % (word % b"a" + word % b"b")
    read = read_document(PAGE % (b"<TextRegion><TextRegion>%s</TextRegion>%s</TextRegion>" % (line, line)), "page")
    assert [found.text for found in read.lines] == ["a b", "a b"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("alto", b"<alto", "cannot be read as XML"),
        ("alto", PAGE % b"", "its root is <PcGts>, not <alto>"),
        ("page", ALTO % b"", "its root is <alto>, not <PcGts>"),
        (
            "alto",
            (ALTO % b"").replace(
                b"<Layout>", b"<Description><MeasurementUnit>mm10</MeasurementUnit></Description><Layout>"
            ),
            "mm10",
        ),
        ("alto", (ALTO % b"").replace(b"</Layout>", b"<Page/></Layout>"), "2 pages"),
        (
            "alto",
            ALTO % b'<TextBlock><TextLine ID="l7"><String CONTENT="x"/></TextLine></TextBlock>',
            "'l7' has no place",
        ),
        ("alto", alto_line(b'<Shape><Polygon POINTS="1,2 1e300,4"/></Shape>'), "coordinate"),
        ("alto", alto_line(b'<Shape><Polygon POINTS="1,2 3,4 5"/></Shape>'), "5 numbers, which are no points"),
        ("alto", alto_line(b'<Shape><Polygon POINTS="1,2 3,x 5,6"/></Shape>'), "coordinate 'x'"),
        ("alto", alto_line(b'<Shape><Polygon POINTS="1,2 inf,4 5,6"/></Shape>'), "coordinate 'inf'"),
        ("page", PAGE % b'<TextRegion id="r"><TextLine id="l7"/></TextRegion>', "'l7' has no place"),
        (
            "page",
            PAGE % b'<TextRegion id="r1"><TextEquiv><Unicode>x</Unicode></TextEquiv></TextRegion>',
            "'r1' has text and no lines",
        ),
        ("page", b'<!DOCTYPE a [<!ENTITY b "cc">]>' + PAGE % b"&b;", "cannot be read as XML"),
        ("alto", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + ALTO % b"&b;", "cannot be read as XML"),
        ("page", PAGE % (b"<TextRegion>" * 5000 + b"</TextRegion>" * 5000), "nested too deeply"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(NotReadable, match=reason.replace("(", r"\(")):
        read_document(data, name)


def test_outlines_and_numbers_of_lines_have_an_end() -> None:
    many = b"1,2 " * 10_001
    with pytest.raises(NotReadable, match="more than 10000 points"):
        read_document(alto_line(b'<Shape><Polygon POINTS="%s"/></Shape><String CONTENT=""/>' % many), "alto")
    line = b'<TextLine><Coords points="1,2 3,4"/></TextLine>'
    with pytest.raises(NotReadable, match="20001 lines"):
        read_document(PAGE % (b"<TextRegion>%s</TextRegion>" % (line * 20_001)), "page")


def test_sizes_that_are_none_are_not_believed() -> None:
    for side in (b"0", b"-3", b"x", b"1e9", b"nan"):
        assert read_document((ALTO % b"").replace(b'"50"', b'"%s"' % side), "alto").size is None


def test_real_documents_of_others_are_read_and_stay_what_they_are(shared_data: Path) -> None:
    files = sorted((shared_data / "lines_gt").rglob("cremma*/*.xml"))
    for file in files:
        read = read_document(file.read_bytes(), "alto")
        assert read.size, file
        assert len(read.lines) > 30, file
        assert all(len(line.polygon) > 2 and len(line.baseline) > 1 and line.text for line in read.lines), file
        for name in FORMATS:
            assert read_document(written(name, read), name) == read, file
    assert len(files) == 9


def test_a_square_has_the_box_that_holds_its_pixels() -> None:
    assert Line(SQUARE).box == (9, 20, 102, 41)
