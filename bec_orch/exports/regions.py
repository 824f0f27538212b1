"""What ALTO and PAGE share: runs of lines of one kind as regions, points as text, identifiers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree.ElementTree import Element, indent, tostring  # nosec B405  # (it only writes)

from bec_orch.core.transcripts import Line, PageContent, Point

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """Lines of one kind that follow each other in reading order.

    Attributes:
        number: counted from 1.
        kind: the kind of its lines.
        lines: its lines, each with its place in the page, counted from 1.
    """

    number: int
    kind: str
    lines: tuple[tuple[int, Line], ...]

    @property
    def box(self) -> Box:
        """The smallest upright box (x, y, width, height) around its lines."""
        boxes = [line.box for _, line in self.lines]
        left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
        right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
        return left, top, right - left, bottom - top


def regions(content: PageContent) -> Iterator[Region]:
    """Split a page's lines into regions, so that the order of regions and lines is the reading order."""
    runs = groupby(enumerate(content.lines, start=1), key=lambda numbered: numbered[1].kind)
    for number, (kind, lines) in enumerate(runs, start=1):
        yield Region(number, kind, tuple(lines))


def points(polygon: Sequence[Point]) -> str:
    """Write points as `x,y x,y`; at least two of them, as the schema of PAGE wants."""
    at_least_two = [*polygon, *polygon[-1:]] if len(polygon) == 1 else polygon
    return " ".join(f"{max(x, 0)},{max(y, 0)}" for x, y in at_least_two)


def number(value: float) -> str:
    """Write a confidence or an angle with four places, without zeros at the end."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def page_size(content: PageContent) -> tuple[int, int]:
    """Return the size of a page, or as far as its lines reach where it is unknown."""
    if content.size:
        return content.size
    boxes = [line.box for line in content.lines if line.polygon]
    return max((box[0] + box[2] for box in boxes), default=0), max((box[1] + box[3] for box in boxes), default=0)


def document(root: Element) -> bytes:
    """Write an XML document."""
    indent(root)
    written: bytes = tostring(root, "utf-8", xml_declaration=True)
    return written + b"\n"
