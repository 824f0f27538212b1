"""ALTO and PAGE XML of any version and namespace as trees, and what is text in them.

A document's own entities, external ones among them, are refused, so that no file can grow in memory or read others.

ALTO (https://www.loc.gov/standards/alto/): blocks and lines in the order of the document. PAGE
(https://github.com/PRImA-Research-Lab/PAGE-XML): regions in the reading order, then those that it does not name.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError  # nosec B405  # (types: defusedxml parses)

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from bec_orch.core.wording import said

_LAST = 1 << 30
_PAGE_CHILDREN = {
    "Page": ("TextRegion", "\n"),
    "TextRegion": ("TextLine", "\n"),
    "TextLine": ("Word", " "),
    "Word": ("Glyph", ""),
}


class NotReadable(ValueError):
    """A document is not XML, neither of the two formats, or must not be read; in words that end a sentence."""


def parse(data: bytes) -> Element:
    """Return the root of an XML document.

    Raises:
        NotReadable: it is broken, or defines entities.
    """
    try:
        root: Element = fromstring(data)
    except DefusedXmlException as error:  # its own words are for programmers
        raise NotReadable("it cannot be read as XML, because it defines entities, which are refused") from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise NotReadable(f"it cannot be read as XML ({said(error)})") from error
    return root


def kind_of(element: Element) -> str:
    """Return the name of an element without its namespace."""
    # Comments and instructions have a function in place of a name.
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: Element, *kinds: str) -> Iterator[Element]:
    """Return the children of some kinds, in order."""
    return (child for child in element if kind_of(child) in kinds)


def descendants(element: Element, *kinds: str) -> Iterator[Element]:
    """Return the descendants of some kinds, in order; the element itself where it is of one."""
    return (found for found in element.iter() if kind_of(found) in kinds)


def alto_line_text(line: Element) -> str:
    """Join the strings of a line of ALTO. Where it has no space elements at all, each string is a word."""
    parts = list(children(line, "String", "SP", "HYP"))
    has_spaces = any(kind_of(part) == "SP" for part in parts)
    joined = "" if has_spaces else " "
    pieces = [" " if kind_of(part) == "SP" else part.get("CONTENT", "") for part in parts if kind_of(part) != "HYP"]
    hyphen = "".join(part.get("CONTENT", "") for part in parts if kind_of(part) == "HYP")
    return joined.join(pieces) + hyphen


def page_regions(page: Element) -> list[Element]:
    """Return the text regions of a page of PAGE that lie in no other text region, in reading order."""
    order = {reference: place for place, reference in reversed(list(enumerate(_reading_order(page))))}
    return sorted(_outermost(page), key=lambda region: order.get(region.get("id", ""), _LAST))


def _outermost(element: Element) -> list[Element]:
    found: list[Element] = []
    for child in element:
        found += [child] if kind_of(child) == "TextRegion" else _outermost(child)
    return found


def _reading_order(page: Element) -> list[str]:
    return [
        reference
        for order in children(page, "ReadingOrder")
        for group in sorted(order, key=index_of)
        for reference in _references(group)
    ]


def _references(group: Element) -> list[str]:
    """Return the regions that a group, or a single reference, names, those of its groups among them."""
    own = [group.get("regionRef", "")] if "regionRef" in group.attrib else []
    return own + [reference for member in sorted(group, key=index_of) for reference in _references(member)]


def index_of(element: Element) -> int:
    """Return the `index` of an element, 0 where it has none that is a number."""
    index = element.get("index", "")
    return int(index) if index.isdecimal() else 0


def page_text_of(element: Element) -> str:
    """Return the text that an element of PAGE has itself, else that of its parts."""
    own = next((found.text or "" for reading in page_reading(element) for found in children(reading, "Unicode")), "")
    if own:
        return own
    kind, separator = _PAGE_CHILDREN.get(kind_of(element), ("", ""))
    nested = "TextRegion" if kind_of(element) == "TextRegion" else ""
    texts = (page_text_of(part) for part in children(element, kind, nested))
    return separator.join(text for text in texts if text)


def page_reading(element: Element) -> list[Element]:
    """Return the first of the alternative readings of an element of PAGE; none where it has none."""
    return sorted(children(element, "TextEquiv"), key=index_of)[:1]
