"""PAGE 2019-07-15 (https://github.com/PRImA-Research-Lab/PAGE-XML): one document a page.

A text region is a run of lines of one kind, marked by the region's type, and exactly by `custom` of each line, as
Transkribus and eScriptorium write and read it.
"""

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element, SubElement  # nosec B405  # (it only writes)

from bec_orch.core.transcripts import Line, Origin, PageRecord
from bec_orch.exports.characters import line_text, writable
from bec_orch.exports.formats import Format, Level, Material
from bec_orch.exports.regions import Region, document, number, page_size, points, regions

NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_PLACES = f"{NAMESPACE} {NAMESPACE}/pagecontent.xsd"
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"
TYPES = {"main": "paragraph", "running": "header", "margin": "marginalia", "note": "floating", "other": "other"}
"""The type of a region, by the kind of its lines."""


def page_xml(pages: Iterable[PageRecord], origin: Origin, _material: Material) -> Iterator[bytes]:
    """Write each page as a PAGE document."""
    for page in pages:
        root = Element("PcGts", {"xmlns": NAMESPACE, "xmlns:xsi": _XSI, "xsi:schemaLocation": _PLACES})
        _describe(SubElement(root, "Metadata"), page, origin)
        _lay_out(root, page)
        yield document(root)


def _describe(metadata: Element, page: PageRecord, origin: Origin) -> None:
    SubElement(metadata, "Creator").text = writable(f"bec_orch, job {origin.job}")
    for name in ("Created", "LastChange"):
        SubElement(metadata, name).text = writable(origin.finished_at or _UNKNOWN_TIME)
    if page.note:
        SubElement(metadata, "Comments").text = writable(page.note)
    item = SubElement(metadata, "MetadataItem", type="processingStep", name="contentGeneration")
    item.set("value", writable(origin.engine or origin.job_type or origin.job))
    labels = SubElement(item, "Labels")
    for name, value in origin.facts():
        SubElement(labels, "Label", type=name, value=writable(value))


def _lay_out(root: Element, page: PageRecord) -> None:
    width, height = map(str, page_size(page.content))
    element = SubElement(root, "Page", imageFilename=writable(page.image), imageWidth=width, imageHeight=height)
    if page.content.rotation is not None:
        # PAGE counts the rotation that levels the page as clockwise.
        element.set("orientation", number(-page.content.rotation))
    found = list(regions(page.content))
    if found:
        group = SubElement(SubElement(element, "ReadingOrder"), "OrderedGroup", id="order")
        for place, region in enumerate(found):
            SubElement(group, "RegionRefIndexed", index=str(place), regionRef=f"region-{region.number}")
    for region in found:
        _add_region(element, region)


def _add_region(page: Element, region: Region) -> None:
    left, top, width, height = region.box
    corners = ((left, top), (left + width - 1, top), (left + width - 1, top + height - 1), (left, top + height - 1))
    element = SubElement(page, "TextRegion", id=f"region-{region.number}", type=TYPES[region.kind])
    SubElement(element, "Coords", points=points(corners))
    for place, line in region.lines:
        _add_line(element, place, line)


def _add_line(region: Element, place: int, line: Line) -> None:
    element = SubElement(region, "TextLine", id=f"line-{place}", custom=f"structure {{type:{line.kind};}}")
    SubElement(element, "Coords", points=points(line.polygon))
    if line.baseline:
        SubElement(element, "Baseline", points=points(line.baseline))
    if line.text is None:
        return
    reading = SubElement(element, "TextEquiv", {} if line.confidence is None else {"conf": number(line.confidence)})
    SubElement(reading, "Unicode").text = line_text(line.text)


PAGE = Format(".xml", {Level.PAGE: page_xml}, wants_sizes=True)
