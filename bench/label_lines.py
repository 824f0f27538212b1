"""Label the lines of a page by hand: propose them from its ink, and draw what is labelled so that an eye can judge it.

    python -m bench.label_lines propose PAGE KIND:LINES:X0,Y0,X1,Y1[,DROP[,SAG]][:COLUMN] ... [--turn 270] [--bends 1]
    python -m bench.label_lines draw PAGE OUT.png [--box X0,Y0,X1,Y1] [--width 1500]

The eye says where a block of lines lies, how many they are and of what kind; `propose` prints rows for `<set>.tsv`,
which are then corrected by hand. `draw` shows a labelled page, or a part of it, with a scale in pixels of the stored
bitmap. `--turn` is for pages that lie: the boxes are then those of the page turned so many degrees to the left.
"""

import argparse
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image

from bench.ink_lines import CONTRAST, Block, proposed
from bench.labelled import LINE_COLUMNS, LabelledLine, Points, digest, line_row, read_pages
from training.lines.kinds import Kind
from training.shared import Bytes

Box: TypeAlias = tuple[int, int, int, int]

SCALE_STEP = 70
"""Lines of the scale stand more than so many pixels apart."""
COLOURS = {
    Kind.MAIN: (220, 0, 0),
    Kind.RUNNING: (0, 80, 255),
    Kind.MARGIN: (0, 150, 0),
    Kind.NOTE: (200, 0, 200),
    Kind.OTHER: (230, 120, 0),
}


def opened(path: Path) -> Image.Image:
    """Open the stored bitmap, whatever an EXIF orientation says."""
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        return image.convert("RGB") if image.mode in {"CMYK", "P"} else image.copy()


def block_of(text: str, *, bends: int, contrast: int) -> Block:
    """Read a block as the command line has it."""
    kind, count, box, *column = text.split(":")
    left, top, right, bottom, *bent = (int(value) for value in box.split(","))
    drop, sag, *_ = *bent, 0, 0
    return Block(
        Kind(kind),
        int(count),
        (left, top, right, bottom),
        int(column[0]) if column else 1,
        bends=bends,
        drop=drop,
        sag=sag,
        contrast=contrast,
    )


def drawn(image: Image.Image, lines: tuple[LabelledLine, ...], box: Box, width: int) -> Bytes:
    """Draw a part of a page, its lines (number, centre, and height at both ends) and a scale of the stored pixels."""
    left, top, right, bottom = box
    scale = width / (right - left)
    size = width, max(1, round((bottom - top) * scale))
    part = image.crop(box).convert("RGB").resize(size, Image.Resampling.LANCZOS if scale > 1 else Image.Resampling.BOX)
    picture = np.asarray(part, np.uint8).copy()
    _rule(picture, box, scale)
    for number, line in enumerate(lines, 1):
        points = (line.points - (left, top)) * scale
        _stroke(picture, points, COLOURS[line.kind], line.height * scale / 2, str(number))
    return picture


def _rule(picture: Bytes, box: Box, scale: float) -> None:
    step = next(step for step in (10, 20, 50, 100, 200, 500, 1000) if step * scale > SCALE_STEP)
    for axis, (low, high) in enumerate(((box[0], box[2]), (box[1], box[3]))):
        for value in range(-(-low // step) * step, high, step):
            at = round((value - low) * scale)
            line = [(at, 0), (at, picture.shape[0])] if axis == 0 else [(0, at), (picture.shape[1], at)]
            overlay = picture.copy()
            cv2.line(overlay, line[0], line[1], (0, 160, 160), 1)
            cv2.addWeighted(overlay, 0.25, picture, 0.75, 0, picture)
            place = (at + 2, 10) if axis == 0 else (1, at - 2)
            cv2.putText(picture, str(value), place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, (0, 110, 110), 1, cv2.LINE_AA)


def _stroke(picture: Bytes, points: Points, colour: tuple[int, int, int], half: float, number: str) -> None:
    path = np.round(points).astype(np.int32)
    cv2.polylines(picture, [path], isClosed=False, color=colour, thickness=1, lineType=cv2.LINE_AA)
    for end, other in ((0, 1), (-1, -2)):
        along = points[end] - points[other]
        across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6) * half
        ends = np.round([points[end] - across, points[end] + across]).astype(int)
        cv2.line(picture, tuple(map(int, ends[0])), tuple(map(int, ends[1])), colour, 2, cv2.LINE_AA)
    place = int(path[0, 0]) - 8 * len(number) - 4, int(path[0, 1]) + 5
    cv2.putText(picture, number, (max(0, place[0]), place[1]), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


def propose(options: argparse.Namespace) -> None:
    """Print the rows of the blocks' lines."""
    grey = np.asarray(opened(options.page).convert("L"), np.uint8)
    sha256 = digest(options.page)
    print(*LINE_COLUMNS, sep="\t")
    for text in options.blocks:
        block = block_of(text, bends=options.bends, contrast=options.contrast)
        for line in proposed(grey, block, options.turn):
            print(*line_row(sha256, line), sep="\t")


def draw(options: argparse.Namespace) -> None:
    """Draw a labelled page into a file."""
    sha256 = digest(options.page)
    lines = next((page.lines for page in read_pages() if page.sha256 == sha256), ())
    image = opened(options.page)
    left, top, right, bottom = map(int, options.box.split(",")) if options.box else (0, 0, *image.size)
    picture = drawn(image, lines, (left, top, right, bottom), options.width)
    Image.fromarray(picture).save(options.out)


def main() -> None:
    """Propose or draw as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    _add_propose(commands)
    _add_draw(commands)
    options = parser.parse_args()
    options.run(options)


def _add_propose(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    proposing = commands.add_parser("propose")
    proposing.add_argument("page", type=Path)
    proposing.add_argument("blocks", nargs="+")
    proposing.add_argument("--turn", type=int, default=0, choices=(0, 90, 180, 270))
    proposing.add_argument("--bends", type=int, default=3, choices=(1, 2, 3), help="1: straight rows")
    proposing.add_argument("--contrast", type=int, default=CONTRAST, help="of ink: more on thin paper")
    proposing.set_defaults(run=propose)


def _add_draw(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    drawing = commands.add_parser("draw")
    drawing.add_argument("page", type=Path)
    drawing.add_argument("out", type=Path)
    drawing.add_argument("--box", help="a part of the page, in pixels of the stored bitmap")
    drawing.add_argument("--width", type=int, default=1500, help="of the picture")
    drawing.set_defaults(run=draw)


if __name__ == "__main__":
    main()
