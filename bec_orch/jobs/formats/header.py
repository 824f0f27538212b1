"""What an image's headers say, and the errors of images."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bec_orch.errors import PageError


class ImageFormat(StrEnum):
    """The formats that are read."""

    JPEG = "jpeg"
    PNG = "png"
    TIFF = "tiff"
    JPEG2000 = "jpeg2000"
    WEBP = "webp"
    GIF = "gif"
    BMP = "bmp"
    AVIF = "avif"
    HEIF = "heif"


# Bytes per pixel at the peak of decoding, by samples, rounded up; measured as resident memory on 6000 x 6000 pixels.
_JPEG_BYTES = {1: 1, 3: 3, 4: 16}
# PNG and TIFF: as it is, and reduced.
_RASTER_BYTES = {1: (5, 3), 2: (13, 13), 3: (12, 6), 4: (16, 15)}
_DEEP_RASTER_BYTES = {**_RASTER_BYTES, 1: (7, 7)}
_DEEP = 16
# JPEG 2000: 32-bit numbers for each sample, and copies of them.
_JPEG2000_BYTES = {1: 20, 2: 28, 3: 32, 4: 40}
_JPEG2000_BLOCKS = 2  # what is kept of blocks that are passed over
# These are drawn on canvases of their own, with alpha.
_CANVAS_BYTES = 20
_TAIL = 256  # no compressor writes so many zeros at an end
_CANVAS = frozenset({ImageFormat.WEBP, ImageFormat.GIF, ImageFormat.AVIF, ImageFormat.HEIF})
_GREY_WITH_ALPHA = 2


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the headers say of the stored bitmap.

    Attributes:
        format: the format by the file's first bytes.
        width: width in pixels.
        height: height in pixels.
        samples: samples of one pixel (1 grey, 2 with alpha, 3 colour or palette, 4 with alpha or CMYK).
        bits: bits of one sample.
        progressive: a JPEG whose coefficients are held in memory as a whole while it is decoded.
        orientation: how the picture is meant to be shown, by EXIF's numbers (1 to 8; 1: as stored).
        frames: pictures in the file.
        frame: which of them this header is of, from 1.
    """

    format: ImageFormat
    width: int
    height: int
    samples: int
    bits: int
    progressive: bool = False
    orientation: int = 1
    frames: int = 1
    frame: int = 1

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def decoded_bytes(self, reduce: int = 1) -> int:
        """Return how many bytes the pixels take once they are decoded to grey or BGR at 1/`reduce` of the size."""
        return -(-self.width // reduce) * -(-self.height // reduce) * self._channels

    @property
    def _channels(self) -> int:
        return 1 if self.samples <= _GREY_WITH_ALPHA else 3

    def decoding_bytes(self, reduce: int = 1) -> int:
        """Estimate the memory that decoding takes at most, bytes, with the result and all copies on the way.

        The pixels are there twice at the end: in the memory that is shared with the decoder process, and as the result.
        JPEG and JPEG 2000 are decoded at the reduced size (progressive JPEGs keep 2 bytes per coefficient of the whole
        picture); the others are decoded whole, and reduced then.
        """
        if self.format is ImageFormat.JPEG:
            kept = 2 * self.pixels * self.samples if self.progressive else 0
            return kept + self.pixels * (_JPEG_BYTES[self.samples] + self._channels) // reduce**2
        if self.format is ImageFormat.JPEG2000:
            values = self.pixels * _JPEG2000_BYTES[min(self.samples, 4)] // reduce**2
            return values + _JPEG2000_BLOCKS * self.pixels + self.decoded_bytes(reduce)
        if self.format in _CANVAS:
            return self.pixels * _CANVAS_BYTES + self.decoded_bytes(reduce)
        whole, reduced = _RASTER_BYTES[self.samples] if self.bits < _DEEP else _DEEP_RASTER_BYTES[self.samples]
        return self.pixels * (whole if reduce == 1 else reduced) + self.decoded_bytes(reduce)


class Decoded(NamedTuple):
    """A picture in 8 bits, grey (H, W) or BGR (H, W, 3), and what was assumed to make it of its file ("": nothing)."""

    pixels: NDArray[np.uint8]
    assumed: str = ""


def check_tail(content: bytes, what: str) -> None:
    """See that compressed pixels do not end in zeros, as those of a file do that was cut and filled up.

    Raises:
        PageError: E_IMAGE_TRUNCATED.
    """
    written = len(content.rstrip(b"\0"))
    if len(content) - written > _TAIL:
        raise truncated(f"The {what} is cut: zeros stand from byte {written} of its pixels to their end.")


def image_error(code: str, message: str, *, hint: str = "") -> PageError:
    """Return the error of an image that cannot be decoded."""
    return PageError(message, stage="decode", code=code, hint=hint)


def no_such_frame(frame: int, frames: int) -> PageError:
    """Return the error of a picture that a file does not have."""
    return image_error(
        "E_IMAGE_FRAME",
        f"The file has no picture {frame}: it has {frames}.",
        hint="It was changed: do the volume again.",
    )


def truncated(message: str) -> PageError:
    """Return the error of an image file that ends too early."""
    return image_error("E_IMAGE_TRUNCATED", message, hint="Fetch or scan the page again.")


def corrupt(message: str) -> PageError:
    """Return the error of an image file whose content is damaged."""
    return image_error("E_IMAGE_CORRUPT", message, hint="Fetch or scan the page again.")
