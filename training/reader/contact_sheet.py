"""Draw composed lines beside real ones, as the network sees them, to see what tells them apart.

    python -m training.reader.contact_sheet --out FILE.png [--seed 1] [--lines 24] [--real DIR ...]

The real lines are only looked at: pictures of single lines, or of a line with parts of its neighbours.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT, fitted
from training.reader.material import composer_of
from training.shared import DATA, GROUND, SUFFIXES, Bytes, opened

WIDTH = 640
COLUMNS = 2


def real_lines(folders: list[Path], seed: int) -> Iterator[Bytes]:
    """Yield pictures of real lines in a random order, at the network's size."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    for index in np.random.default_rng(seed).permutation(len(paths)):
        yield fitted(opened(paths[index]))


def sheet(lines: Iterator[Bytes]) -> Bytes:
    """Set the beginnings of lines below each other, in columns."""
    cells = []
    for line in lines:
        cell = np.full((HEIGHT + 4, WIDTH + 4), GROUND, np.uint8)
        part = line[:, :WIDTH]
        cell[: part.shape[0], : part.shape[1]] = part
        cells.append(cell)
    rows = [np.hstack(cells[at : at + COLUMNS]) for at in range(0, len(cells) - COLUMNS + 1, COLUMNS)]
    return np.vstack(rows)


def main() -> None:
    """Draw as the command line says: composed lines in the upper half, real ones in the lower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, default=24)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--fonts", type=Path, nargs="*", default=[], help="folders with more fonts")
    parser.add_argument("--real", type=Path, nargs="*", help="folders of real lines (default: those under the data)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    composer = composer_of(options.data, options.fonts)
    drawn = (
        composer.picture(np.random.default_rng((options.seed, number)), WIDTH).grey for number in range(options.lines)
    )
    folders = options.real or [options.data / "line_images"]
    real = islice(real_lines(folders, options.seed), options.lines)
    upper, lower = sheet(drawn), sheet(real)
    band = np.full((24, upper.shape[1]), 255, np.uint8)
    cv2.putText(band, "composed above, real below", (8, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1)
    cv2.imwrite(str(options.out), np.vstack([upper, band, lower]))


if __name__ == "__main__":
    main()
