"""BMP (Windows bitmap, versions 2 to 5): the header read here, pixels by Pillow. Only plain pixels are read."""

import struct

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.formats import raster
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader, corrupt, image_error, truncated

_OLD_HEADER, _LEAST_HEADER = 12, 40
_DEPTHS = frozenset({1, 4, 8, 16, 24, 32})
_PLAIN = frozenset({0, 3, 6})  # as they are, or parted by masks of bits
_ALPHA = 32


def probe(data: bytes) -> ImageHeader:
    """Read the header.

    Raises:
        PageError: E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT, E_IMAGE_FORMAT (compressed).
    """
    width, height, bits, compression = _facts(data)
    if compression not in _PLAIN or bits not in _DEPTHS:
        what = f"The BMP has {bits} bits per pixel and compression {compression}, which is not read."
        raise image_error("E_IMAGE_FORMAT", what, hint="Convert it to PNG or TIFF.")
    if width <= 0 or not height:
        raise corrupt(f"The BMP's header says {width} x {abs(height)} pixels.")
    return ImageHeader(ImageFormat.BMP, width, abs(height), 4 if bits == _ALPHA else 3, 8)


def decode(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode, and shrink to 1/`reduce`: grey (H, W) or BGR (H, W, 3).

    Raises:
        PageError: E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT.
    """
    _, _, bits, _ = _facts(data)
    row = -(-header.width * bits // 32) * 4
    end = int.from_bytes(data[10:14], "little") + row * header.height
    if end > len(data):
        raise truncated(f"The BMP is cut: its pixels end at byte {end}, the file at byte {len(data)}.")
    return raster.decode(data, header, reduce)


def _facts(data: bytes) -> tuple[int, int, int, int]:
    """Read (width, height, bits of a pixel, compression); the height is negative where the first row is the top."""
    size = int.from_bytes(data[14:18], "little")
    if len(data) < 14 + max(size, _OLD_HEADER):
        raise truncated("The BMP is cut in its header.")
    if size == _OLD_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return width, height, bits, 0
    if size < _LEAST_HEADER:
        raise corrupt(f"The BMP has a header of {size} bytes.")
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    return width, height, bits, compression
