"""What an image's headers say, and the errors of images."""

from dataclasses import dataclass
from enum import StrEnum

from bec_orch.errors import PageError


class ImageFormat(StrEnum):
    """The formats that are read."""

    JPEG = "jpeg"
    PNG = "png"
    TIFF = "tiff"


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

    def decoding_bytes(self, reduce: int = 1) -> int:
        """Estimate the memory that decoding takes at most, bytes, with the result and all copies on the way.

        JPEGs are decoded at the reduced size (progressive ones keep 2 bytes per coefficient of the whole picture);
        PNG and TIFF are decoded whole, and converted once.
        """
        if self.format is ImageFormat.JPEG:
            kept = 2 * self.pixels * self.samples if self.progressive else 0
            return kept + self.pixels * max(3, self.samples) // reduce**2
        return 2 * self.pixels * max(1, self.samples) * max(1, self.bits // 8)


def image_error(code: str, message: str, *, hint: str = "") -> PageError:
    """Make the error of an image that cannot be decoded."""
    return PageError(message, stage="decode", code=code, hint=hint)


def truncated(message: str) -> PageError:
    """Make the error of an image file that ends too early."""
    return image_error("E_IMAGE_TRUNCATED", message, hint="Fetch or scan the page again.")


def corrupt(message: str) -> PageError:
    """Make the error of an image file whose content is damaged."""
    return image_error("E_IMAGE_CORRUPT", message, hint="Fetch or scan the page again.")
