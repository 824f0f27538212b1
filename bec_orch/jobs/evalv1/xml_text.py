"""Plain text of ALTO and PAGE XML, of any version and namespace: see `bec_orch.exports.xml_tree`."""

from xml.etree.ElementTree import Element  # nosec B405  # (a type: defusedxml parses)

from bec_orch.exports.reading import kinds_in
from bec_orch.exports.xml_tree import (
    NotReadable,
    alto_line_text,
    children,
    descendants,
    kind_of,
    page_regions,
    page_text_of,
    parse,
)


class NotTruthError(ValueError):
    """The document is not XML, neither of the two formats, or must not be read."""


def xml_text(data: bytes) -> str:
    """Return the text of an ALTO or PAGE document, one line per text line.

    Raises:
        NotTruthError: the document is broken, of another format, or defines entities.
    """
    try:
        root = parse(data)
        kind = kind_of(root)
        if kind == "alto":
            return "\n".join(alto_line_text(line) for line in descendants(root, "TextLine"))
        if kind == "PcGts":
            return _page_text(root)
    except NotReadable as error:
        raise NotTruthError(str(error)) from error
    except RecursionError as error:
        raise NotTruthError("it is nested too deeply") from error
    raise NotTruthError(f"its root is <{kind}>, neither <alto> nor <PcGts>")


def xml_kinds(data: bytes) -> frozenset[str]:
    """Return the kinds of lines in a document that `xml_text` reads."""
    return kinds_in(parse(data))


def _page_text(root: Element) -> str:
    texts = (page_text_of(region) for page in children(root, "Page") for region in page_regions(page))
    return "\n".join(text for text in texts if text)
