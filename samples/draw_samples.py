"""Draw the sample volumes: two small books of Tibetan pages whose lines are known.

Run by maintainers only; the pictures themselves are committed. It needs Pillow with libraqm (its wheels have it) and
the font DDC Uchen (Debian: `apt install fonts-ddc-uchen`):

    python -m samples.draw_samples [--font DDC_Uchen.ttf] [--out samples] [--only I1BEC00010004]

A page is written flat (`samples.sheet`), then scanned (`samples.scan`): one known warp moves the pixels and the noted
points of the lines alike, so the truth fits however the page is bent. Each page has a random generator of its own,
seeded by its name: the same versions of the libraries draw the same pages.
"""

import argparse
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
from PIL import Image

from samples.scan import Look, Picture, Warp, scanned
from samples.sheet import Floats, Line, Sheet

DEBIAN_FONT = Path("/usr/share/fonts/truetype/tibetan/DDC_Uchen.ttf")
ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
JPEG_QUALITY = 78
TRUNCATED_SHARE = 0.6  # of the bytes of the page that is cut off
BLACK_BELOW = 150  # the threshold of the bitonal TIFF
GREYS = 16  # of the grey PNG: enough for the eye, and a small file

TAGS = {
    "main": ("MainZone", "text: each line is to be found"),
    "head": ("RunningTitleZone", "running head"),
    "number": ("NumberingZone", "page or folio number"),
    "margin": ("MarginTextZone", "margin title"),
    "note": ("InterlinearLine", "note between the lines"),
}
"""Label and description of each tag; the zones are SegmOnto's. Blocks of other names (`column_1`) are `main`."""

HEAD_MARK, TITLE = "༄༅། །", "བཀྲ་ཤིས་སྨོན་ལམ།"
FOLIO_DIGITS = "༡༢༣༤༥༦༧༨༩"
FOLIOS = ("གཅིག", "གཉིས", "གསུམ", "བཞི", "ལྔ", "དྲུག", "བདུན", "བརྒྱད", "དགུ")

LEAF_HEIGHT = 640
LEAF = Look(size=(2560, LEAF_HEIGHT), leaf_bend=4)
ROOM = replace(LEAF, size=(2560, LEAF_HEIGHT + 150), bed_width=(24, 99))  # for a leaf that does not lie straight
WHITE_LEAF = replace(LEAF, paper=(206, 222, 230), grain=4.0)
MANUSCRIPT = replace(LEAF, size=(2400, 660), paper=(160, 196, 216), wear=0.2, grain=8.0, bed=(128, 112, 104))
BOOK = Look(size=(1500, 2100), paper=(228, 240, 244), ink=(52, 48, 48), bed_width=(0, 0), grain=2.2, wear=0.18)
OLD_BOOK = replace(BOOK, paper=(200, 222, 234), grain=4.0)
FLAT = replace(BOOK, paper=(250, 250, 250), ink=(20, 20, 20), grain=1.0)


def leaf_page(sheet: Sheet, rows: int, folio: int | None, *, holes: bool = False, ink: str = "black") -> None:
    """A block-printed leaf: a double frame, `rows` lines, and the title and folio in the margin strip at the left."""
    width, height = sheet.size
    left, right, top = 230.0, width - 110.0, 74 + (height - LEAF_HEIGHT) / 2
    bottom = height - top
    sheet.frame((left - 16, top - 12, right + 16, bottom + 12), 5, ink)
    sheet.frame((left - 4, top, right + 4, bottom), 2, ink)
    pitch = (bottom - top - 14) / rows
    em = round(pitch * 0.56)
    centres = [left + (right - left) * share for share in (0.3, 0.7)]
    middle = [row for row in range(rows) if holes and abs(row - (rows - 1) / 2) <= 1]
    for row in range(rows):
        spans = parted(left + 12, right - 12, centres if row in middle else [], pitch * 1.45)
        sheet.fill(top + 10 + pitch * (row + 0.66), em, spans, begin=HEAD_MARK if row == 0 else "")
    for centre in centres if holes else []:
        sheet.circle(centre, (top + bottom) / 2, pitch * 1.05, "red")
    if folio is not None:
        sheet.frame((left - 92, top - 12, left - 16, bottom + 12), 3, ink)
        sheet.put_upright(f"{TITLE} {FOLIOS[folio]}།", left - 54, height / 2, 30)


def parted(left: float, right: float, centres: list[float], half: float) -> list[tuple[float, float]]:
    """The spans that string holes at `centres` leave of a line."""
    edges = [left, *(edge for centre in centres for edge in (centre - half, centre + half)), right]
    return list(zip(edges[::2], edges[1::2], strict=True))


def title_leaf(sheet: Sheet) -> None:
    """Two lines of a title in the middle of a wide frame."""
    width, height = sheet.size
    for inset, line_width in ((0, 6), (22, 2)):
        sheet.frame((300 + inset, 110 + inset, width - 300 - inset, height - 110 - inset), line_width, "red")
    sheet.put(HEAD_MARK + "བཀྲ་ཤིས་སྨོན་ལམ་གྱི་དཔེ་ཆ་ལེགས་བཤད་གསེར་གྱི་འཕྲེང་བ།", width / 2, 300, 72)
    sheet.put("ཞེས་བྱ་བ་བཞུགས་སོ། །", width / 2, 430, 60)


def plain_leaf(sheet: Sheet) -> None:
    """Six lines in a frame, with the margin title."""
    leaf_page(sheet, 6, 1)


def leaf_with_holes(sheet: Sheet) -> None:
    """Seven lines, three of them broken by two string holes."""
    leaf_page(sheet, 7, 2, holes=True)


def leaf_without_margin(sheet: Sheet) -> None:
    """Six lines, a verso without margin title."""
    leaf_page(sheet, 6, None)


def leaf_of_five(sheet: Sheet) -> None:
    """Five lines of larger letters; the folio number outside of the frame, and the title in the margin."""
    leaf_page(sheet, 5, 6)
    width, height = sheet.size
    sheet.put(FOLIO_DIGITS[6], width - 48, height / 2 + 12, 38, "number")


def blank(_sheet: Sheet) -> None:
    """Paper, and nothing on it."""


def manuscript_leaf(sheet: Sheet) -> None:
    """Six lines by hand between two red rules at each side; the third in red ink; the folio lies in the margin."""
    width, height = sheet.size
    for x in (236, 250, width - 150, width - 136):
        sheet.ruled([(x, 60), (x, height - 60)], 3, "red")
    for row in range(6):
        spans = parted(270, width - 172, [860, 1640] if row in (2, 3) else [], 100)
        ink = "red" if row == 2 else "black"  # noqa: PLR2004 - the third line
        sheet.fill(140 + 86 * row, 46, spans, ink=ink, begin=HEAD_MARK if row == 0 else "")
    for x in (860, 1640):
        sheet.circle(x, 340, 66, "red")
    sheet.put(FOLIO_DIGITS[6], 150, height / 2, 44, "number")


def colophon_leaf(sheet: Sheet) -> None:
    """Four lines, the last a short one; two notes in small letters between them, and the folio number at the right."""
    width, height = sheet.size
    sheet.frame((214, 62, width - 94, height - 62), 5)
    for row in range(3):
        sheet.fill(176 + 118 * row, 56, [(244, width - 124)], begin=HEAD_MARK if row == 0 else "")
    sheet.fill(176 + 118 * 3, 56, [(244, 1180)])
    sheet.put_upright(f"{TITLE} {FOLIOS[8]}།", 160, height / 2, 30)
    for row, x, note in ((0, 940, "འདི་ནི་གླེང་གཞིའོ།"), (2, 1560, "རྒྱ་དཔེ་ལས་མི་འབྱུང་།")):
        sheet.put(note, x, 176 + 118 * row + 51, 24, "note")
    sheet.put(FOLIO_DIGITS[8], width - 50, height / 2 + 12, 38, "number")


def prose(
    sheet: Sheet,
    left: float,
    right: float,
    rows: range,
    *,
    em: int = 40,
    pitch: int = 82,
    block: str = "main",
    ends: tuple[int, ...] = (),
) -> None:
    """Rows of prose; the rows named in `ends` are the short last lines of their paragraphs."""
    for row in rows:
        indent = 70 if row - 1 in ends else 0
        stop = left + (right - left) * 0.55 if row in ends else right
        sheet.fill(200 + pitch * (row + 1), em, [(left + indent, stop)], block)


def running_head(sheet: Sheet, number: str) -> None:
    """The title over a rule at the head of the page, and the page number at its foot."""
    width, height = sheet.size
    sheet.put("བོད་ཀྱི་ཡི་གེའི་ལོ་རྒྱུས།", width / 2, 150, 34, "head")
    sheet.ruled([(170, 180), (width - 170, 180)], 3)
    sheet.put(number, width / 2, height - 110, 32, "number")


def book_title(sheet: Sheet) -> None:
    """The title, the author and the press, in the middle of the page."""
    middle = sheet.size[0] / 2
    sheet.put("བོད་ཀྱི་ཡི་གེའི་ལོ་རྒྱུས་", middle, 560, 92)
    sheet.put("མདོར་བསྡུས་ཤེལ་གྱི་མེ་ལོང་།", middle, 720, 72)
    sheet.put("དཔེར་བརྗོད་པ་དགེ་སློང་ལེགས་བཤད་ཀྱིས་བརྩམས།", middle, 1010, 44)
    sheet.put("མི་རིགས་དཔེ་ཆའི་པར་ཁང་།", middle, 1860, 48)


def prose_page(sheet: Sheet, number: str) -> None:
    """Twenty lines in two paragraphs."""
    running_head(sheet, number)
    prose(sheet, 170, 1330, range(20), ends=(8,))


def two_columns(sheet: Sheet) -> None:
    """Two columns of small letters, with a space between them and no rule."""
    running_head(sheet, "༣")
    prose(sheet, 150, 715, range(26), em=32, pitch=64, block="column_1", ends=(11,))
    prose(sheet, 785, 1350, range(26), em=32, pitch=64, block="column_2", ends=(17, 25))


def verse_page(sheet: Sheet) -> None:
    """A heading, then four verses of four short lines."""
    running_head(sheet, "༤")
    sheet.put("མཆོད་བརྗོད་དང་རྩོམ་པར་དམ་བཅའ་བ།", sheet.size[0] / 2, 330, 56)
    for verse in range(4):
        for row in range(4):
            sheet.fill(480 + 370 * verse + 78 * row, 42, [(380, 1120)])


def bitonal_page(sheet: Sheet) -> None:
    """Nineteen lines, for a fax-like black and white scan."""
    running_head(sheet, "༥")
    prose(sheet, 170, 1330, range(19), em=44, pitch=86, ends=(5, 13))


def grey_page(sheet: Sheet) -> None:
    """Twenty lines that end in a short one."""
    running_head(sheet, "༦")
    prose(sheet, 180, 1320, range(20), ends=(3, 12, 19))


def last_page(sheet: Sheet) -> None:
    """Five lines at the head of an empty page."""
    running_head(sheet, "༩")
    prose(sheet, 170, 1330, range(5), ends=(4,))


@dataclass(frozen=True, slots=True)
class Page:
    """A page to draw: the file's name, what is written, how the scan looks, and whether the file is cut off."""

    name: str
    write: Callable[[Sheet], None]
    look: Look
    cut: bool = False

    @property
    def volume(self) -> Path:
        """The folder of its volume, `<w_id>/<i_id>`."""
        return Path(f"W{self.name[1:5]}{self.name[6:9]}") / self.name[:9]

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self.name.partition(".")[0]


PAGES = (
    Page("I1BEC00010001.jpg", title_leaf, LEAF),
    Page("I1BEC00010002.jpg", plain_leaf, replace(WHITE_LEAF, angle=0.4)),
    Page("I1BEC00010003.jpg", leaf_with_holes, LEAF),
    Page("I1BEC00010004.jpg", leaf_without_margin, replace(ROOM, paper=WHITE_LEAF.paper, angle=3.0)),
    Page("I1BEC00010005.jpg", leaf_without_margin, replace(ROOM, leaf_bend=46)),
    Page("I1BEC00010006.jpg", blank, LEAF),
    Page("I1BEC00010007.jpg", manuscript_leaf, replace(MANUSCRIPT, angle=-0.5)),
    Page("I1BEC00010008.jpg", leaf_of_five, replace(ROOM, paper=WHITE_LEAF.paper, angle=-1.1, leaf_bend=12)),
    Page("I1BEC00010009.jpg", colophon_leaf, LEAF),
    Page("I1BEC00020001.jpg", book_title, OLD_BOOK),
    Page("I1BEC00020002.jpg", partial(prose_page, number="༢"), BOOK),
    Page("I1BEC00020003.jpg", two_columns, replace(BOOK, angle=0.3)),
    Page("I1BEC00020004.jpg", verse_page, OLD_BOOK),
    Page("I1BEC00020005.tif", bitonal_page, FLAT),
    Page("I1BEC00020006.png", grey_page, FLAT),
    Page("I1BEC00020007.jpg", partial(prose_page, number="༧"), BOOK, cut=True),
    Page("I1BEC00020008.jpg", partial(prose_page, number="༨"), replace(OLD_BOOK, spine_bend=30, angle=-0.4)),
    Page("I1BEC00020009.jpg", last_page, BOOK),
)


def drawn(page: Page, font: Path) -> tuple[Picture, list[Line]]:
    """The picture of a page (blue, green, red), and its lines where the picture has them."""
    sheet = Sheet(page.look.size, font, np.random.default_rng(zlib.crc32(page.stem.encode())))
    page.write(sheet)
    return scanned(sheet, page.look), [moved(line, Warp(page.look)) for line in sheet.lines]


def moved(line: Line, warp: Warp) -> Line:
    """The line where the warp moves it."""
    pieces = tuple((text, warp.forward(box)) for text, box in line.pieces)
    return Line(line.block, pieces, warp.forward(line.baseline), warp.forward(line.outline))


def encoded(page: Page, picture: Picture) -> bytes:
    """The bytes of the page's file; its name says what kind it is."""
    if page.name.endswith(".tif"):
        return encoded_group4(picture)
    if page.name.endswith(".png"):
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
        levels = np.clip(np.round(grey / 235 * (GREYS - 1)), 0, GREYS - 1)
        return bytes(cv2.imencode(".png", (levels * 255 / (GREYS - 1)).astype(np.uint8))[1])
    jpeg = bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
    return jpeg[: int(len(jpeg) * TRUNCATED_SHARE)] if page.cut else jpeg


def encoded_group4(picture: Picture) -> bytes:
    """A bitonal TIFF, compressed as CCITT Group 4 at 300 dots per inch."""
    out = io.BytesIO()
    black = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)).point(lambda level: 255 * (level > BLACK_BELOW))
    black.convert("1").save(out, "TIFF", compression="group4", dpi=(300, 300))
    return out.getvalue()


def alto(page: Page, lines: list[Line]) -> bytes:
    """The truth of a page as ALTO 4: blocks `main`, `column_1`, `head`, `margin` in the order they were written."""
    ET.register_namespace("", ALTO)
    root = element(None, "alto")
    description = element(root, "Description")
    element(description, "MeasurementUnit").text = "pixel"
    element(element(description, "sourceImageInformation"), "fileName").text = page.name
    tags = element(root, "Tags")
    for name, (label, description_of) in TAGS.items():
        element(tags, "OtherTag", ID=name, LABEL=label, DESCRIPTION=description_of)
    width, height = page.look.size
    sheet = element(
        element(root, "Layout"),
        "Page",
        ID="page",
        PHYSICAL_IMG_NR=str(int(page.stem[-4:])),
        WIDTH=str(width),
        HEIGHT=str(height),
    )
    space = element(sheet, "PrintSpace", HPOS="0", VPOS="0", WIDTH=str(width), HEIGHT=str(height))
    for block in dict.fromkeys(line.block for line in lines):
        add_block(space, block, [line for line in lines if line.block == block])
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(ET.tostring(root, encoding="utf-8")) + b"\n"


def add_block(space: ET.Element, name: str, lines: list[Line]) -> None:
    """Add a TextBlock and its lines."""
    tag = name if name in TAGS else "main"
    block = element(space, "TextBlock", ID=name, TAGREFS=tag, **place(np.concatenate([x.outline for x in lines])))
    for number, line in enumerate(lines):
        text_line = element(
            block,
            "TextLine",
            ID=f"{name}_line_{number}",
            TAGREFS=tag,
            BASELINE=points(line.baseline),
            **place(line.outline),
        )
        element(element(text_line, "Shape"), "Polygon", POINTS=points(line.outline))
        for text, box in line.pieces:
            element(text_line, "String", CONTENT=text, **place(box))


def element(parent: ET.Element | None, name: str, **attributes: str) -> ET.Element:
    """A new ALTO element, at the end of `parent` where there is one."""
    made = ET.Element(f"{{{ALTO}}}{name}", attributes)
    if parent is not None:
        parent.append(made)
    return made


def place(outline: Floats) -> dict[str, str]:
    """The box around the points, as ALTO's attributes."""
    left, top = np.floor(outline.min(axis=0)).astype(int)
    right, bottom = np.ceil(outline.max(axis=0)).astype(int)
    return {"HPOS": str(left), "VPOS": str(top), "WIDTH": str(right - left), "HEIGHT": str(bottom - top)}


def points(line: Floats) -> str:
    """The points as ALTO writes them: `x,y x,y`."""
    return " ".join(f"{x},{y}" for x, y in np.round(line).astype(int))


def write_page(page: Page, font: Path, out: Path) -> Path:
    """Draw a page, and write its picture and (but for a file that is cut off) its truth. Returns the picture's path."""
    picture, lines = drawn(page, font)
    image, truth = out / page.volume / page.name, out / "truth" / page.volume / f"{page.stem}.xml"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(encoded(page, picture))
    if not page.cut:
        truth.parent.mkdir(parents=True, exist_ok=True)
        truth.write_bytes(alto(page, lines))
    return image


def main() -> None:
    """Draw all pages, or the one that `--only` names."""
    parser = argparse.ArgumentParser(description="Draw the sample volumes.")
    parser.add_argument("--font", type=Path, default=DEBIAN_FONT, help="DDC Uchen (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write (default: this one)")
    parser.add_argument("--only", metavar="STEM", help="draw this page alone")
    arguments = parser.parse_args()
    for page in PAGES:
        if arguments.only in (None, page.stem):
            image = write_page(page, arguments.font, arguments.out)
            print(f"{image} {image.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
