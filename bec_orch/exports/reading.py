"""Reads ALTO and PAGE documents back: lines with their place, text, confidence and kind, in reading order.

What others write is read, too: words in place of lines' text, regions in regions, tags and types of other names.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from xml.etree.ElementTree import Element  # nosec B405  # (a type: defusedxml parses)

from bec_orch.core.names import printable
from bec_orch.core.transcripts import KINDS, MAIN, Line, PageContent, Point
from bec_orch.exports.page_xml import TYPES
from bec_orch.exports.xml_tree import (
    NotReadable,
    alto_line_text,
    children,
    descendants,
    kind_of,
    page_reading,
    page_regions,
    page_text_of,
    parse,
)

_ROOTS = {"alto": "alto", "page": "PcGts"}
FORMATS = tuple(_ROOTS)
MOST_LINES = 20_000
MOST_POINTS = 10_000
"""Of one outline."""
_FARTHEST = 1_000_000
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_BETWEEN = re.compile(r"[\s,]+")
_STRUCTURE = re.compile(r"structure\s*\{[^}]*type:\s*([^;}\s]+)")
_TWO = 2
# What others call the kinds, `main` being all else: types of PAGE, and zones of SegmOnto (https://segmonto.github.io).
_KINDS: dict[str, str] = {
    **{name: kind for kind, name in TYPES.items() if kind != MAIN},
    **dict.fromkeys(("footer", "page-number", "signature-mark", "catch-word"), "running"),
    **dict.fromkeys(("caption", "credit", "drop-capital"), "other"),
    **dict.fromkeys(("runningtitlezone", "numberingzone", "quiremarkszone"), "running"),
    **dict.fromkeys(("stampzone", "sealzone", "digitizationartefactzone"), "other"),
    "margintextzone": "margin",
    "interlinearline": "note",
    **{kind: kind for kind in KINDS},
}


def read_document(data: bytes, name: str) -> PageContent:
    """Return the content of a document of a page.

    Raises:
        NotReadable: see `read_page`.
    """
    return read_page(data, name)[0]


def read_page(data: bytes, name: str) -> tuple[PageContent, str]:
    """Return the content of a document of a page, and the image that it says it is of ("": it does not).

    Args:
        data: the file.
        name: its format, one of `FORMATS`.

    Raises:
        NotReadable: it is broken, of another format, defines entities, holds several pages, or a line without a place.
    """
    try:
        root = parse(data)
        if kind_of(root) != _ROOTS[name]:
            raise NotReadable(f"its root is <{kind_of(root)}>, not <{_ROOTS[name]}>")
        content = _alto(root) if name == "alto" else _page(root)
    except RecursionError as error:
        raise NotReadable("it is nested too deeply") from error
    if len(content.lines) > MOST_LINES:
        raise NotReadable(f"it has {len(content.lines)} lines, more than {MOST_LINES}")
    return content, _image(root)


def kinds_in(root: Element) -> frozenset[str]:
    """Return the kinds of the lines of a document, and of what has text and no lines; `main` is what has no label."""
    if kind_of(root) == "alto":
        labels = _labels(root)
        blocks = descendants(root, "TextBlock")
        return frozenset(_alto_kind((line, block), labels) for block in blocks for line in children(block, "TextLine"))
    kinds: set[str] = set()
    for region in descendants(root, "TextRegion"):
        lines = [line for line in children(region, "TextLine") if page_text_of(line)]
        kinds.update(_page_kind(line.get("custom", ""), region.get("type", "")) for line in lines)
        if not lines and page_text_of(region) and not any(children(region, "TextRegion")):
            kinds.add(_page_kind("", region.get("type", "")))
    return frozenset(kinds)


def _labels(root: Element) -> dict[str, str]:
    return {tag.get("ID", ""): tag.get("LABEL", "") for tags in children(root, "Tags") for tag in tags}


def _image(root: Element) -> str:
    sources = descendants(root, "sourceImageInformation")
    told = [name.text for source in sources for name in children(source, "fileName")]
    told += [page.get("imageFilename") for page in children(root, "Page")]
    return (told[0] if told else None) or ""


def _alto(root: Element) -> PageContent:
    unit = next((unit.text or "" for unit in descendants(root, "MeasurementUnit")), "pixel").strip()
    if unit != "pixel":
        raise NotReadable(f"it measures in {printable(unit)}, not in pixels")
    page = _only_page(descendants(root, "Page"))
    labels = _labels(root)
    blocks = list(descendants(page, "TextBlock"))
    kinds = {id(line): _alto_kind((line, block), labels) for block in blocks for line in children(block, "TextLine")}
    ordered = _in_order(root, blocks)
    rotations = [_number(block.get("ROTATION")) for block in blocks if "ROTATION" in block.attrib]
    return PageContent(
        tuple(_alto_line(line, kinds[id(line)]) for line in ordered),
        _size(page.get("WIDTH"), page.get("HEIGHT")),
        _turned(rotations[0]) if rotations else None,
    )


def _in_order(root: Element, blocks: Iterable[Element]) -> list[Element]:
    """Return the lines in the order that `ReadingOrder` names, of lines or of blocks; then those it does not name."""
    named = [
        reference
        for order in children(root, "ReadingOrder")
        for element in descendants(order, "ElementRef")
        for reference in element.get("REF", "").split()
    ]
    places = {reference: place for place, reference in reversed(list(enumerate(named)))}
    last = len(places)
    lines = [(block, line) for block in blocks for line in children(block, "TextLine")]

    def place(pair: tuple[Element, Element]) -> int:
        block, line = pair
        return places.get(line.get("ID", ""), places.get(block.get("ID", ""), last))

    return [line for _, line in sorted(lines, key=place)]


def _alto_kind(elements: Iterable[Element], labels: Mapping[str, str]) -> str:
    names = (
        labels.get(reference, "").rpartition(":")[2].lower()
        for element in elements
        for reference in element.get("TAGREFS", "").split()
    )
    return next((_KINDS[name] for name in names if name in _KINDS), MAIN)


def _alto_line(line: Element, kind: str) -> Line:
    box = [_number(line.get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    outline = next((found.get("POINTS", "") for shape in children(line, "Shape") for found in shape), "")
    polygon = _points(outline) or _corners(box, line)
    strings = list(children(line, "String"))
    confidences = [value for string in strings if (value := _share(string.get("WC"))) is not None]
    confidence = sum(confidences) / len(confidences) if confidences else None
    return Line(polygon, _alto_baseline(line, box), _text_or_none(alto_line_text(line), confidence), confidence, kind)


def _alto_baseline(line: Element, box: list[float | None]) -> tuple[Point, ...]:
    told = line.get("BASELINE", "")
    left, _, width, _ = box
    if len(_NUMBER.findall(told)) == 1 and left is not None and width is not None:
        # Before version 4.2, a baseline was a height.
        return _points(f"{left} {told} {left + width} {told}")
    return _points(told)


def _corners(box: list[float | None], line: Element) -> tuple[Point, ...]:
    left, top, width, height = box
    if left is None or top is None or not width or not height:
        raise NotReadable(f"its line {printable(line.get('ID', ''))} has no place")
    right, bottom = left + width - 1, top + height - 1
    return _points(f"{left} {top} {right} {top} {right} {bottom} {left} {bottom}")


def _page(root: Element) -> PageContent:
    page = _only_page(children(root, "Page"))
    lines = tuple(line for region in page_regions(page) for line in _region_lines(region))
    turned = _number(page.get("orientation"))
    return PageContent(lines, _size(page.get("imageWidth"), page.get("imageHeight")), _turned(turned))


def _region_lines(region: Element) -> Iterator[Line]:
    parts = list(children(region, "TextLine", "TextRegion"))
    if not parts and page_text_of(region):
        raise NotReadable(f"its region {printable(region.get('id', ''))} has text and no lines")
    for part in parts:
        if kind_of(part) == "TextRegion":
            yield from _region_lines(part)
        else:
            yield _page_line(part, region.get("type", ""))


def _page_line(line: Element, region_type: str) -> Line:
    polygon = _points(next((coords.get("points", "") for coords in children(line, "Coords")), ""))
    if not polygon:
        raise NotReadable(f"its line {printable(line.get('id', ''))} has no place")
    confidence = next((_share(reading.get("conf")) for reading in page_reading(line)), None)
    has_text = bool(page_reading(line)) or bool(page_text_of(line))
    text = _text_or_none(page_text_of(line), confidence) if has_text else None
    baseline = next((_points(found.get("points", "")) for found in children(line, "Baseline")), ())
    return Line(polygon, baseline, text, confidence, _page_kind(line.get("custom", ""), region_type))


def _page_kind(custom: str, region_type: str) -> str:
    told = _STRUCTURE.search(custom)
    return _KINDS.get(told[1].lower() if told else "", _KINDS.get(region_type, MAIN))


def _text_or_none(text: str, confidence: float | None) -> str | None:
    """Return a line's text; None for empty text without a confidence: ALTO has no other way to say so."""
    return text if text or confidence is not None else None


def _only_page(pages: Iterator[Element]) -> Element:
    found = list(pages)
    if len(found) != 1:
        raise NotReadable(f"it has {len(found)} pages, and documents of one are read")
    return found[0]


def _points(text: str) -> tuple[Point, ...]:
    numbers = [number for number in _BETWEEN.split(text) if number]
    if len(numbers) > _TWO * MOST_POINTS:
        raise NotReadable(f"it has an outline of more than {MOST_POINTS} points")
    if len(numbers) % _TWO:
        raise NotReadable(f"it has an outline of {len(numbers)} numbers, which are no points")
    values = [_coordinate(number) for number in numbers]
    points = tuple(zip(values[::_TWO], values[1::_TWO], strict=False))
    # Documents have at least two points, even for a line that is one.
    return points[:1] if len(points) == _TWO and points[0] == points[1] else points


def _coordinate(text: str) -> int:
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    if not abs(value) <= _FARTHEST:
        raise NotReadable(f"it has the coordinate {printable(text)}")
    return round(value)


def _size(width: str | None, height: str | None) -> tuple[int, int] | None:
    sides = [_number(width), _number(height)]
    whole = [round(side) for side in sides if side is not None and 0 < side <= _FARTHEST]
    return (whole[0], whole[1]) if len(whole) == len(sides) else None


def _number(text: str | None) -> float | None:
    found = _NUMBER.fullmatch((text or "").strip())
    value = float(found[0]) if found else None
    return value if value is not None and math.isfinite(value) and abs(value) <= _FARTHEST else None


def _share(text: str | None) -> float | None:
    value = _number(text)
    return value if value is not None and 0 <= value <= 1 else None


def _turned(angle: float | None) -> float | None:
    """Return an angle as the rows have it: documents give it with the opposite sign."""
    return -angle if angle else None
