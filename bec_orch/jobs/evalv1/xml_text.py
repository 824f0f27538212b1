"""Plain text of ALTO and PAGE XML, of any version and namespace.

Entities of a document's own, external ones among them, are refused, so that no file can grow in memory or read others.

ALTO (https://www.loc.gov/standards/alto/): blocks and lines in the order of the document. PAGE
(https://github.com/PRImA-Research-Lab/PAGE-XML): regions in the reading order, then those that it does not name.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError  # nosec B405  # (types: defusedxml parses)

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from bec_orch.core.wording import named

_LAST = 1 << 30
_PAGE_CHILDREN = {
    "Page": ("TextRegion", "\n"),
    "TextRegion": ("TextLine", "\n"),
    "TextLine": ("Word", " "),
    "Word": ("Glyph", ""),
}


class NotTruthError(ValueError):
    """The document is no XML, none of the two formats, or must not be read."""


def xml_text(data: bytes) -> str:
    """Return the text of an ALTO or PAGE document, one line per text line.

    Raises:
        NotTruthError: the document is broken, of another format, or defines entities.
    """
    try:
        root = fromstring(data)
        kind = _kind(root)
        if kind == "alto":
            return _alto_text(root)
        if kind == "PcGts":
            return _page_text(root)
    except (ParseError, ValueError, LookupError, RecursionError, DefusedXmlException) as error:
        raise NotTruthError(f"it cannot be read as XML ({named(error)})") from error
    raise NotTruthError(f"its root is <{kind}>, neither <alto> nor <PcGts>")


def _kind(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def _children(element: Element, *kinds: str) -> Iterator[Element]:
    return (child for child in element if _kind(child) in kinds)


def _descendants(element: Element, *kinds: str) -> Iterator[Element]:
    return (found for found in element.iter() if _kind(found) in kinds)


def _alto_text(root: Element) -> str:
    return "\n".join(_alto_line(line) for line in _descendants(root, "TextLine"))


def _alto_line(line: Element) -> str:
    """Join a line's strings. Where the line has no space elements at all, each string is a word."""
    parts = list(_children(line, "String", "SP", "HYP"))
    has_spaces = any(_kind(part) == "SP" for part in parts)
    joined = "" if has_spaces else " "
    pieces = [" " if _kind(part) == "SP" else part.get("CONTENT", "") for part in parts if _kind(part) != "HYP"]
    hyphen = "".join(part.get("CONTENT", "") for part in parts if _kind(part) == "HYP")
    return joined.join(pieces) + hyphen


def _page_text(root: Element) -> str:
    texts = (_text_of(region) for page in _children(root, "Page") for region in _regions(page))
    return "\n".join(text for text in texts if text)


def _regions(page: Element) -> list[Element]:
    """Return a page's text regions that lie in no other text region, in reading order."""
    regions = _outermost(page)
    order = {reference: place for place, reference in reversed(list(enumerate(_reading_order(page))))}
    return sorted(regions, key=lambda region: order.get(region.get("id", ""), _LAST))


def _outermost(element: Element) -> list[Element]:
    found: list[Element] = []
    for child in element:
        found += [child] if _kind(child) == "TextRegion" else _outermost(child)
    return found


def _reading_order(page: Element) -> list[str]:
    return [
        reference
        for order in _children(page, "ReadingOrder")
        for group in sorted(order, key=_index)
        for reference in _references(group)
    ]


def _references(group: Element) -> list[str]:
    """Return the regions that a group, or a single reference, names, those of its groups among them."""
    own = [group.get("regionRef", "")] if "regionRef" in group.attrib else []
    return own + [reference for member in sorted(group, key=_index) for reference in _references(member)]


def _index(element: Element) -> int:
    index = element.get("index", "")
    return int(index) if index.isdecimal() else 0


def _text_of(element: Element) -> str:
    """Return the text that an element has itself, else that of its parts."""
    own = _own_text(element)
    if own:
        return own
    kind, separator = _PAGE_CHILDREN.get(_kind(element), ("", ""))
    nested = "TextRegion" if _kind(element) == "TextRegion" else ""
    texts = (_text_of(part) for part in _children(element, kind, nested))
    return separator.join(text for text in texts if text)


def _own_text(element: Element) -> str:
    """Return the first of an element's alternative readings."""
    readings = sorted(_children(element, "TextEquiv"), key=_index)
    return next((found.text or "" for reading in readings[:1] for found in _children(reading, "Unicode")), "")
