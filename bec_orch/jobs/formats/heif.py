"""AVIF and HEIC (ISO/IEC 23008-12): boxes walked here, pixels by Pillow's libavif, and by the extra `pillow-heif`.

Rotations and mirrorings in a file's boxes are part of its picture, as the standard has it: they are applied, and
coordinates are those of the resulting picture. What its EXIF block says about orientation is ignored.
"""

import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, ImageOps

from bec_orch.jobs.formats import raster
from bec_orch.jobs.formats.boxes import MAX_BOXES, boxes
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader, check_tail, corrupt, image_error

_AVIF = frozenset({b"avif", b"avis"})
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_FULL = 4  # version and flags
_APERTURE = 32  # width, height and two offsets, each a fraction of 32-bit numbers
_QUARTER_TURNS = 3
_DEEP = 8


@dataclass(frozen=True, slots=True)
class _Picture:
    """What the properties of the primary item say: its size before rotation, quarter turns, and bits of a sample."""

    width: int
    height: int
    turns: int = 0
    bits: int = 8


def is_read() -> bool:
    """Return whether HEIC is read: the extra is installed."""
    return find_spec("pillow_heif") is not None


def probe(data: bytes) -> ImageHeader:
    """Read the brand, and the size of the primary item; check that every box lies inside of the file.

    Raises:
        PageError: E_IMAGE_FORMAT (a video, or the extra is not installed), E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT.
    """
    outer = {kind: (start, end) for kind, start, end in boxes(data, 0, len(data))}
    start, end = outer.get(b"ftyp", (0, 0))
    brands = {data[at : at + 4] for at in (start, *range(start + 8, end - 3, 4))}
    kind = ImageFormat.AVIF if brands & _AVIF else ImageFormat.HEIF
    if kind is ImageFormat.HEIF and not brands & _HEIC:
        raise image_error("E_IMAGE_FORMAT", "The file is a video, or a picture of another kind.", hint="Convert it.")
    if kind is ImageFormat.HEIF and not is_read():
        raise image_error(
            "E_IMAGE_FORMAT",
            "The file is HEIC, and the package that reads it, pillow-heif, is not installed.",
            hint="Install bec-orch with its extra `heif`, or convert the image to JPEG, PNG or TIFF.",
        )
    if b"meta" not in outer:
        raise corrupt(f"The {kind.value.upper()} file names no picture.")
    found = _picture(data, *outer[b"meta"], cropped=kind is ImageFormat.HEIF)
    width, height = (found.height, found.width) if found.turns % 2 else (found.width, found.height)
    if not width or not height:
        raise corrupt(f"The {kind.value.upper()} file's header says {width} x {height} pixels.")
    return ImageHeader(kind, width, height, 4, found.bits)


def decode(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode, and shrink to 1/`reduce`: grey (H, W) or BGR (H, W, 3).

    Raises:
        PageError: E_IMAGE_CORRUPT, E_IMAGE_TRUNCATED (it is filled up with zeros).
    """
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"mdat":
            check_tail(data[start:end], header.format.value.upper())
    if header.format is ImageFormat.HEIF:
        import pillow_heif  # noqa: PLC0415  (an extra)

        pillow_heif.options.DECODE_THREADS = 1
        pillow_heif.register_heif_opener()
        with _threads_allowed():
            return raster.decode(data, header, reduce)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a decoder process may start none
    image = ImageOps.exif_transpose(raster.opened(data, header))
    return raster.finished(image, header, reduce)


@contextmanager
def _threads_allowed() -> Iterator[None]:
    """Let this process start a thread: libde265 works in one of its own, and fails without."""
    limits = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (limits[1], limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, limits)


def _picture(data: bytes, start: int, end: int, *, cropped: bool) -> _Picture:
    """Read the properties of the primary item; its clean aperture, too, where the decoder cuts it out."""
    meta = {kind: (first, last) for kind, first, last in boxes(data, start + _FULL, end)}
    first, last = meta.get(b"iprp", (0, 0))
    inner = {kind: place for kind, *place in boxes(data, first, last)}
    if b"ipco" not in inner or b"ipma" not in inner or b"pitm" not in meta:
        raise corrupt("The file does not say which picture is the one to show, or how large it is.")
    primary = _number(data, *meta[b"pitm"])
    properties = [(kind, data[at:after]) for kind, at, after in boxes(data, *inner[b"ipco"])]
    own = [properties[index - 1] for index in _associated(data[slice(*inner[b"ipma"])], primary, len(properties))]
    named = dict(reversed(own))
    if len(named.get(b"ispe", b"")) < 12:
        raise corrupt("The file does not say how large its picture is.")
    width, height = struct.unpack_from(">II", named[b"ispe"], _FULL)
    if cropped and len(named.get(b"clap", b"")) >= _APERTURE:
        wide, wide_by, high, high_by = struct.unpack_from(">IIII", named[b"clap"])
        width, height = wide // max(1, wide_by), high // max(1, high_by)
    turns = named.get(b"irot", b"\0")[:1] or b"\0"
    bits = max(named.get(b"pixi", b"\0\0\0\0\0\x08")[_FULL + 1 :], default=_DEEP)
    return _Picture(width, height, turns[0] & _QUARTER_TURNS, bits)


def _number(data: bytes, start: int, end: int) -> int:
    """Read the number of the primary item: 16 bits, or 32 in version 1."""
    return int.from_bytes(data[start + _FULL : min(end, start + _FULL + (4 if data[start] else 2))])


def _associated(content: bytes, item: int, count: int) -> list[int]:
    """List the numbers (from 1) of the properties that belong to an item, in their order."""
    id_size, wide = (4 if content[:1] > b"\0" else 2), bool(content[3:4] and content[3] & 1)
    at = _FULL + 4
    for _ in range(min(int.from_bytes(content[_FULL : _FULL + 4]), MAX_BOXES)):
        number, many = (
            int.from_bytes(content[at : at + id_size]),
            int.from_bytes(content[at + id_size : at + id_size + 1]),
        )
        at += id_size + 1
        size = 2 if wide else 1
        mask = 0x7FFF if wide else 0x7F
        if number == item:
            found = [
                int.from_bytes(content[place : place + size]) & mask for place in range(at, at + many * size, size)
            ]
            return [index for index in found if 0 < index <= count]
        at += many * size
    return []
