"""Show lines whose text was read by eye, large enough to read them again, each with its text below.

    python -m bench.label_texts PICTURE OUT.png [--lines 3,4] [--data DIR] [--font FILE]

`PICTURE` is a path below the folder of data, as in `bench/truth/texts.tsv`. Lines are cut along their labelled centre
lines, scaled to one height of the letters, and parted where they are wider than the sheet; parts overlap.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.label_lines import opened
from bench.labelled import LabelledLine, Points, read_pages, read_texts
from samples.draw_samples import DEBIAN_FONT

Grey = NDArray[np.uint8]

LETTERS = 52
"""Height of a line's letters on the sheet, pixels."""
BEYOND, SIDE = 0.4, 0.5
"""What is shown above and below a line, and beside it, in terms of its height."""
SHEET, OVERLAP = 1500, 130
TEXT_SIZE, RIM = 34, 8


def strip(page: Grey, line: LabelledLine, letters: float = LETTERS, beyond: float = BEYOND) -> Grey:
    """Cut a line along its centre line, so that it is level and straight.

    Args:
        page: the stored bitmap, grey.
        line: which line of it.
        letters: the height that the line's letters get, pixels.
        beyond: what is cut above and below it, in terms of its height.
    """
    scale = letters / line.height
    centre = _along(line.points, SIDE * line.height, 1 / scale)
    across = _across(centre, round(3 * letters))
    offsets = np.arange(round(letters * (1 + 2 * beyond)), dtype=np.float64)
    offsets = (offsets - offsets.mean()) / scale
    places = (centre[None] + across[None] * offsets[:, None, None]).astype(np.float32)
    if scale < 1:
        page = np.asarray(cv2.blur(page, (round(1 / scale), round(1 / scale))), np.uint8)
    cut = cv2.remap(page, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)


def _along(points: Points, side: float, step: float) -> Points:
    """Return points along a line at equal steps, some way beyond both of its ends."""
    ends = points[[0, -1]] - points[[1, -2]]
    ends = points[[0, -1]] + side * ends / np.linalg.norm(ends, axis=1, keepdims=True)
    points = np.vstack([ends[:1], points, ends[1:]])
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.arange(0, lengths[-1], step)
    return np.column_stack([np.interp(at, lengths, points[:, axis]) for axis in (0, 1)])


def _across(centre: Points, smooth: int) -> Points:
    """Return the directions (n, 2) across a line, from above to below, where it stands upright."""
    smooth = min(smooth, len(centre) - 1) | 1
    steps = np.pad(np.diff(centre, axis=0), ((smooth // 2 + 1, smooth // 2), (0, 0)), "edge")
    kernel = np.full(smooth, 1 / smooth)
    along = np.column_stack([np.convolve(steps[:, axis], kernel, "valid") for axis in (0, 1)])[: len(centre)]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return np.column_stack([-along[:, 1], along[:, 0]])


def parts(picture: Grey, width: int = SHEET - 2 * RIM, overlap: int = OVERLAP) -> Iterator[Grey]:
    """Yield the parts of a line that is wider than a sheet."""
    whole = picture.shape[1]
    count = max(1, -(-(whole - overlap) // (width - overlap)))
    step = (whole - overlap) / count
    for part in range(count):
        yield picture[:, round(part * step) : round((part + 1) * step) + overlap]


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int = SHEET - 2 * RIM) -> list[str]:
    """Part a text into lines that are no wider than a sheet, behind tshegs and spaces."""
    lines = [""]
    for syllable in re.findall(r"[^་ ]*[་ ]*", text):
        if lines[-1] and font.getlength(lines[-1] + syllable) > width:
            lines.append("")
        lines[-1] += syllable
    return lines


def sheet(rows: list[Grey | str], font: ImageFont.FreeTypeFont) -> Image.Image:
    """Set pictures and texts below each other."""
    heights = [TEXT_SIZE * 2 if isinstance(row, str) else len(row) + RIM for row in rows]
    image = Image.new("L", (SHEET, sum(heights) + RIM), 255)
    canvas, top = ImageDraw.Draw(image), RIM
    for row, height in zip(rows, heights, strict=True):
        if isinstance(row, str):
            canvas.text((RIM, top), row, fill=0, font=font)
        else:
            image.paste(Image.fromarray(row), (RIM, top))
        top += height
    return image


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("out", type=Path)
    parser.add_argument("--lines", help="numbers of lines, such as 3,4; without it all whose text was read")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--font", type=Path, default=DEBIAN_FONT, help="of the texts below the lines")
    options = parser.parse_args()
    wanted = {int(number) for number in options.lines.split(",")} if options.lines else None
    page = np.asarray(opened(options.data / options.picture).convert("L"), np.uint8)
    labelled = next((each.lines for each in read_pages() if each.page == options.picture), ())
    font = ImageFont.truetype(options.font, TEXT_SIZE, layout_engine=ImageFont.Layout.RAQM)
    rows: list[Grey | str] = []
    for text in read_texts():
        if text.picture == options.picture and (wanted is None or text.line in wanted):
            rows += parts(strip(page, labelled[text.line - 1]) if text.line else page)
            rows += wrapped(f"{text.line}  {text.text}", font)
    sheet(rows, font).save(options.out)


if __name__ == "__main__":
    main()
