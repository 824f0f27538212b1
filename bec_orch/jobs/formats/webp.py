"""WebP (RFC 9649): chunks walked here, pixels by Pillow's libwebp. Frames of an animation are as they are shown."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.formats import exif, raster
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader, check_tail, corrupt, no_such_frame, truncated

MAX_CHUNKS = 100_000
"""A walk over them takes 50 ms. A still picture has five at most; each frame of an animation is one."""

_PIXELS = frozenset({b"ANMF", b"VP8 ", b"VP8L"})
_HEAD = 12  # RIFF, size, WEBP
_CHUNK = 8
_LOSSY_MARK = b"\x9d\x01\x2a"
_LOSSLESS_MARK = 0x2F


def probe(data: bytes, frame: int = 1) -> ImageHeader:
    """Read the size, which all frames share, and see that every chunk lies inside of the file.

    Raises:
        PageError: E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT, E_IMAGE_FRAME.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise truncated(f"The WebP is cut: it should have {end} bytes, and has {len(data)}.")
    size, frames, turned = None, 0, exif.UPRIGHT
    for kind, start, after in _chunks(data, end):
        size = size or _size(kind, data[start : start + 10])
        frames += kind in _PIXELS
        if kind == b"EXIF":
            turned = exif.orientation(data[start:after])
    if not size or not frames:
        raise corrupt("The WebP holds no picture.")
    if frame > frames:
        raise no_such_frame(frame, frames)
    return ImageHeader(ImageFormat.WEBP, *size, 4, 8, orientation=turned, frames=frames, frame=frame)


def decode(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode, and shrink to 1/`reduce`: BGR (H, W, 3).

    Raises:
        PageError: E_IMAGE_CORRUPT, E_IMAGE_TRUNCATED (it is filled up with zeros).
    """
    for kind, start, after in _chunks(data, 8 + int.from_bytes(data[4:8], "little")):
        if kind in _PIXELS:
            check_tail(data[start:after], "WebP")
    return raster.decode(data, header, reduce)


def _chunks(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of the content of each chunk."""
    at = _HEAD
    for _ in range(MAX_CHUNKS):
        if at + _CHUNK > end:
            return
        after = at + _CHUNK + int.from_bytes(data[at + 4 : at + 8], "little")
        if after > end:
            raise truncated("The WebP is cut: a chunk ends past the end of the file.")
        yield data[at : at + 4], at + _CHUNK, after
        at = after + after % 2
    raise corrupt(f"The WebP has more than {MAX_CHUNKS} chunks.")


def _size(kind: bytes, content: bytes) -> tuple[int, int] | None:
    """Read the size of the canvas, or of the picture where there is no canvas."""
    if len(content) < 5:
        return None
    if kind == b"VP8X" and len(content) == 10:
        return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
    if kind == b"VP8 " and content[3:6] == _LOSSY_MARK:
        width, height = (
            int.from_bytes(content[6:8], "little") & 0x3FFF,
            int.from_bytes(content[8:10], "little") & 0x3FFF,
        )
        return (width, height) if width and height else None
    if kind == b"VP8L" and content[0] == _LOSSLESS_MARK:
        bits = int.from_bytes(content[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
