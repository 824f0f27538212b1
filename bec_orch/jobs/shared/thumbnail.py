"""Small pictures of pages for a report."""

import cv2
import numpy as np

from bec_orch.jobs.images import DEFAULT_MAX_PIXELS, decode, probe
from bec_orch.jobs.shared.geometry import reduction

_QUALITY = 70


def thumbnail(data: bytes, *, width: int = 480, max_pixels: int = DEFAULT_MAX_PIXELS, frame: int = 1) -> bytes:
    """Make a JPEG of a picture of a file, at most `width` pixels wide and as many high; it is never enlarged.

    Raises:
        PageError: the bytes are not an image that is read.
    """
    header = probe(data, max_pixels=max_pixels, frame=frame)
    image = decode(data, header, reduce=reduction(max(header.width, header.height), width))
    scale = min(1.0, width / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    encoded = cv2.imencode(
        ".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )[1]
    return np.asarray(encoded, np.uint8).tobytes()
