"""How much ink a page image has, to tell an empty page from one that was missed."""

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDTH = 1000
"""Pixels to which a page is shrunk: strokes of a book's text are 2 to 4 wide then, and stay dark."""
_MARGIN = 0.05
"""Share of each side that is left out: edges of the leaf, shadows, fingers and colour cards."""
_LARGEST_STROKE = 31
"""Pixels; what is dark over a larger area (a stain, a shadow) is paper, not ink."""
_DARKER = 40
"""Grey levels by which ink is darker than the paper around it; the other side shining through is less."""


def reduction(width: int) -> int:
    """Give the factor, 1, 2, 4 or 8, by which an image may be shrunk on decoding."""
    return max(factor for factor in (1, 2, 4, 8) if factor == 1 or width // factor >= _WIDTH)


def ink_share(image: NDArray[np.uint8]) -> float:
    """Give the share (0 to 1) of a page's pixels that are ink, its margins left out.

    Args:
        image: grey (H, W) or BGR (H, W, 3), 8 bits.
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # noqa: PLR2004  (height and width)
    inner = _shrunk(_without_margins(grey))
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (_LARGEST_STROKE, _LARGEST_STROKE))
    paper = cv2.morphologyEx(inner, cv2.MORPH_CLOSE, kernel)
    return float(np.mean(cv2.subtract(paper, inner) > _DARKER))


def _without_margins(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    down, across = (int(side * _MARGIN) for side in image.shape[:2])
    return image[down : image.shape[0] - down, across : image.shape[1] - across]


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = _WIDTH / image.shape[1]
    if scale >= 1:
        return image
    size = (_WIDTH, max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
