"""The input of the project's own recogniser: what a window of a page becomes before the network sees it.

The training takes these functions too, so that both see the same.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

HEIGHT = 64
"""Rows of the input: with 48, vowels and subscripts were lost."""
WIDTH_SHARE = 0.75
"""Columns are scaled by this share of the rows' factor: letters are told apart along the line with fewer pixels."""
COLUMN = 4
"""The width is a multiple of the network's stride."""
NARROWEST = 32
PAPER, INK = 80, 1
"""Percentiles of the grey levels that are taken for paper, 0, and for ink, 1."""
LEAST_CONTRAST = 24.0
"""Grey levels between them at least: noise on blank paper stays noise."""
LOWEST, HIGHEST = -0.5, 1.5


def fitted(window: Grey) -> Grey:
    """Scale a window to the input's height, and to a width that the network takes."""
    height, width = window.shape
    scaled = WIDTH_SHARE * width * HEIGHT / height
    size = max(NARROWEST, COLUMN * -(-round(scaled) // COLUMN)), HEIGHT
    interpolation = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(window, size, interpolation=interpolation), np.uint8)


def as_input(picture: Grey) -> NDArray[np.float32]:
    """Return the darkness of a picture: about 0 on its paper and 1 in its ink."""
    counts = cv2.calcHist([picture], [0], None, [256], [0, 256]).cumsum()
    ink, paper = (float(np.searchsorted(counts, share / 100 * counts[-1])) for share in (INK, PAPER))
    levels = (np.float32(paper) - np.arange(256, dtype=np.float32)) / np.float32(max(paper - ink, LEAST_CONTRAST))
    return np.asarray(cv2.LUT(picture, np.clip(levels, LOWEST, HIGHEST)), np.float32)
