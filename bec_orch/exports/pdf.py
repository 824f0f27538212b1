"""A searchable PDF (ISO 32000-1): the picture of each page, and over it the text of its lines, invisible.

The text is set in a font of one shape, a box that is half as wide as it is high, and stretched to its line. Each
character is a code of its own with its code point beside it (section 9.10.3), and nothing is shaped: so what is copied
is the text letter for letter, in any script, and no font with a licence is carried along. The box is never drawn;
programs take from it what they mark when somebody selects. A line begins with a line feed without width: programs that
guess where lines end join those which are not quite level.
"""

import io
import math
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import pikepdf
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from pikepdf import Array, Dictionary, Name, Stream

from bec_orch.core.transcripts import Line, Origin, PageRecord
from bec_orch.exports.characters import line_text
from bec_orch.exports.formats import Format, Level, Material, Picture

POINTS_PER_PIXEL = 72 / 300
"""Images rarely state their resolution; pages are scanned at 300 pixels per inch or more."""
_WITHOUT_SIZE = (2480, 3508)
_PAGES_IN_MEMORY = 50
_UNITS = 1000
_WIDTH = 500
_ASCENT, _DESCENT = 750, -250
"""Of the box: a baseline lies at three quarters of its line."""
_READ_AT_ONCE = 2**20
_LINE_FEED = "\n"


def pdf(pages: Iterable[PageRecord], origin: Origin, material: Material) -> Iterator[bytes]:
    """Write pages as one PDF. Only a few pages are in memory at a time."""
    left = iter(pages)
    with tempfile.TemporaryDirectory(dir=material.scratch, prefix="pdf-") as folder:
        parts: list[Path] = []
        while some := list(islice(left, _PAGES_IN_MEMORY)):
            parts.append(Path(folder) / f"{len(parts)}.pdf")
            _write_part(parts[-1], some, material)
        whole = Path(folder) / "whole.pdf"
        _join(whole, parts, origin)
        with whole.open("rb") as file:
            while piece := file.read(_READ_AT_ONCE):
                yield piece


def _write_part(path: Path, pages: list[PageRecord], material: Material) -> None:
    with pikepdf.new() as document:
        codes = {_LINE_FEED: 1}
        font = document.make_indirect(Dictionary())
        for page in pages:
            _add_page(document, page, material.picture(page.image), font, codes)
        font.update(_font(document, codes))
        document.save(path, deterministic_id=True)


def _join(path: Path, parts: list[Path], origin: Origin) -> None:
    with pikepdf.new() as document:
        opened = [pikepdf.open(part) for part in parts]
        for part in opened:
            document.pages.extend(part.pages)
        document.docinfo["/Title"] = str(origin.volume)
        document.docinfo["/Creator"] = "bec_orch"
        document.docinfo["/Subject"] = "; ".join(map(": ".join, origin.facts()))
        document.save(path, deterministic_id=True)
        for part in opened:
            part.close()


def _add_page(
    document: pikepdf.Pdf, page: PageRecord, picture: Picture | None, font: pikepdf.Object, codes: dict[str, int]
) -> None:
    width, height = page.content.size or ((picture.width, picture.height) if picture else _WITHOUT_SIZE)
    box = [0, 0, width * POINTS_PER_PIXEL, height * POINTS_PER_PIXEL]
    drawn = []
    resources = Dictionary(Font=Dictionary(F=font))
    if picture:
        resources.XObject = Dictionary(P=_image(document, picture))
        drawn.append(f"q {box[2]:.3f} 0 0 {box[3]:.3f} 0 0 cm /P Do Q")
    # What follows is in pixels, y upwards.
    drawn.append(f"q {POINTS_PER_PIXEL} 0 0 {POINTS_PER_PIXEL} 0 0 cm BT 3 Tr")
    drawn += (_shown(line, height, codes) for line in page.content.lines if line.text)
    drawn.append("ET Q")
    content = document.make_stream("\n".join(drawn).encode())
    shown = Dictionary(Type=Name.Page, MediaBox=box, Resources=resources, Contents=content)
    if picture and picture.rotation:
        # Viewers rotate picture and text together: both stay where they are in the stored bitmap.
        shown.Rotate = picture.rotation
    document.pages.append(pikepdf.Page(shown))


def _image(document: pikepdf.Pdf, picture: Picture) -> Stream:
    return Stream(
        document,
        picture.data,
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=picture.width,
        Height=picture.height,
        BitsPerComponent=picture.bits,
        ColorSpace=Name.DeviceGray if picture.samples == 1 else Name.DeviceRGB,
        Filter=Name.DCTDecode if picture.is_jpeg else Name.FlateDecode,
    )


def _shown(line: Line, height: int, codes: dict[str, int]) -> str:
    """Write the operators that show a line along its baseline, as long as that is."""
    text = line_text(line.text or "")
    (x, y), (end_x, end_y) = _ends(line)
    length = max(math.hypot(end_x - x, end_y - y), 1.0)
    cosine, sine = (end_x - x) / length, -(end_y - y) / length
    size = _thickness(line, length)
    stretch = 100 * length / (max(len(text), 1) * _WIDTH / _UNITS * size)
    shown = "".join(f"{codes.setdefault(char, len(codes) + 1):04x}" for char in _LINE_FEED + text)
    matrix = f"{cosine:.5f} {sine:.5f} {-sine:.5f} {cosine:.5f} {x} {height - y}"
    return f"/F {size:.2f} Tf {stretch:.4f} Tz {matrix} Tm <{shown}> Tj"


def _ends(line: Line) -> tuple[tuple[int, int], tuple[int, int]]:
    if len(line.baseline) > 1 and line.baseline[0] != line.baseline[-1]:
        return line.baseline[0], line.baseline[-1]
    left, top, width, height = line.box
    y = top + round(height * _ASCENT / _UNITS)
    return (left, y), (left + width, y)


def _thickness(line: Line, length: float) -> float:
    """Return how high a line is on average: what its outline holds (shoelace formula), by its length."""
    ahead = (*line.polygon[1:], line.polygon[0])
    twice = sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in zip(line.polygon, ahead, strict=True))
    return max(abs(twice) / 2 / length, 1.0)


def _font(document: pikepdf.Pdf, codes: dict[str, int]) -> Dictionary:
    """Make the font: every code that was used is a character, and has the one shape."""
    descriptor = Dictionary(
        Type=Name.FontDescriptor,
        FontName=Name.Boxes,
        Flags=4,
        FontBBox=[0, _DESCENT, _WIDTH, _ASCENT],
        ItalicAngle=0,
        Ascent=_ASCENT,
        Descent=_DESCENT,
        CapHeight=_ASCENT,
        StemV=80,
        FontFile2=document.make_stream(_boxes(), Length1=len(_boxes())),
    )
    shapes = document.make_stream(b"\x00\x00" + b"\x00\x01" * len(codes))
    described = Dictionary(
        Type=Name.Font,
        Subtype=Name.CIDFontType2,
        BaseFont=Name.Boxes,
        CIDSystemInfo=Dictionary(Registry=pikepdf.String("Adobe"), Ordering=pikepdf.String("Identity"), Supplement=0),
        FontDescriptor=document.make_indirect(descriptor),
        CIDToGIDMap=shapes,
        DW=_WIDTH,
        W=Array([codes[_LINE_FEED], Array([0])]),
    )
    return Dictionary(
        Type=Name.Font,
        Subtype=Name.Type0,
        BaseFont=Name.Boxes,
        Encoding=Name("/Identity-H"),
        DescendantFonts=Array([document.make_indirect(described)]),
        ToUnicode=document.make_stream(_code_points(codes)),
    )


def _code_points(codes: dict[str, int]) -> bytes:
    """Write the code points of all codes (ISO 32000-1, 9.10.3), at most 100 of them in a block."""
    pairs = [f"<{code:04x}> <{char.encode('utf-16-be').hex()}>" for char, code in codes.items()]
    blocks = [pairs[start : start + 100] for start in range(0, len(pairs), 100)]
    mapped = "\n".join(f"{len(block)} beginbfchar\n{chr(10).join(block)}\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def\n"
        "1 begincodespacerange <0000> <ffff> endcodespacerange\n"
        f"{mapped}\nendcmap CMapName currentdict /CMap defineresource pop end end\n"
    ).encode()


@cache
def _boxes() -> bytes:
    """Return a TrueType font whose two glyphs are the same box: a font must have one for missing characters."""
    pen = TTGlyphPen(None)
    corners = ((0, _DESCENT), (0, _ASCENT), (_WIDTH, _ASCENT), (_WIDTH, _DESCENT))
    pen.moveTo(corners[0])
    for corner in corners[1:]:
        pen.lineTo(corner)
    pen.closePath()
    box = pen.glyph()
    builder = FontBuilder(_UNITS, isTTF=True)
    builder.setupGlyphOrder([".notdef", "box"])
    builder.setupCharacterMap({})
    builder.setupGlyf({".notdef": box, "box": box})
    builder.setupHorizontalMetrics({".notdef": (_WIDTH, 0), "box": (_WIDTH, 0)})
    builder.setupHorizontalHeader(ascent=_ASCENT, descent=_DESCENT)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular", "psName": "Boxes"})
    builder.setupOS2(sTypoAscender=_ASCENT, usWinAscent=_ASCENT, usWinDescent=-_DESCENT)
    builder.setupPost()
    # The same bytes each time.
    builder.font["head"].created = builder.font["head"].modified = 0
    builder.font.recalcTimestamp = False
    written = io.BytesIO()
    builder.font.save(written)
    return written.getvalue()


PDF = Format(".pdf", {Level.VOLUME: pdf, Level.PAGE: pdf})
