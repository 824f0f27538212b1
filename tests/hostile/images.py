"""The bad, damaged, bomb-like and odd page images: each makes a page beside good ones, and what must become of it."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.unit import image_bytes as made

EMPTY, DAMAGED, BOMBS, ODD, MORE = FAMILIES = ("empty", "damaged", "bombs", "odd", "more")
GOOD_PAGES = 3
LINK_TARGET = "/etc/hostname"


@dataclass(frozen=True, slots=True)
class ImageCase:
    """One volume of three good pages and others.

    Attributes:
        family: the family of cases, which is its work.
        name: the case, which is its volume.
        files: makes the other pages, by file name; a page without bytes is a symbolic link out of the folder.
        code: of the error that each of these pages becomes; None: they are fine.
    """

    family: str
    name: str
    files: Callable[[], Mapping[str, bytes | None]]
    code: str | None = None

    @property
    def volume(self) -> str:
        """`work/volume`, as the program names it."""
        return f"{self.family}/{self.name}"


def _case(family: str, name: str, file: str, data: Callable[[], bytes | None], code: str | None = None) -> ImageCase:
    return ImageCase(family, name, lambda: {file: data()}, code)


def from_file(family: str, path: Path, code: str | None) -> ImageCase:
    """Make a case of a page that lies in a file."""
    return _case(family, path.stem, path.name, path.read_bytes, code)


def noise() -> Image.Image:
    """A picture that no compression makes small, so that a cut in the middle is a cut of the picture."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (400, 600), dtype=np.uint8))


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def garbled(data: bytes, length: int) -> bytes:
    """Overwrite so many bytes in the middle with noise."""
    middle = len(data) // 2
    return data[:middle] + np.random.default_rng(5).bytes(length) + data[middle + length :]


def _without_end(data: bytes) -> bytes:
    return data[: data.rindex(b"\xff\xd9")]


def _with_size(data: bytes, side: int) -> bytes:
    """Have a JPEG's header tell that it is square, with sides of so many pixels."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]


def _png_with_text() -> bytes:
    good = made.png()
    return good[:33] + made.png_chunk(b"zTXt", b"bomb\0\0" + made.zeros(100 * 2**20)) + good[33:]


def _group4_white(side: int) -> bytes:
    """A white square: in Group 4, a row like the one above it is one bit."""
    strip = b"\xff" * (side // 8) + b"\x00\x10\x01"
    return made.raw_tiff({256: side, 257: side, 258: 1, 259: 4, 262: 0, 278: side}, pixels=strip)


def _deep_square() -> bytes:
    return made.png_of_zeros(20_000, 20_000, 16)


def _disguised() -> dict[str, bytes | None]:
    return {
        "svg.jpg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        "psd.tif": b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(500),
        "jxl.png": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(500),
    }


def _exif_turned() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return made.jpeg(exif=exif)


def _alpha() -> bytes:
    alpha = Image.fromarray(255 - made.page())
    return made.png(Image.merge("LA", [Image.new("L", alpha.size, 0), alpha]))


def _sixteen_bits() -> bytes:
    return made.png(Image.fromarray(made.page().astype(np.uint16) * 257))


def _tall() -> bytes:
    return made.png(Image.new("L", (1, 20_000), "white"))


def _group4_garbled() -> bytes:
    return garbled(made.group4(noise()), 1000)


def _wrong_offsets() -> bytes:
    return made.raw_tiff({273: 1_000_000})


def _progressive_cut() -> bytes:
    return _cut(made.jpeg(noise(), progressive=True), 0.6) + b"\xff\xd9"


def _jpeg_in_tiff_cut() -> bytes:
    return garbled(made.tiff(noise(), compression="jpeg"), 300)


def _sewn() -> bytes:
    return _cut(made.jpeg(noise()), 0.5) + b"\xff\xd9"


def _lzw_garbled() -> bytes:
    return garbled(made.tiff(noise(), compression="tiff_lzw"), 300)


def _png_of_chunks(count: int) -> bytes:
    good = made.png()
    return good[:33] + made.png_chunk(b"tEXt", b"") * count + good[33:]


_WEB_PAGE = b"<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>"

CASES = (
    _case(EMPTY, "0-bytes", "bad.jpg", lambda: b"", "E_IMAGE_EMPTY"),
    _case(EMPTY, "1-byte", "bad.jpg", lambda: b"\xff", "E_IMAGE_NOT_IMAGE"),
    _case(EMPTY, "web-page-as-jpeg", "bad.jpg", lambda: _WEB_PAGE, "E_IMAGE_NOT_IMAGE"),
    _case(EMPTY, "pdf-as-tiff", "bad.tif", lambda: b"%PDF-1.7\n" + bytes(2000), "E_IMAGE_NOT_IMAGE"),
    _case(EMPTY, "png-as-jpeg", "bad.jpg", made.png),
    _case(EMPTY, "tiff-as-jpeg", "bad.jpg", made.tiff),
    _case(EMPTY, "text", "bad.jpg", lambda: b"no image at all\n" * 50, "E_IMAGE_NOT_IMAGE"),
    _case(EMPTY, "symbolic-link", "bad.jpg", lambda: None, "E_PAGE_LINK"),
    _case(DAMAGED, "jpeg-cut-at-10", "bad.jpg", lambda: _cut(made.jpeg(noise()), 0.1), "E_IMAGE_TRUNCATED"),
    _case(DAMAGED, "jpeg-cut-at-50", "bad.jpg", lambda: _cut(made.jpeg(noise()), 0.5), "E_IMAGE_TRUNCATED"),
    _case(DAMAGED, "jpeg-cut-at-99", "bad.jpg", lambda: _cut(made.jpeg(noise()), 0.99), "E_IMAGE_TRUNCATED"),
    _case(DAMAGED, "jpeg-garbled", "bad.jpg", lambda: garbled(made.jpeg(noise()), 300), "E_IMAGE_CORRUPT"),
    _case(DAMAGED, "tiff-cut", "bad.tif", lambda: made.raw_tiff({})[:-20], "E_IMAGE_TRUNCATED"),
    _case(DAMAGED, "tiff-wrong-strip-offsets", "bad.tif", _wrong_offsets, "E_IMAGE_TRUNCATED"),
    _case(DAMAGED, "tiff-pages-in-a-loop", "bad.tif", lambda: made.raw_tiff({}, next_page=72), "E_IMAGE_CORRUPT"),
    _case(DAMAGED, "group-4-bad-codes", "bad.tif", _group4_garbled, "E_IMAGE_CORRUPT"),
    _case(BOMBS, "group-4-25000-square", "bad.tif", lambda: _group4_white(25_000), "E_IMAGE_TOO_LARGE"),
    _case(BOMBS, "png-25000-square", "bad.png", lambda: made.png_of_zeros(25_000, 25_000, 1), "E_IMAGE_TOO_LARGE"),
    _case(BOMBS, "jpeg-65500-square", "bad.jpg", lambda: _with_size(made.jpeg(), 65_500), "E_IMAGE_TOO_LARGE"),
    _case(BOMBS, "tiff-65529-samples", "bad.tif", lambda: made.raw_tiff({277: 65_529}), "E_IMAGE_FORMAT"),
    _case(BOMBS, "png-100-mb-of-text", "bad.png", _png_with_text),
    _case(BOMBS, "tiff-10000-pages", "bad.tif", lambda: made.many_pages(10_000), "E_IMAGE_MULTIPAGE"),
    _case(BOMBS, "png-16-bits-20000-square", "bad.png", _deep_square, "E_IMAGE_TOO_LARGE"),
    ImageCase(BOMBS, "svg-psd-jxl-disguised", _disguised, "E_IMAGE_FORMAT"),
    _case(ODD, "1-x-1", "odd.png", lambda: made.png(Image.new("L", (1, 1), "white"))),
    _case(ODD, "1-x-20000", "odd.png", _tall),
    _case(ODD, "cmyk", "odd.jpg", lambda: made.jpeg(made.colour_image().convert("CMYK"))),
    _case(ODD, "16-bits", "odd.png", _sixteen_bits),
    _case(ODD, "palette", "odd.png", lambda: made.png(made.colour_image().quantize(64))),
    _case(ODD, "alpha", "odd.png", _alpha),
    _case(ODD, "turned-by-exif", "odd.jpg", _exif_turned),
    _case(ODD, "white-is-zero", "odd.tif", lambda: made.group4(photometric=0)),
)
"""Those of the list. The symbolic link is told by the store of folders, before any decoder."""


def _filled_up(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)


def _jp2() -> bytes:
    return made.encoded(noise(), "JPEG2000", irreversible=True, quality_mode="dB", quality_layers=[35])


def _jp2_garbled() -> bytes:
    """Damaged in its first part, which holds what is decoded at any size."""
    data = _jp2()
    return garbled(data[: len(data) // 20], 40) + data[len(data) // 20 :]


def _webp() -> bytes:
    return made.encoded(noise().convert("RGB"), "WEBP")


def _bmp_of_size(side: int) -> bytes:
    data = bytearray(made.encoded(made.grey_image(), "BMP"))
    struct.pack_into("<ii", data, 18, side, side)
    return bytes(data)


MORE_CASES = (
    _case(MORE, "jpeg-2000-cut", "bad.jp2", lambda: _cut(_jp2(), 0.7), "E_IMAGE_TRUNCATED"),
    _case(MORE, "jpeg-2000-garbled", "bad.jp2", _jp2_garbled, "E_IMAGE_CORRUPT"),
    _case(MORE, "webp-cut", "bad.webp", lambda: _cut(_webp(), 0.7), "E_IMAGE_TRUNCATED"),
    _case(MORE, "webp-filled-up", "bad.webp", lambda: _filled_up(_webp()), "E_IMAGE_TRUNCATED"),
    _case(MORE, "gif-cut", "bad.gif", lambda: made.encoded(noise(), "GIF")[:-1], "E_IMAGE_TRUNCATED"),
    _case(MORE, "bmp-30000-square", "bad.bmp", lambda: _bmp_of_size(30_000), "E_IMAGE_TOO_LARGE"),
    _case(MORE, "avif-filled-up", "bad.avif", lambda: _filled_up(made.encoded(noise(), "AVIF")), "E_IMAGE_TRUNCATED"),
    _case(MORE, "pdf-beside-pages", "bad.pdf", lambda: b"%PDF-1.7\n" + bytes(2000), "E_IMAGE_NOT_IMAGE"),
    _case(MORE, "webp-as-jpeg", "odd.jpg", _webp),
    _case(MORE, "jpeg-2000", "odd.jp2", _jp2),
    _case(MORE, "jpeg-without-its-end", "bad.jpg", lambda: _without_end(made.jpeg(noise())), "E_IMAGE_TRUNCATED"),
    _case(
        MORE,
        "jpeg-cut-with-an-end-sewn-on",
        "bad.jpg",
        _sewn,
        "E_IMAGE_CORRUPT",
    ),
    _case(MORE, "progressive-jpeg-cut-with-an-end-sewn-on", "bad.jpg", _progressive_cut, "E_IMAGE_CORRUPT"),
    _case(MORE, "jpeg-in-tiff-garbled", "bad.tif", _jpeg_in_tiff_cut, "E_IMAGE_CORRUPT"),
    _case(
        MORE,
        "lzw-garbled",
        "bad.tif",
        _lzw_garbled,
        "E_IMAGE_CORRUPT",
    ),
    _case(MORE, "png-of-a-million-chunks", "bad.png", lambda: _png_of_chunks(1_000_000), "E_IMAGE_CORRUPT"),
)
"""Others that the fuzz targets or real scans have shown."""


def good_page() -> bytes:
    """A page that every job does."""
    return made.jpeg()
