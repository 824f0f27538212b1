"""The decoder of each format. What is called here is code in C that reads hostile bytes: only decoder processes do."""

from bec_orch.jobs.formats import bmp, gif, heif, jpeg, jpeg2000, png, tiff, webp
from bec_orch.jobs.formats.header import Decoded, ImageFormat, ImageHeader

_DECODERS = {
    ImageFormat.PNG: png.decode,
    ImageFormat.TIFF: tiff.decode,
    ImageFormat.JPEG2000: jpeg2000.decode,
    ImageFormat.WEBP: webp.decode,
    ImageFormat.GIF: gif.decode,
    ImageFormat.BMP: bmp.decode,
    ImageFormat.AVIF: heif.decode,
    ImageFormat.HEIF: heif.decode,
}


def decode(data: bytes, header: ImageHeader, reduce: int) -> Decoded:
    """Decode a probed image, shrunk to 1/`reduce` (1, 2, 4 or 8): grey (H, W) or BGR (H, W, 3), 8 bits.

    Raises:
        PageError: stage `decode`; E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT, E_IMAGE_FORMAT.
    """
    if header.format is ImageFormat.JPEG:
        return jpeg.decode(data, header, reduce)
    return Decoded(_DECODERS[header.format](data, header, reduce))
