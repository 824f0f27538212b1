"""The decoder of each format. What is called here is code in C that reads hostile bytes: only decoder processes do."""

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.formats import jpeg, png, tiff
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader

_DECODERS = {ImageFormat.JPEG: jpeg.decode, ImageFormat.PNG: png.decode, ImageFormat.TIFF: tiff.decode}


def decode(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode a probed image, shrunk to 1/`reduce` (1, 2, 4 or 8): grey (H, W) or BGR (H, W, 3), 8 bits.

    Raises:
        PageError: stage `decode`; E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT, E_IMAGE_FORMAT.
    """
    return _DECODERS[header.format](data, header, reduce)
