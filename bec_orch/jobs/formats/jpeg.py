"""JPEG (ITU-T T.81): headers by a walk over the markers, pixels by libjpeg-turbo at full or reduced scale.

libjpeg gives a grey or torn picture, and only a warning, for data that is cut or damaged. `simplejpeg` makes its
warnings errors (OpenCV and Pillow drop them), which is why it is used here.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from bec_orch.core.wording import said
from bec_orch.jobs.formats import exif
from bec_orch.jobs.formats.header import Decoded, ImageFormat, ImageHeader, corrupt, image_error, truncated

MAX_STEPS = 10_000
"""A walk over this many markers takes 5 ms. Scans have some ten; colour profiles and previews add hundreds at most."""

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
_ADOBE, _EXIF = 0xEE, 0xE1
# SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_READ_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive; all Huffman-coded
_PROGRESSIVE = 0xC2
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RSTn have no length
_GREY, _COLOUR, _CMYK = 1, 3, 4
# Mean light of a page that came out black, and of one that did not, 0 to 255.
_BLACK, _LIGHT = 48, 96
AS_INK = "CMYK without Adobe's marker, read as ink"
AS_LIGHT = "CMYK without Adobe's marker, read as light, because as ink it is black"


def probe(data: bytes) -> ImageHeader:
    """Read the frame header, and see that the file has an end.

    Raises:
        PageError: E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT, E_IMAGE_FORMAT (lossless, arithmetic, 12-bit).
    """
    segments = _segments(data)
    marker, frame, scan = _frame_and_scan(segments)
    if marker not in _READ_FRAMES:
        raise image_error("E_IMAGE_FORMAT", f"The JPEG is coded in a way that is not read (SOF{marker - 0xC0}).")
    bits, samples = frame[0], frame[5]
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    if bits != 8:
        raise image_error("E_IMAGE_FORMAT", f"The JPEG has {bits} bits per sample, not 8.")
    if samples not in {_GREY, _COLOUR, _CMYK}:
        raise image_error("E_IMAGE_FORMAT", f"The JPEG has {samples} samples per pixel, not 1, 3 or 4.")
    if not width or not height:
        raise corrupt(f"The JPEG's header says {width} x {height} pixels.")
    if data.rfind(_END_OF_IMAGE, scan) < 0:  # from the end, where it stands in all but damaged files
        raise truncated("The JPEG is cut: it has no end-of-image marker.")
    blocks = (content for kind, content, _ in segments if kind == _EXIF and content.startswith(exif.MARK))
    turned = exif.orientation(next(blocks, b""))
    progressive = marker == _PROGRESSIVE
    return ImageHeader(ImageFormat.JPEG, width, height, samples, bits, progressive=progressive, orientation=turned)


def decode(data: bytes, header: ImageHeader, reduce: int) -> Decoded:
    """Decode at 1/`reduce` of the size: grey (H, W) or BGR (H, W, 3).

    Raises:
        PageError: E_IMAGE_CORRUPT when libjpeg has anything to complain about.
    """
    space = {_GREY: "GRAY", _COLOUR: "BGR", _CMYK: "CMYK"}[header.samples]
    size = {"min_width": -(-header.width // reduce), "min_height": -(-header.height // reduce)} if reduce > 1 else {}
    image = _decode(data, space, size)
    if header.samples == _CMYK:
        return Decoded(_bgr_of_cmyk(image, inverted=True)) if _has_adobe_marker(data) else _assumed(image)
    return Decoded(image[:, :, 0] if header.samples == _GREY else image)


def check_whole(stream: bytes, most_pixels: int) -> None:
    """See that a JPEG stream inside of another file is sound, by decoding it; it may say that it is larger than that.

    Raises:
        PageError: E_IMAGE_CORRUPT, or as `probe` raises it.
    """
    header = probe(stream)
    if header.pixels > most_pixels:
        raise corrupt(f"A JPEG of {header.width} x {header.height} pixels lies in an image of {most_pixels}.")
    _decode(stream, "GRAY", {})


def _decode(data: bytes, space: str, size: dict[str, int]) -> NDArray[np.uint8]:
    try:
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, space, **size)
    except ValueError as error:
        raise corrupt(f"The JPEG is damaged: {said(error)}.") from error
    return image


def _frame_and_scan(segments: list[tuple[int, bytes, int]]) -> tuple[int, bytes, int]:
    """Find the frame's marker and content, and where the first scan begins."""
    frame: tuple[int, bytes] | None = None
    for marker, content, end in segments:
        if marker in _FRAMES and len(content) > 5:  # up to the number of components
            frame = marker, content
        if marker == _START_OF_SCAN:
            if frame is None:
                raise corrupt("The JPEG's picture begins before its header.")
            return *frame, end
    raise truncated("The JPEG is cut before its picture begins.")


def _segments(data: bytes) -> list[tuple[int, bytes, int]]:
    """List (marker, content, end) of the segments before the first scan's data, that scan's header being the last."""
    found: list[tuple[int, bytes, int]] = []
    at = 2
    for _ in range(MAX_STEPS):
        if at + 4 > len(data) or (found and found[-1][0] == _START_OF_SCAN):
            return found
        if data[at] != 0xFF:
            raise corrupt(f"The JPEG has no marker at byte {at}, where one must stand.")
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:  # fill bytes may stand before a marker
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        found.append((marker, data[at + 4 : end], end))
        at = end
    raise corrupt(f"The JPEG has more than {MAX_STEPS} markers and fill bytes before its picture.")


def _has_adobe_marker(data: bytes) -> bool:
    return any(marker == _ADOBE and content.startswith(b"Adobe") for marker, content, _ in _segments(data))


def _assumed(cmyk: NDArray[np.uint8]) -> Decoded:
    """Decide how a picture without that marker is stored: as ink, which is the standard's way (ISO/IEC 10918-6).

    Programs that drop Adobe's marker leave its light behind. Read as ink, such a page is black, so this is checked.
    """
    ink = _bgr_of_cmyk(cmyk, inverted=False)
    if ink.mean() < _BLACK:
        light = _bgr_of_cmyk(cmyk, inverted=True)
        if light.mean() > _LIGHT:
            return Decoded(light, AS_LIGHT)
    return Decoded(ink, AS_INK)


def _bgr_of_cmyk(cmyk: NDArray[np.uint8], *, inverted: bool) -> NDArray[np.uint8]:
    """Turn ink into light: each colour times black, as viewers without a colour profile do. Adobe stores light."""
    light = cmyk if inverted else 255 - cmyk
    bgr = light[:, :, 2::-1].astype(np.uint16) * light[:, :, 3:] // 255
    return bgr.astype(np.uint8)
