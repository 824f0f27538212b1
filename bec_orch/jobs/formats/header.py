"""What an image's headers say, and the errors of images."""

from dataclasses import dataclass
from enum import StrEnum

from bec_orch.errors import PageError


class ImageFormat(StrEnum):
    """The formats that are read."""

    JPEG = "jpeg"
    PNG = "png"
    TIFF = "tiff"


# Bytes per pixel at the peak of decoding, by samples, rounded up; measured as resident memory on 6000 x 6000 pixels.
_JPEG_BYTES = {1: 1, 3: 3, 4: 16}
# PNG and TIFF: as it is, and reduced.
_RASTER_BYTES = {1: (5, 3), 2: (13, 13), 3: (12, 6), 4: (16, 15)}
_DEEP_RASTER_BYTES = {**_RASTER_BYTES, 1: (7, 7)}
_DEEP = 16
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
    """

    format: ImageFormat
    width: int
    height: int
    samples: int
    bits: int
    progressive: bool = False

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def decoded_bytes(self, reduce: int = 1) -> int:
        """Tell how many bytes the pixels take once they are decoded to grey or BGR at 1/`reduce` of the size."""
        return -(-self.width // reduce) * -(-self.height // reduce) * self._channels

    @property
    def _channels(self) -> int:
        return 1 if self.samples <= _GREY_WITH_ALPHA else 3

    def decoding_bytes(self, reduce: int = 1) -> int:
        """Estimate the memory that decoding takes at most, bytes, with the result and all copies on the way.

        The pixels are there twice at the end: in the memory that is shared with the decoder process, and as the result.
        JPEGs are decoded at the reduced size (progressive ones keep 2 bytes per coefficient of the whole picture);
        PNG and TIFF are decoded whole, and reduced then.
        """
        if self.format is ImageFormat.JPEG:
            kept = 2 * self.pixels * self.samples if self.progressive else 0
            return kept + self.pixels * (_JPEG_BYTES[self.samples] + self._channels) // reduce**2
        whole, reduced = _RASTER_BYTES[self.samples] if self.bits < _DEEP else _DEEP_RASTER_BYTES[self.samples]
        return self.pixels * (whole if reduce == 1 else reduced) + self.decoded_bytes(reduce)


def image_error(code: str, message: str, *, hint: str = "") -> PageError:
    """Make the error of an image that cannot be decoded."""
    return PageError(message, stage="decode", code=code, hint=hint)


def truncated(message: str) -> PageError:
    """Make the error of an image file that ends too early."""
    return image_error("E_IMAGE_TRUNCATED", message, hint="Fetch or scan the page again.")


def corrupt(message: str) -> PageError:
    """Make the error of an image file whose content is damaged."""
    return image_error("E_IMAGE_CORRUPT", message, hint="Fetch or scan the page again.")
