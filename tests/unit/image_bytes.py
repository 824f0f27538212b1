"""Images as bytes, made on the spot: good ones, odd ones and broken ones."""

import io
import struct
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIF_IS_READ = find_spec("pillow_heif") is not None

WIDTH, HEIGHT = 160, 120
MIB = 2**20
INK = (slice(30, 60), slice(20, 140))


def page() -> NDArray[np.uint8]:
    """A white page (120, 160) with one black bar in its upper half and noise below, grey."""
    grey = np.full((HEIGHT, WIDTH), 255, np.uint8)
    grey[INK] = 0
    grey[80:100] = np.random.default_rng(7).integers(0, 256, (20, WIDTH), dtype=np.uint8)
    return grey


def grey_image() -> Image.Image:
    return Image.fromarray(page())


def colour_image() -> Image.Image:
    grey = page()
    return Image.fromarray(np.dstack([grey, grey // 2 + 20, grey // 3 + 10]))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(image: Image.Image | None = None, **options: Any) -> bytes:
    return encoded(image or colour_image(), "JPEG", **options)


def png(image: Image.Image | None = None, **options: Any) -> bytes:
    return encoded(image or grey_image(), "PNG", **options)


def group4(image: Image.Image | None = None, *, photometric: int = 0) -> bytes:
    bitonal = (image or grey_image()).convert("1", dither=Image.Dither.NONE)
    return encoded(bitonal, "TIFF", compression="group4", tiffinfo={262: photometric})


def tiff(image: Image.Image | None = None, **options: Any) -> bytes:
    return encoded(image or grey_image(), "TIFF", **options)


def heic(image: Image.Image) -> bytes:
    import pillow_heif  # noqa: PLC0415  (an extra)

    pillow_heif.register_heif_opener()
    return encoded(image, "HEIF")


def exif_block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return exif.tobytes()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def zeros(size: int) -> bytes:
    """Return the zlib stream of so many zeros, made in no time: after a full flush, blocks stand for themselves."""
    deflater = zlib.compressobj(9)
    first = deflater.compress(bytes(MIB)) + deflater.flush(zlib.Z_FULL_FLUSH)
    block = deflater.compress(bytes(MIB)) + deflater.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    tail = rest.compress(bytes(size % MIB)) + rest.flush()
    # Adler-32 of zeros: the sum of bytes is 1, the sum of sums their number.
    return first + block * (size // MIB - 1) + tail + struct.pack(">HH", size % 65_521, 1)


def png_of_zeros(width: int, height: int, bits: int) -> bytes:
    """A black PNG of any size, grey, without ever having its pixels in memory."""
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    pixels = zeros(height * (1 + width * bits // 8))
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_header(width: int, height: int) -> bytes:
    """A PNG of which only the header tells anything."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body


def raw_tiff(tags: Mapping[int, int], *, pixels: bytes = b"\0" * 64, next_page: int = 0) -> bytes:
    """A little-endian TIFF: pixels at byte 8, then one page's tags, given as numbers."""
    every = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: len(pixels), **tags}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(every.items()))
    return (
        b"II*\0"
        + struct.pack("<I", 8 + len(pixels))
        + pixels
        + struct.pack("<H", len(every))
        + entries
        + (struct.pack("<I", next_page))
    )


def many_pages(count: int) -> bytes:
    """A TIFF of so many pages, all of the same pixels."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    size = 2 + len(entries) + 4
    first = 8 + 64
    pages = [
        struct.pack("<H", len(tags)) + entries + struct.pack("<I", first + (at + 1) * size if at + 1 < count else 0)
        for at in range(count)
    ]
    return b"II*\0" + struct.pack("<I", first) + b"\x55" * 64 + b"".join(pages)
