"""TIFF 6.0 and BigTIFF: a page's tags are read here, its pixels by Pillow.

Tags decide whether a file is decoded at all: sizes, counts and offsets are checked against the file, so that nothing
that is hostile or cut reaches a decoder. Damage that no decoder reports is looked for here as well.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.wording import said
from bec_orch.errors import PageError
from bec_orch.jobs.formats import exif, jpeg, raster
from bec_orch.jobs.formats.fax import check_group4
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader, corrupt, image_error, no_such_frame, truncated

MAX_PAGES = 100
"""Files of more pages than this are not page scans."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS, _PLANAR = 273, 277, 278, 279, 284
_ORIENTATION, _SUBFILE = 274, 254
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SAMPLE_FORMAT, _JPEG_TABLES = 322, 323, 324, 325, 339, 347
_GROUP4, _JPEG = 4, 7
_DEFLATE = frozenset({8, 32946})
# none, CCITT RLE, Group 3, Group 4, LZW, JPEG, deflate, PackBits, deflate (old)
_COMPRESSIONS = frozenset({1, 2, 3, _GROUP4, 5, _JPEG, 8, 32773, 32946})
_WHITE_IS_ZERO, _PALETTE = 0, 3
# white is zero, black is zero, RGB, palette, CMYK, YCbCr
_PHOTOMETRICS = frozenset({_WHITE_IS_ZERO, 1, 2, _PALETTE, 5, 6})
_HIDDEN = frozenset({_ORIENTATION, 700})  # orientation, and XMP, which may tell one too
_MAX_SAMPLES = 4
_DEPTHS = frozenset({1, 2, 4, 8, 16})
_UNSIGNED = frozenset({1, 4})  # "undefined" is read as unsigned
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}  # of the tags that are read here
_LARGEST = 2**31 - 1
_MAX_VALUES = 2**20  # strips or tiles: 200 megapixels have 781,250 tiles of 16 x 16
_MAX_TAGS = 4096
_USUAL_TILE = 2048 * 2048


@dataclass(frozen=True, slots=True)
class _Layout:
    """How numbers are stored: byte order, and the sizes that differ between TIFF and BigTIFF."""

    order: str
    count_code: str
    offset_code: str

    @property
    def begin(self) -> int:
        """Where the offset of the first page's tags stands."""
        return self.offset_size

    @property
    def entry(self) -> int:
        return 4 + 2 * self.offset_size

    @property
    def offset_size(self) -> int:
        return struct.calcsize(self.offset_code)


_Values = NDArray[np.unsignedinteger[Any]]
_Tags = Mapping[int, _Values]
_NONE = np.empty(0, np.uint64)


def probe(data: bytes, frame: int = 1) -> ImageHeader:
    """Read the tags of a page, the first by default, and see that its pixels lie inside of the file.

    Raises:
        PageError: E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT, E_IMAGE_FORMAT, E_IMAGE_MULTIPAGE, E_IMAGE_FRAME.
    """
    layout, first = _layout(data)
    tags = _tags(data, layout, _place(data, layout, first, frame))
    header = _header(tags)
    _refuse_odd(tags)
    _most_in_one_piece(tags, header)
    frames = len(_places(data, layout, first))
    _check_extents(data, tags, header)
    return replace(header, orientation=_orientation(tags), frames=frames, frame=frame)


def decode(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode the page that the header is of, and shrink it to 1/`reduce`: grey (H, W) or BGR (H, W, 3).

    Raises:
        PageError: E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT.
    """
    layout, first = _layout(data)
    at = _place(data, layout, first, header.frame)
    tags = _tags(data, layout, at)
    _check_content(data, tags, _most_in_one_piece(tags, header))
    inverted = _one(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO
    return raster.decode(_one_page_as_stored(data, layout, at), header, reduce, inverted=inverted)


def _layout(data: bytes) -> tuple[_Layout, int]:
    """Read the file header: how numbers are stored, and where the first page's tags are."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    layout = _Layout(order, "Q", "Q") if big else _Layout(order, "H", "I")
    return layout, _number(data, order + layout.offset_code, layout.begin)


def _tags(data: bytes, layout: _Layout, at: int) -> _Tags:
    """Read the tags of the page at an offset, those that are needed here. Where one comes twice, the first counts."""
    tags: dict[int, _Values] = {}
    for entry in _entries(data, layout, at):
        tag, kind = struct.unpack_from(layout.order + "HH", data, entry)
        if tag in _WANTED and tag not in tags and kind in _TYPES:
            tags[tag] = _values(data, layout, entry, _TYPES[kind])
    return tags


_WANTED = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, _SAMPLES}
    | {_ROWS_PER_STRIP, _STRIP_COUNTS, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS}
    | {_SAMPLE_FORMAT, _JPEG_TABLES, _ORIENTATION, _SUBFILE}
)


def _entries(data: bytes, layout: _Layout, at: int) -> range:
    """Yield the offsets of a page's tags."""
    count = _number(data, layout.order + layout.count_code, at)
    begin = at + struct.calcsize(layout.count_code)
    end = begin + count * layout.entry
    if end > len(data):
        raise truncated("The TIFF is cut in its tags.")
    if count > _MAX_TAGS:
        raise corrupt(f"The TIFF has {count} tags.")
    return range(begin, end, layout.entry)


def _values(data: bytes, layout: _Layout, entry: int, code: str) -> _Values:
    """Look at a tag's values where they are: in the entry itself if they fit, else at an offset."""
    count = _number(data, layout.order + layout.offset_code, entry + 4)
    size = count * struct.calcsize(code)
    place = entry + 4 + layout.offset_size
    if size > layout.offset_size:
        place = _number(data, layout.order + layout.offset_code, place)
    if place + size > len(data):
        raise truncated("The TIFF is cut: a tag's values lie past the end of the file.")
    if count > _MAX_VALUES:
        raise corrupt(f"The TIFF has a tag of {count} values.")
    return np.frombuffer(data, layout.order + code, count, place)


def _number(data: bytes, code: str, at: int) -> int:
    if at + struct.calcsize(code) > len(data):
        raise truncated(f"The TIFF is cut: byte {at} lies past its end.")
    number: int = struct.unpack_from(code, data, at)[0]
    return number


def _one(tags: _Tags, tag: int, default: int) -> int:
    values = tags.get(tag, _NONE)
    return int(values[0]) if len(values) else default


def _header(tags: _Tags) -> ImageHeader:
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    if not 0 < width <= _LARGEST or not 0 < height <= _LARGEST:
        raise corrupt(f"The TIFF's header says {width} x {height} pixels.")
    shown = 3 if _one(tags, _PHOTOMETRIC, 1) == _PALETTE else _one(tags, _SAMPLES, 1)
    return ImageHeader(ImageFormat.TIFF, width, height, shown, _one(tags, _BITS, 1))


def _refuse_odd(tags: _Tags) -> None:
    """Refuse what no page scan uses.

    Raises:
        PageError: E_IMAGE_FORMAT.
    """
    asked = (
        ("compression", _one(tags, _COMPRESSION, 1), _COMPRESSIONS),
        ("photometric interpretation", _one(tags, _PHOTOMETRIC, 1), _PHOTOMETRICS),
        ("number of samples per pixel", _one(tags, _SAMPLES, 1), range(1, _MAX_SAMPLES + 1)),
        ("number of bits per sample", _one(tags, _BITS, 1), _DEPTHS),
        ("sample format", _one(tags, _SAMPLE_FORMAT, 1), _UNSIGNED),
    )
    for what, value, allowed in asked:
        if value not in allowed:
            raise image_error("E_IMAGE_FORMAT", f"The TIFF's {what} is {value}, which is not read.")


def _orientation(tags: _Tags) -> int:
    told = _one(tags, _ORIENTATION, exif.UPRIGHT)
    return told if told in exif.ORIENTATIONS else exif.UPRIGHT


def _place(data: bytes, layout: _Layout, first: int, frame: int) -> int:
    """Return the offset of the tags of a page, from 1. The first may be read where the others are damaged."""
    if frame == 1:
        return first
    places = _places(data, layout, first)
    if frame > len(places):
        raise no_such_frame(frame, len(places))
    return places[frame - 1]


def _places(data: bytes, layout: _Layout, first: int) -> list[int]:
    """Follow the chain of pages to the tags of those that are no smaller version of another one.

    A chain that leads out of the file ends there.
    """
    places: list[int] = []
    seen: set[int] = set()
    at = first
    while 0 < at <= len(data) - layout.offset_size:
        if at in seen:
            raise corrupt("The TIFF's chain of pages runs in a loop.")
        seen.add(at)
        if len(seen) > MAX_PAGES:
            raise image_error("E_IMAGE_MULTIPAGE", f"The TIFF has more than {MAX_PAGES} pages.", hint="Split the file.")
        if at == first or not _is_reduced(data, layout, at):
            places.append(at)
        at = _next_page(data, layout, at)
    return places


def _is_reduced(data: bytes, layout: _Layout, at: int) -> bool:
    try:
        return bool(_one(_tags(data, layout, at), _SUBFILE, 0) & 1)
    except PageError:  # the page is damaged, and still is one
        return False


def _next_page(data: bytes, layout: _Layout, at: int) -> int:
    count = _number(data, layout.order + layout.count_code, at)
    end = at + struct.calcsize(layout.count_code) + count * layout.entry
    return _number(data, layout.order + layout.offset_code, end) if end + layout.offset_size <= len(data) else 0


def _check_extents(data: bytes, tags: _Tags, header: ImageHeader) -> None:
    """See that there are as many strips or tiles as the picture needs, all inside of the file."""
    offsets, counts = _extents(tags)
    if len(offsets) < _pieces(tags, header):
        raise corrupt(f"The TIFF has {len(offsets)} strips or tiles, and needs {_pieces(tags, header)}.")
    if len(counts) != len(offsets):
        raise corrupt(f"The TIFF has {len(offsets)} strips or tiles, and the sizes of {len(counts)}.")
    end = _end(offsets, counts)
    if end > len(data):
        raise truncated(f"The TIFF is cut: its pixels end at byte {end}, the file at byte {len(data)}.")
    if 0 in counts:
        raise corrupt("The TIFF has an empty strip or tile.")


def _extents(tags: _Tags) -> tuple[_Values, _Values]:
    if _TILE_OFFSETS in tags:
        return tags[_TILE_OFFSETS], tags.get(_TILE_COUNTS, tags.get(_STRIP_COUNTS, _NONE))
    return tags.get(_STRIP_OFFSETS, _NONE), tags.get(_STRIP_COUNTS, _NONE)


def _end(offsets: _Values, counts: _Values) -> int:
    """Return where the last strip or tile ends. 64-bit sums could overflow, so it may be a lone offset."""
    furthest = max(int(offsets.max()), int(counts.max()))
    if furthest >= 2**62:
        return furthest
    return int((offsets.astype(np.uint64) + counts.astype(np.uint64)).max())


def _pieces(tags: _Tags, header: ImageHeader) -> int:
    if _TILE_OFFSETS in tags:
        across = -(-header.width // max(1, _one(tags, _TILE_WIDTH, 1)))
        down = -(-header.height // max(1, _one(tags, _TILE_HEIGHT, 1)))
    else:
        across, down = 1, -(-header.height // max(1, min(_one(tags, _ROWS_PER_STRIP, _LARGEST), header.height)))
    separate = _one(tags, _PLANAR, 1) == 2  # a plane for each sample
    return across * down * (_one(tags, _SAMPLES, 1) if separate else 1)


def _most_in_one_piece(tags: _Tags, header: ImageHeader) -> int:
    """Return how many pixels a strip or tile has at most: a tile may reach over the edges of the image.

    Raises:
        PageError: E_IMAGE_CORRUPT, the tiles are far larger than the image.
    """
    tile = _one(tags, _TILE_WIDTH, 1) * _one(tags, _TILE_HEIGHT, 1) if _TILE_OFFSETS in tags else 1
    if tile > max(4 * header.pixels, _USUAL_TILE):
        raise corrupt(f"The TIFF has tiles of {tile} pixels, and {header.pixels} in all.")
    return max(tile, header.pixels)


def _check_content(data: bytes, tags: _Tags, most_pixels: int) -> None:
    """Look for damage in the compressed strips that Pillow would not report."""
    compression = _one(tags, _COMPRESSION, 1)
    offsets, counts = _extents(tags)
    tables = tags.get(_JPEG_TABLES, _NONE).astype(np.uint8).tobytes()
    for offset, count in zip(offsets.tolist(), counts.tolist(), strict=True):
        piece = data[offset : offset + count]
        if compression == _GROUP4:
            check_group4(piece, lowest_bit_first=_one(tags, _FILL_ORDER, 1) == 2)
        elif compression in _DEFLATE:
            _check_deflate(piece)
        elif compression == _JPEG:
            jpeg.check_whole(tables[:-2] + piece[2:] if tables else piece, most_pixels)


def _check_deflate(piece: bytes) -> None:
    """See that a strip's checksum holds, a megabyte at a time."""
    inflater = zlib.decompressobj()
    rest = piece
    try:
        while rest and not inflater.eof:
            inflater.decompress(rest, 2**20)
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise corrupt(f"The TIFF is damaged: {said(error)}.") from error
    if not inflater.eof:
        raise truncated("The TIFF is cut: compressed pixels end too early.")


def _one_page_as_stored(data: bytes, layout: _Layout, at: int) -> bytes:
    """Make a page the first, and hide its orientation and what follows: Pillow turns pictures, and walks all pages.

    A hidden tag gets the number after its own, which means nothing to anybody; the tags stay in order.
    """
    entries = _entries(data, layout, at)
    plain = bytearray(data)
    for entry in entries:
        tag = _number(data, layout.order + "H", entry)
        if tag in _HIDDEN:
            struct.pack_into(layout.order + "H", plain, entry, tag + 1)
    plain[entries.stop : entries.stop + layout.offset_size] = bytes(layout.offset_size)
    struct.pack_into(layout.order + layout.offset_code, plain, layout.begin, at)
    return bytes(plain)
