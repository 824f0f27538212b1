"""hOCR 1.2 (http://kba.github.io/hocr-spec/1.2/): pages as XHTML, lines with baseline, outline and confidence.

A line has one `ocrx_word`, which carries its confidence: no engine here says where words end. Each region is one
paragraph (`ocr_par`), because there many programs look for lines.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from bec_orch.core.transcripts import Line, Origin, PageRecord
from bec_orch.exports.characters import line_text, writable
from bec_orch.exports.formats import Format, Level, Material
from bec_orch.exports.regions import Box, Region, number, page_size, regions

_LEAST_RUN = 1
"""Pixels that a baseline must go on to have a slope."""


def hocr(pages: Iterable[PageRecord], origin: Origin, _material: Material) -> Iterator[bytes]:
    """Write pages as one hOCR document."""
    pieces = _template().generate(
        title=writable(str(origin.volume)),
        system=writable(f"bec_orch {origin.engine or origin.job_type} {origin.code_version}".strip()),
        facts=[(name, writable(value)) for name, value in origin.facts()],
        pages=map(_page, pages),
    )
    for piece in pieces:
        yield piece.encode()


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("bec_orch", "exports"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("hocr.html.j2")


def _page(page: PageRecord) -> dict[str, Any]:
    width, height = page_size(page.content)
    # The specification has no escape for quotation marks in a string; a URL has.
    image = writable(page.image).replace('"', "%22")
    turned = "" if page.content.rotation is None else f"; textangle {number(-page.content.rotation)}"
    return {
        "number": page.index + 1,
        "title": f'image "{image}"; bbox 0 0 {width} {height}; ppageno {page.index}{turned}',
        # A comment ends at two hyphens.
        "note": writable(page.note).replace("--", "- "),
        "regions": [_region(region) for region in regions(page.content)],
    }


def _region(region: Region) -> dict[str, Any]:
    return {
        "number": region.number,
        "title": f"{_bbox(region.box)}; x_kind {region.kind}",
        "box": _bbox(region.box),
        "lines": [_line(place, line) for place, line in region.lines],
    }


def _line(place: int, line: Line) -> dict[str, Any]:
    outline = " ".join(f"{x} {y}" for x, y in line.polygon)
    sure = "" if line.confidence is None else f"; x_wconf {round(100 * line.confidence)}"
    return {
        "number": place,
        "title": f"{_bbox(line.box)}{_baseline(line)}; poly {outline}",
        "word": f"{_bbox(line.box)}{sure}",
        "text": None if line.text is None else line_text(line.text),
    }


def _bbox(box: Box) -> str:
    left, top, width, height = box
    return f"bbox {left} {top} {left + width} {top + height}"


def _baseline(line: Line) -> str:
    """Write a baseline as hOCR does: its slope, and its height at the left edge, above the lower edge of the box."""
    if len(line.baseline) < 2:  # noqa: PLR2004  (two points make a line)
        return ""
    (x, y), (end_x, end_y) = line.baseline[0], line.baseline[-1]
    if abs(end_x - x) < _LEAST_RUN:
        return ""
    left, top, _, height = line.box
    slope = (end_y - y) / (end_x - x)
    return f"; baseline {number(slope)} {round(y + slope * (left - x) - (top + height))}"


HOCR = Format(".hocr", {Level.PAGE: hocr, Level.VOLUME: hocr}, wants_sizes=True)
