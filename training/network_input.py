"""The contract of the network. It is given a grey page at `PITCH` pixels a line, each pixel against its surroundings.

This is a part of the network's contract: whoever runs it makes its input just so.
"""

import cv2
import numpy as np

from training.kinds import Bytes, Floats

PITCH = 24.0
"""Distance between lines, in pixels, at which the network reads a page."""
BOX = 61
"""Width of the box around a pixel whose mean and deviation it is measured by: some 2.5 lines."""
SMALLEST_DEVIATION = 6.0
"""Deviation, in grey levels, that is taken at least: empty paper is not to become noise."""
MULTIPLE = 32
"""The input's sides are multiples of this."""
OUTPUTS = ("background", "main", "other", "top", "bottom", "gap")
"""The network's maps, in their order."""


def normalised(grey: Bytes) -> Floats:
    """Return each pixel measured against its surroundings: (value - mean) / deviation, at most 3 in size."""
    values = grey.astype(np.float32)
    box = (BOX, BOX)
    mean = cv2.blur(values, box, borderType=cv2.BORDER_REPLICATE)
    square = cv2.blur(values * values, box, borderType=cv2.BORDER_REPLICATE)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.asarray(np.clip((values - mean) / np.maximum(deviation, SMALLEST_DEVIATION), -3, 3), np.float32)


def padded(grey: Bytes) -> Bytes:
    """Repeat the page's last row and column until its sides are multiples of `MULTIPLE`."""
    height, width = grey.shape
    return np.asarray(
        cv2.copyMakeBorder(grey, 0, -height % MULTIPLE, 0, -width % MULTIPLE, cv2.BORDER_REPLICATE), np.uint8
    )
