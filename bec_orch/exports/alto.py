"""ALTO 4.4 (https://www.loc.gov/standards/alto/): one document a page.

A text block is a run of lines of one kind, marked by a tag. A line is one string: the space that separates clauses in
Tibetan does not separate words, so lines are not cut at it.
"""

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element, SubElement  # nosec B405  # (it only writes)

from bec_orch.core.transcripts import KINDS, Line, Origin, PageRecord
from bec_orch.exports.characters import line_text, writable
from bec_orch.exports.formats import Format, Level, Material
from bec_orch.exports.regions import Box, Region, document, number, page_size, points, regions

NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_PLACES = f"{NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd"
MADE = "made"
"""The identifier of the processing step."""


def alto(pages: Iterable[PageRecord], origin: Origin, _material: Material) -> Iterator[bytes]:
    """Write each page as an ALTO document."""
    for page in pages:
        root = Element("alto", {"xmlns": NAMESPACE, "xmlns:xsi": _XSI, "xsi:schemaLocation": _PLACES})
        root.set("SCHEMAVERSION", "4.4")
        _describe(root, page, origin)
        tags = SubElement(root, "Tags")
        for kind in KINDS:
            SubElement(tags, "OtherTag", ID=f"kind-{kind}", TYPE="line kind", LABEL=kind)
        _lay_out(SubElement(root, "Layout"), page)
        yield document(root)


def _describe(root: Element, page: PageRecord, origin: Origin) -> None:
    description = SubElement(root, "Description")
    SubElement(description, "MeasurementUnit").text = "pixel"
    source = SubElement(description, "sourceImageInformation")
    SubElement(source, "fileName").text = writable(page.image)
    SubElement(source, "documentIdentifier").text = writable(str(origin.volume))
    step = SubElement(description, "Processing", ID=MADE)
    SubElement(step, "processingCategory").text = "contentGeneration"
    if origin.finished_at:
        SubElement(step, "processingDateTime").text = writable(origin.finished_at)
    if page.note:
        SubElement(step, "processingStepDescription").text = writable(page.note)
    SubElement(step, "processingStepSettings").text = writable("; ".join(map(": ".join, origin.facts())))
    software = SubElement(step, "processingSoftware")
    SubElement(software, "softwareName").text = "bec_orch"
    SubElement(software, "softwareVersion").text = writable(origin.code_version)
    SubElement(software, "applicationDescription").text = writable(origin.engine)


def _lay_out(layout: Element, page: PageRecord) -> None:
    width, height = page_size(page.content)
    attributes = {"ID": "page", "PHYSICAL_IMG_NR": str(page.index + 1), "PROCESSINGREFS": MADE}
    sides = {"WIDTH": str(width), "HEIGHT": str(height)} if width and height else {}
    space = SubElement(
        SubElement(layout, "Page", attributes | sides), "PrintSpace", sides and {"HPOS": "0", "VPOS": "0"} | sides
    )
    for region in regions(page.content):
        _add_block(space, region, page.content.rotation)


def _add_block(space: Element, region: Region, rotation: float | None) -> None:
    block = SubElement(space, "TextBlock", ID=f"block-{region.number}", TAGREFS=f"kind-{region.kind}")
    block.attrib.update(_place(region.box))
    if rotation is not None:
        # The text is rotated the opposite way to the page.
        block.set("ROTATION", number(-rotation))
    for place, line in region.lines:
        _add_line(block, place, line)


def _add_line(block: Element, place: int, line: Line) -> None:
    element = SubElement(block, "TextLine", {"ID": f"line-{place}", "TAGREFS": f"kind-{line.kind}"} | _place(line.box))
    if line.baseline:
        element.set("BASELINE", points(line.baseline))
    SubElement(SubElement(element, "Shape"), "Polygon", POINTS=points(line.polygon))
    text = SubElement(element, "String", {"CONTENT": line_text(line.text or "")} | _place(line.box))
    if line.confidence is not None:
        text.set("WC", number(line.confidence))


def _place(box: Box) -> dict[str, str]:
    return {name: str(side) for name, side in zip(("HPOS", "VPOS", "WIDTH", "HEIGHT"), box, strict=True)}


ALTO = Format(".xml", {Level.PAGE: alto}, wants_sizes=True)
