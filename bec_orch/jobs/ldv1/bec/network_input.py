"""The network's contract: what it is given, and what it returns.

It is given a grey page at `PITCH` pixels from line to line, each pixel measured against its surroundings. Who trains
the network and who runs it make its input by the functions here.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Floats

Bytes: TypeAlias = NDArray[np.uint8]

STRIDE = 2
"""The maps have a pixel for so many of the input along each side."""
PITCH = STRIDE * MAP_PITCH
"""Distance between lines, in pixels, at which the network reads a page."""
BOX = 61
"""Width of the box around a pixel whose mean and deviation it is measured by: some 2.5 lines."""
SMALLEST_DEVIATION = 6.0
"""Deviation, in grey levels, that is taken at least: empty paper is not to become noise."""
LEAST_SHARE = 0.5
"""Share of the page's usual deviation that is taken at least: what shines through is not to look as dark as text."""
SAMPLED = 4
"""The usual deviation is the median over every so many-th row and column."""
MULTIPLE = 32
"""The input's sides are multiples of this."""
OUTPUTS = ("background", "main", "other", "top", "bottom", "gap")
"""The network's maps, in their order."""
CONTRACT = {
    "pitch": PITCH,
    "box": BOX,
    "smallest_deviation": SMALLEST_DEVIATION,
    "least_share": LEAST_SHARE,
    "multiple": MULTIPLE,
}
"""What the card of a network's file says of its input."""


def normalised(grey: Bytes) -> Floats:
    """Return each pixel measured against its surroundings: (value - mean) / deviation, at most 3 in size.

    Ink that is much paler than the rest of the page stays so: the box around it alone would not tell it from text.
    """
    values = grey.astype(np.float32)
    box = (BOX, BOX)
    mean = cv2.blur(values, box, borderType=cv2.BORDER_REPLICATE)
    square = cv2.blur(values * values, box, borderType=cv2.BORDER_REPLICATE)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.asarray(np.clip((values - mean) / np.maximum(deviation, _least(deviation)), -3, 3), np.float32)


def _least(deviation: Floats) -> float:
    """Return the deviation that is taken at least, from what is usual where the page is not blank."""
    sample = deviation[::SAMPLED, ::SAMPLED]
    usual = sample[sample > SMALLEST_DEVIATION]
    return max(SMALLEST_DEVIATION, LEAST_SHARE * float(np.median(usual))) if usual.size else SMALLEST_DEVIATION


def padded(grey: Bytes) -> Bytes:
    """Repeat the page's last row and column until its sides are multiples of `MULTIPLE`."""
    height, width = grey.shape
    return np.asarray(
        cv2.copyMakeBorder(grey, 0, -height % MULTIPLE, 0, -width % MULTIPLE, cv2.BORDER_REPLICATE), np.uint8
    )
