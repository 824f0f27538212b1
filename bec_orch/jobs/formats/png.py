"""PNG (W3C PNG, third edition): chunks walked and summed here, pixels by Pillow.

Only the chunks that make the picture reach the decoder, so that texts, profiles and animations cost nothing.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.formats import exif, raster
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader, corrupt, truncated

MAX_CHUNKS = 100_000
"""A walk over them takes 50 ms. Writers make chunks of 8 KiB and more, so that files of 800 MB stay below."""

_SIGNATURE_LENGTH = 8
_FRAME = 12  # length, type and checksum around a chunk's content
_IHDR_LENGTH = 13
_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type, palettes counted as the colours that they stand for
_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_LARGEST = 2**31 - 1


def probe(data: bytes) -> ImageHeader:
    """Read IHDR, and see that every chunk up to IEND lies inside of the file.

    Raises:
        PageError: E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT.
    """
    chunks = _chunks(data)
    name, start, end = next(chunks, (b"", 0, 0))
    if name != b"IHDR" or end - start != _IHDR_LENGTH + _FRAME:
        raise truncated("The PNG is cut in its header.") if len(data) < 33 else corrupt("The PNG has no header.")
    turned = exif.UPRIGHT
    for name, start, end in islice(chunks, MAX_CHUNKS):
        if name == b"eXIf":
            turned = exif.orientation(data[start + 8 : end - 4])
    if next(chunks, None):
        raise corrupt(f"The PNG has more than {MAX_CHUNKS} chunks.")
    if name != b"IEND":
        raise truncated("The PNG is cut: it has no IEND chunk.")
    width, height, bits, colour_type = struct.unpack_from(">IIBB", data, _SIGNATURE_LENGTH + 8)
    if not 0 < width <= _LARGEST or not 0 < height <= _LARGEST or colour_type not in _SAMPLES:
        raise corrupt(f"The PNG's header says {width} x {height} pixels of colour type {colour_type}.")
    return ImageHeader(ImageFormat.PNG, width, height, _SAMPLES[colour_type], bits, orientation=turned)


def decode(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode, and shrink to 1/`reduce`: grey (H, W) or BGR (H, W, 3).

    Raises:
        PageError: E_IMAGE_CORRUPT when a checksum does not hold, or the picture ends too early.
    """
    picture = [data[start:end] for name, start, end in _chunks(data) if name in _PICTURE]
    for chunk in picture:
        if zlib.crc32(memoryview(chunk)[4:-4]) != int.from_bytes(chunk[-4:]):
            raise corrupt(f"The PNG is damaged: the checksum of a {chunk[4:8].decode()} chunk does not hold.")
    return raster.decode(data[:_SIGNATURE_LENGTH] + b"".join(picture), header, reduce)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each chunk that is whole, up to IEND."""
    start = _SIGNATURE_LENGTH
    name = b""
    while name != b"IEND" and start + _FRAME <= len(data):
        end = start + _FRAME + int.from_bytes(data[start : start + 4])
        if end > len(data):
            return
        name = data[start + 4 : start + 8]
        yield name, start, end
        start = end
