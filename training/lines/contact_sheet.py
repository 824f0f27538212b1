"""Draw composed pages beside real ones, at the same size of script, to see what tells them apart.

    python -m training.lines.contact_sheet --out FILE.jpg [--seed 1] [--pages 12] [--real DIR ...] [--layout NAME ...]
        [--scale 0.5]

The real pages are only looked at; the composer takes nothing from them.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from bec_orch.jobs.ldv1.bec.network_input import PITCH
from bec_orch.jobs.ldv1.page.pitch import line_pitch
from training.lines.compose import LAYOUTS, composed
from training.lines.material import Material
from training.shared import DATA, GROUND, SUFFIXES, Bytes, opened

CELL = (640, 300)
COLUMNS = 4
QUALITY = 80


def composed_pages(material: Material, seed: int, layouts: Sequence[str]) -> Iterator[Bytes]:
    """Yield composed pages without end, of some layouts or of all."""
    number = 0
    while True:
        page = composed(seed, number, material)
        number += 1
        if not layouts or any(page.layout.startswith(layout) for layout in layouts):
            yield page.grey


def real_pages(folders: Iterable[Path], seed: int) -> Iterator[Bytes]:
    """Yield real pages in a random order, at the scale that the network sees them at."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    for index in np.random.default_rng(seed).permutation(len(paths)):
        try:
            grey = opened(paths[index])
        except OSError as error:
            print(f"left out: {paths[index]}: {error}")
            continue
        pitch = line_pitch(grey)
        if pitch:
            scale = PITCH / pitch
            yield np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def sheet(pages: Iterable[Bytes]) -> Bytes:
    """Set the upper left corners of pages side by side."""
    width, height = CELL
    cells = []
    for page in pages:
        cell = np.full((height + 4, width + 4), GROUND, np.uint8)
        part = page[:height, :width]
        cell[: part.shape[0], : part.shape[1]] = part
        cells.append(cell)
    while len(cells) % COLUMNS:
        cells.append(np.full((height + 4, width + 4), GROUND, np.uint8))
    return np.vstack([np.hstack(cells[at : at + COLUMNS]) for at in range(0, len(cells), COLUMNS)])


def main() -> None:
    """Draw as the command line says: composed pages in the upper half, others in the lower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pages", type=int, default=12)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--real", type=Path, nargs="*", help="folders of other pages (default: the real ones of the data)"
    )
    parser.add_argument("--layout", nargs="*", default=[], choices=[*LAYOUTS])
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the picture's size")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    folders = options.real or [options.data / name for name in ("pages_gt", "pages_more", "volumes")]
    drawn = islice(composed_pages(Material.of(options.data), options.seed, options.layout), options.pages)
    real = islice(real_pages(folders, options.seed), options.pages)
    upper, lower = sheet(drawn), sheet(real)
    band = np.full((24, upper.shape[1]), 255, np.uint8)
    cv2.putText(band, "composed above, other pages below", (8, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1)
    whole = cv2.resize(
        np.vstack([upper, band, lower]), None, fx=options.scale, fy=options.scale, interpolation=cv2.INTER_AREA
    )
    cv2.imwrite(str(options.out), whole, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
