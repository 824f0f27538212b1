"""Page images: told apart by their first bytes, decoded when whole and sound.

    header = probe(data)                     # reads headers only, refuses what must not be decoded
    image = decode(data, header, reduce=2)   # grey (H, W) or BGR (H, W, 3), 8 bits

The allow-list is JPEG, PNG, TIFF, JPEG 2000, WebP, GIF, BMP, AVIF, and with an extra HEIC. A page that is cut or
damaged is never returned as an array, not even in part.
Coordinates are those of the stored bitmap: its orientation is read into the header, and no pixel is rotated.
"""

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.first_bytes import READ, looks_like, picture_format
from bec_orch.errors import PageError
from bec_orch.jobs.decoders.pool import DecoderPool
from bec_orch.jobs.formats import bmp, gif, heif, jpeg, jpeg2000, png, tiff, webp
from bec_orch.jobs.formats.header import Decoded, ImageFormat, ImageHeader, image_error, no_such_frame

REDUCTIONS = (1, 2, 4, 8)
DEFAULT_MAX_PIXELS = 200_000_000

_PARSERS = {
    ImageFormat.JPEG: jpeg.probe,
    ImageFormat.PNG: png.probe,
    ImageFormat.TIFF: tiff.probe,
    ImageFormat.JPEG2000: jpeg2000.probe,
    ImageFormat.WEBP: webp.probe,
    ImageFormat.GIF: gif.probe,
    ImageFormat.BMP: bmp.probe,
    ImageFormat.HEIF: heif.probe,
}
_FRAME_PARSERS = {ImageFormat.TIFF: tiff.probe, ImageFormat.GIF: gif.probe, ImageFormat.WEBP: webp.probe}
_pool = DecoderPool()

_REFUSED = (
    (b"8BPS", "PSD"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"AT&TFORM", "DjVu"),
)
_PDF = b"%pdf-"


def probe(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS, frame: int = 1) -> ImageHeader:
    """Read an image's headers; no pixel is decoded. Of a file of several pictures, `frame` says which, from 1.

    Raises:
        PageError: stage `decode`; E_IMAGE_EMPTY, E_IMAGE_NOT_IMAGE, E_IMAGE_FORMAT (a kind of image that is not
            read), E_IMAGE_TOO_LARGE (more than `max_pixels`), E_IMAGE_MULTIPAGE, E_IMAGE_FRAME, E_IMAGE_TRUNCATED,
            E_IMAGE_CORRUPT.
    """
    header = _probe(data, frame)
    if header.pixels > max_pixels:
        raise image_error(
            "E_IMAGE_TOO_LARGE",
            f"The image has {header.width} x {header.height} pixels, more than the {max_pixels} that are allowed.",
            hint="Shrink the image, or raise max_image_pixels.",
        )
    return header


def _probe(data: bytes, frame: int) -> ImageHeader:
    image_format = _format_of(data)
    if frame == 1:
        return _PARSERS[image_format](data)
    if image_format not in _FRAME_PARSERS:
        raise no_such_frame(frame, 1)
    return _FRAME_PARSERS[image_format](data, frame)


def decode(data: bytes, header: ImageHeader, *, reduce: int = 1) -> NDArray[np.uint8]:
    """Decode a probed image, shrunk to 1/`reduce` (1, 2, 4 or 8) of its size, sides rounded up.

    JPEGs are shrunk while they are decoded, the others by the mean over squares. Transparency is composited on white.

    Returns:
        Grey (H, W) or BGR (H, W, 3), contiguous, 8 bits.

    A child process does the work, because a hostile page may take it down; see `DecoderPool`. Any thread may call this.

    Raises:
        PageError: stage `decode`; E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT, E_IMAGE_FORMAT, E_PAGE_CRASH, E_PAGE_MEMORY; or
            stage `time`; E_PAGE_TIMEOUT.
        RetryableError: no decoder process can be had, or several pages in a row ended theirs.
    """
    return read(data, header, reduce=reduce).pixels


def read(data: bytes, header: ImageHeader, *, reduce: int = 1) -> Decoded:
    """Do what `decode` does, and say what had to be assumed: how a CMYK JPEG without Adobe's marker is stored."""
    if reduce not in REDUCTIONS:
        raise ValueError(f"reduce is {reduce}, not one of {REDUCTIONS}")
    return _pool.decode(data, header, reduce)


def _format_of(data: bytes) -> ImageFormat:
    if not data:
        raise image_error("E_IMAGE_EMPTY", "The image file is empty.")
    found = picture_format(data)
    if found is None:
        raise _not_allowed(data)
    return ImageFormat(found)  # an AVIF has the boxes of HEIF, and is told apart by its brands


def _not_allowed(data: bytes) -> PageError:
    kind = _refused_kind(data)
    if kind:
        return image_error(
            "E_IMAGE_FORMAT", f"The file is {kind}, which is not read.", hint="Convert it to JPEG, PNG or TIFF."
        )
    hint = "Make an image of each of its pages." if data.lstrip()[:5].lower() == _PDF else ""
    return image_error("E_IMAGE_NOT_IMAGE", f"The file is not an image: {looks_like(data)}.", hint=hint)


def _refused_kind(data: bytes) -> str | None:
    for magic, kind in _REFUSED:
        if data.startswith(magic):
            return kind
    if b"<svg" in data[:READ].lower():
        return "SVG"
    return None
