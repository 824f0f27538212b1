"""Pictures for people: the lines that were found, drawn over their page, and a volume's pages on one sheet.

    cells = ((caption(row), draw_page(decoded(at), row, max_width=1000)) for at, row in enumerate(rows))
    jpeg = encode_jpeg(contact_sheet(cells, name="W1/I1", total=len(rows)))

A row is one of the `ldv1` Parquet file, as a mapping. Pages are taken one by one and shrunk at once: a sheet never
holds more than its small pictures.
"""

import colorsys
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.core.transcripts import KINDS, MAIN, known

Picture: TypeAlias = NDArray[np.uint8]  # height x width x 3, blue green red
Colour: TypeAlias = tuple[int, int, int]
Outline: TypeAlias = NDArray[np.int32]

FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_HEIGHT = 22
"""Height of a capital letter at scale 1, pixels."""
SMALLEST_TEXT = 9
TEXT_SHARE = 70
"""A page's letters are a 70th of its longer side high: still to be read when a sheet halves the picture."""
WHITE: Colour = (255, 255, 255)
DARK: Colour = (40, 40, 40)
GREY: Colour = (208, 208, 208)
KIND_COLOURS: dict[str, Colour] = {
    "running": (160, 90, 0),
    "margin": (90, 90, 90),
    "note": (150, 0, 150),
    "other": (0, 90, 150),
}
"""Of lines that are no main text, blue green red."""

FILL_SHARE = 0.35
"""How much of the page's colour a line's fill takes away."""
HUE_STEP = 0.618034
"""The golden ratio's fraction: the hues of neighbouring lines lie far apart, however many there are."""
CARD_SHAPE = (600, 800)
"""Height and width of the card for a page whose size is not known."""

GAP = 12
TITLE_TEXT, TITLE_HEIGHT = 16, 44
CAPTION_TEXT, CAPTION_HEIGHT = 11, 24
TALLEST = 1.5
"""A page on a sheet is at most this much higher than its cell is wide: so the sheet stays within a JPEG's limits."""
WIDE_PAGE = 1.6
"""Pages this much wider than high (pechas) stand two in a row of the sheet, others four."""


def outcome(row: Mapping[str, Any]) -> str:
    """Return what became of the page: `6 lines, 1 running`, `blank`, `skipped: <reason>` or `error: <type>`."""
    if row["skipped"]:
        return f"skipped: {row['skip_reason']}"
    if not row["ok"]:
        return f"error: {row['error_type']}"
    counts = Counter(_kinds_by_line(row).values())
    main = f"{counts[MAIN]} line{'s' * (counts[MAIN] != 1)}"
    return ", ".join([main, *(f"{counts[kind]} {kind}" for kind in KINDS[1:] if counts[kind])]) if counts else "blank"


def caption(row: Mapping[str, Any]) -> str:
    """Return the page's file name and what became of it."""
    return f"{row['img_file_name']}: {outcome(row)}"


def draw_page(image: NDArray[np.uint8] | None, row: Mapping[str, Any], *, max_width: int = 1600) -> Picture:
    """Draw a page's lines over its picture: each filled, with its number (from 1) at its start.

    Each line of main text has a colour of its own; every other has that of its kind, and its kind beside its number.

    Args:
        image: The stored bitmap, at any scale, grey or blue green red; None when it cannot be had.
        row: The page's row of the Parquet file. Its coordinates are scaled from its `width` and `height` to the image.
        max_width: Width of the picture at most, pixels.

    Returns:
        The picture; a grey card that says why when the page was skipped, is an error, or has no image.
    """
    if image is None or row["skipped"] or not row["ok"]:
        return _card(row, max_width)
    coloured = image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)  # noqa: PLR2004
    page = _shrunk(coloured, max_width).copy()
    lines = _outlines_by_line(row, page.shape[1], page.shape[0])
    kinds = _kinds_by_line(row)
    colours = {line: _colour(line) if kinds[line] == MAIN else KIND_COLOURS[kinds[line]] for line in lines}
    _fill(page, lines, colours)
    for line, outlines in lines.items():
        cv2.polylines(page, outlines, True, colours[line], max(1, page.shape[1] // 1200), cv2.LINE_AA)
    size = _text_size(page)
    for line, outlines in lines.items():
        label = str(line + 1) if kinds[line] == MAIN else f"{line + 1} {kinds[line]}"
        left, middle = _start(outlines)
        left -= _text_width(label, size) + 2
        _write(page, label, (max(left, 0), middle + size // 2), size, colours[line])
    _write(page, _notes(row), (size // 2, size + size // 2), size, DARK)
    return page


def contact_sheet(pages: Iterable[tuple[str, Picture]], *, name: str, total: int, width: int = 2000) -> Picture:
    """Set pages with their captions in a grid, under a title such as `W1/I1: 12 of 600 pages`.

    Args:
        pages: Caption and picture of each page; taken one by one. The first one's shape decides the columns.
        name: The volume's name.
        total: How many pages are meant to be on it.
        width: Width of the sheet, pixels.
    """
    cells: list[Picture] = []
    columns = 1
    for text, picture in pages:
        if not cells:
            columns = min(total, 2 if picture.shape[1] > WIDE_PAGE * picture.shape[0] else 4)
        cells.append(_cell(text, picture, (width - GAP) // columns))
    shown = f"{len(cells)} of {total}" if len(cells) != total else f"{total}"
    title = _blank(TITLE_HEIGHT, width)
    _write(title, f"{name}: {shown} page{'s' * (total != 1)}", (GAP, TITLE_HEIGHT - GAP), TITLE_TEXT, DARK)
    rows = [_row(cells[at : at + columns], width) for at in range(0, len(cells), columns)]
    return np.vstack([title, *rows])


def encode_jpeg(image: Picture, quality: int = 85) -> bytes:
    """Return the picture as a JPEG file."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def _line_ids(row: Mapping[str, Any]) -> Sequence[int]:
    """Return the line of each contour; where the row tells none, each contour is a line."""
    ids = row.get("line_ids")
    return range(len(row["contours"] or ())) if ids is None else ids


def _kinds_by_line(row: Mapping[str, Any]) -> dict[int, str]:
    """Return the kind of each line; files without the column have main text alone."""
    ids = _line_ids(row)
    return dict(zip(ids, map(known, row.get("line_kinds") or [MAIN] * len(ids)), strict=True))


def _outlines_by_line(row: Mapping[str, Any], width: int, height: int) -> dict[int, list[Outline]]:
    """Return the contours of each line, scaled to a picture of this size."""
    scale = np.array([width / row["width"], height / row["height"]])
    outlines: dict[int, list[Outline]] = {}
    for line, contour in zip(_line_ids(row), row["contours"] or (), strict=True):
        if not contour:
            continue
        points = np.array([(point["x"], point["y"]) for point in contour]) * scale
        outlines.setdefault(line, []).append(np.round(points).astype(np.int32))
    return outlines


def _fill(page: Picture, lines: Mapping[int, Sequence[Outline]], colours: Mapping[int, Colour]) -> None:
    """Tint the page within each line's contours."""
    tint = page.copy()
    for line, outlines in lines.items():
        for outline in outlines:
            cv2.fillPoly(tint, [outline], colours[line])
    cv2.addWeighted(tint, FILL_SHARE, page, 1 - FILL_SHARE, 0, dst=page)


def _start(outlines: Sequence[Outline]) -> tuple[int, int]:
    """Return where a line begins: between the two leftmost points of its contours."""
    points = np.concatenate(outlines)
    leftmost = points[np.argsort(points[:, 0], kind="stable")[:2]]
    return int(leftmost[0, 0]), int(leftmost[:, 1].mean())


def _notes(row: Mapping[str, Any]) -> str:
    """Return whether the page has to be rotated or flattened for reading, in words."""
    skewed = f"angle {row['rotation_angle']:.1f} degrees" if row["rotation_angle"] else ""
    curved = f"curved, {len(row['tps_points'])} points" if row["tps_points"] else ""
    return ", ".join(filter(None, [skewed, curved]))


def _card(row: Mapping[str, Any], max_width: int) -> Picture:
    """Draw a grey card in the page's shape, with what became of the page, and why."""
    height, width = (row["height"], row["width"]) if row["width"] and row["height"] else CARD_SHAPE
    shown_width = min(width, max_width)
    card = _blank(max(1, round(height * shown_width / width)), shown_width, GREY)
    size = _text_size(card)
    reason = row["error_message"] or ("" if row["skipped"] else "no picture")
    for number, text in enumerate([outcome(row), *textwrap.wrap(_ascii(reason), max(1, shown_width // size))]):
        _write(card, text, (size, 2 * size * (number + 1)), size, DARK, GREY)
    return card


def _cell(text: str, picture: Picture, width: int) -> Picture:
    """Draw a page shrunk to its place on the sheet, a gap at its left, its caption below it."""
    inner = width - GAP
    small = _shrunk(picture, min(inner, round(TALLEST * inner * picture.shape[1] / picture.shape[0])))
    cell = _blank(small.shape[0] + CAPTION_HEIGHT + GAP, width)
    cell[: small.shape[0], GAP : GAP + small.shape[1]] = small
    fitting = _shortened(text, inner)
    _write(cell, fitting, (GAP, small.shape[0] + CAPTION_HEIGHT - GAP // 2), CAPTION_TEXT, DARK)
    return cell


def _row(cells: Sequence[Picture], width: int) -> Picture:
    """Set cells side by side, on a strip as high as the highest of them."""
    strip = _blank(max(cell.shape[0] for cell in cells), width)
    left = 0
    for cell in cells:
        strip[: cell.shape[0], left : left + cell.shape[1]] = cell
        left += cell.shape[1]
    return strip


def _blank(height: int, width: int, colour: Colour = WHITE) -> Picture:
    return np.full((height, width, 3), colour, np.uint8)


def _shrunk(picture: Picture, max_width: int) -> Picture:
    """Return the picture at most `max_width` wide; a smaller one as it is."""
    height, width = picture.shape[:2]
    if width <= max_width:
        return picture
    shown = (max(1, max_width), max(1, round(height * max_width / width)))
    return np.asarray(cv2.resize(picture, shown, interpolation=cv2.INTER_AREA), np.uint8)


def _colour(line: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(line * HUE_STEP % 1, 0.9, 0.8)
    return round(255 * blue), round(255 * green), round(255 * red)


def _text_size(page: Picture) -> int:
    return max(SMALLEST_TEXT, int(max(page.shape[:2])) // TEXT_SHARE)


def _text_width(text: str, size: int) -> int:
    return int(cv2.getTextSize(_ascii(text), FONT, size / FONT_HEIGHT, max(1, size // 9))[0][0])


def _write(picture: Picture, text: str, at: tuple[int, int], size: int, colour: Colour, ground: Colour = WHITE) -> None:
    """Write a text with capitals `size` pixels high, from `at` (left, baseline), on a ground of its own."""
    text, scale, weight = _ascii(text), size / FONT_HEIGHT, max(1, size // 9)
    (width, height), below = cv2.getTextSize(text, FONT, scale, weight)
    if text:
        cv2.rectangle(picture, (at[0], at[1] - height - 1), (at[0] + width, at[1] + below // 2), ground, cv2.FILLED)
        cv2.putText(picture, text, at, FONT, scale, colour, weight, cv2.LINE_AA)


def _shortened(text: str, width: int) -> str:
    """Return the text with its middle left out where it is too long for a caption of this width."""
    needed = _text_width(text, CAPTION_TEXT)
    if needed <= width:
        return text
    kept = int(0.95 * len(text) * width / needed) - len("...")
    return f"{text[: kept - kept // 2]}...{text[len(text) - kept // 2 :]}"


def _ascii(text: str) -> str:
    """Return the text as OpenCV can draw it: letters without their accents, a question mark for any other character."""
    bare = (character for character in unicodedata.normalize("NFKD", text) if not unicodedata.combining(character))
    return "".join(character if " " <= character <= "~" else "?" for character in bare)
