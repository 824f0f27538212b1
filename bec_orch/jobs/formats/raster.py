"""Pixels by Pillow: decoded whole, made grey or BGR of 8 bits, and shrunk by the mean over squares.

Pillow, because it reports most damage where OpenCV returns a torn picture, and is faster on bitonal TIFF (14 against
29 ms for 8100 x 1500 pixels).
"""

import io
import struct
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bec_orch.core.wording import said
from bec_orch.errors import PageError
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader, corrupt, image_error

# Pixels were counted when the header was read, against this program's own limit.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of odd metadata, which says nothing about the pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")

# A page of a TIFF is handed over as the only one.
_ANIMATED = frozenset({ImageFormat.GIF, ImageFormat.WEBP})
_DEEP_GREY_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
# Pillow's plug-ins have no common error for bad data: these are what they raise for it.
_PILLOW_ERRORS = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, OverflowError, RuntimeError, EOFError),
    struct.error,
)
_COLOUR_MODES = frozenset({"RGBX", "CMYK", "YCbCr", "P"})
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})


def decode(data: bytes, header: ImageHeader, reduce: int, *, inverted: bool = False) -> NDArray[np.uint8]:
    """Decode a file of one of the formats that Pillow knows, shrunk to 1/`reduce`: grey (H, W) or BGR (H, W, 3).

    Args:
        data: the file.
        header: what was read from its headers, already found allowed.
        reduce: 1, 2, 4 or 8.
        inverted: 16-bit grey is stored as ink, not light.

    Raises:
        PageError: E_IMAGE_CORRUPT, E_IMAGE_FORMAT.
    """
    return finished(opened(data, header), header, reduce, inverted=inverted)


def finished(image: Image.Image, header: ImageHeader, reduce: int, *, inverted: bool = False) -> NDArray[np.uint8]:
    """Do what `decode` does with a picture that is opened.

    Raises:
        PageError: E_IMAGE_CORRUPT, E_IMAGE_FORMAT.
    """
    if image.size != (header.width, header.height):
        raise corrupt(f"The image came out as {image.size}, its header says {header.width} x {header.height}.")
    return shrunk(flattened(image, inverted=inverted), reduce)


def shrunk(image: Image.Image, reduce: int) -> NDArray[np.uint8]:
    """Return a picture of mode L or RGB at 1/`reduce` of its size, as grey (H, W) or BGR (H, W, 3)."""
    small = image.reduce(reduce) if reduce > 1 else image
    array: NDArray[np.uint8] = np.asarray(small)
    return array[:, :, ::-1] if small.mode == "RGB" else array


def opened(data: bytes, header: ImageHeader) -> Image.Image:
    """Open a file, and decode the picture that the header is of.

    Raises:
        PageError: E_IMAGE_CORRUPT.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=(header.format.value,))
        if header.format in _ANIMATED:
            image.seek(header.frame - 1)
        image.load()
    except UnidentifiedImageError as error:
        raise corrupt(f"The {header.format.value.upper()} is damaged: its header cannot be read.") from error
    except _PILLOW_ERRORS as error:
        raise corrupt(f"The {header.format.value.upper()} is damaged: {said(error)}.") from error
    return image


def flattened(image: Image.Image, *, inverted: bool = False) -> Image.Image:
    """Convert any mode to L or RGB; transparent pixels become white."""
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _on_white(image)
    if image.mode in {"L", "RGB"}:
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in _DEEP_GREY_MODES:
        return _eight_bits(image, inverted=inverted)
    if image.mode in _COLOUR_MODES:
        return image.convert("RGB")
    raise _mode_refused(image.mode)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in _DEEP_GREY_MODES:
        return _eight_bits(image, inverted=False)
    grey = image.mode in {"1", "L", "LA", "La"}
    with_alpha = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return white.convert("L") if grey else white


def _eight_bits(image: Image.Image, *, inverted: bool) -> Image.Image:
    """Keep the high byte of 16-bit grey."""
    high = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    return Image.fromarray(255 - high if inverted else high)


def _mode_refused(mode: str) -> PageError:
    return image_error("E_IMAGE_FORMAT", f"Images of the mode {mode} are not read.", hint="Convert it to RGB or grey.")
