"""How much ink a page image has, to distinguish an empty page from one that was missed.

Ink is what the black top-hat transform leaves (Serra, Image Analysis and Mathematical Morphology, 1982): the closing of
the page, which is its paper, less the page.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.shared.geometry import in_grey

WIDTH = 1000
"""Pixels to which a page is shrunk: strokes of a book's text are 2 to 4 wide then, and stay dark."""
_MARGIN = 0.05
"""Share of each side that is left out: edges of the leaf, shadows, fingers and colour cards."""
_LARGEST_STROKE = 31
"""Pixels; what is dark over a larger area (a stain, a shadow) is paper, not ink."""
_DARKER = 40
"""Grey levels by which ink is darker than the paper around it; the other side shining through is less."""


def ink_share(image: NDArray[np.uint8]) -> float:
    """Return the share (0 to 1) of a page's pixels that are ink, its margins left out.

    Args:
        image: grey (H, W) or BGR (H, W, 3), 8 bits.
    """
    inner = _shrunk(_without_margins(in_grey(image)))
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (_LARGEST_STROKE, _LARGEST_STROKE))
    paper = cv2.morphologyEx(inner, cv2.MORPH_CLOSE, kernel)
    return float(np.mean(cv2.subtract(paper, inner) > _DARKER))


def _without_margins(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    down, across = (int(side * _MARGIN) for side in image.shape[:2])
    return image[down : image.shape[0] - down, across : image.shape[1] - across]


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = WIDTH / image.shape[1]
    if scale >= 1:
        return image
    size = (WIDTH, max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
