"""OpenJPEG's decoder (libopenjp2 2.x), called by ctypes, because no package passes its warnings on.

Pillow's plug-in and imagecodecs decode by the same library and drop its warnings, which are the only sign of damaged
code blocks; glymur hears them, but no wheel brings it a library. So it is the library that Pillow brings which is
called here, found among the symbols of Pillow's own module. Structures are those of `openjpeg.h`, stable in 2.x.
"""

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint16, c_uint32, c_void_p
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import _imaging

CODESTREAM, JP2 = 0, 2
"""The kinds of files: a bare codestream, and one in the boxes of a JP2 file."""

_PARAMETERS = 16 * 1024  # opj_dparameters_t takes some 8.3 KB, most of it for two names of files
_END = c_size_t(-1).value
_Read = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_size_t, c_void_p)
_Skip = ctypes.CFUNCTYPE(c_int64, c_int64, c_void_p)
_Seek = ctypes.CFUNCTYPE(c_int, c_int64, c_void_p)
_MessageCallback = ctypes.CFUNCTYPE(None, c_char_p, c_void_p)


class _Component(ctypes.Structure):
    """opj_image_comp_t."""

    _fields_ = (
        *((name, c_uint32) for name in ("dx", "dy", "w", "h", "x0", "y0", "prec", "bpp", "sgnd")),
        ("resno_decoded", c_uint32),
        ("factor", c_uint32),
        ("data", POINTER(c_int32)),
        ("alpha", c_uint16),
    )


class _Image(ctypes.Structure):
    """opj_image_t."""

    _fields_ = (
        *((name, c_uint32) for name in ("x0", "y0", "x1", "y1", "numcomps")),
        ("color_space", c_int),
        ("comps", POINTER(_Component)),
        ("icc_profile_buf", c_void_p),
        ("icc_profile_len", c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Component:
    """One component of a picture, values as they are coded.

    Attributes:
        values: (H, W), smaller than the picture where the component is subsampled.
        bits: bits of a value.
        signed: whether zero is the middle of the values.
    """

    values: NDArray[np.int32]
    bits: int
    signed: bool


@dataclass(slots=True)
class Decoded:
    """What came of a file.

    Attributes:
        components: none where it could not be decoded.
        colour_space: as `OPJ_COLOR_SPACE` counts them.
        errors: what the library called an error.
        warnings: what it only warned of.
    """

    components: tuple[Component, ...] = ()
    colour_space: int = 0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def decode(data: bytes, kind: int, halvings: int) -> Decoded:
    """Decode a file; its sides are halved this many times, at most as often as when it was encoded."""
    library, result = _library(), Decoded()
    reader = _Reader(data)
    on_warning, on_error = _listener(result.warnings), _listener(result.errors)
    with ExitStack() as undo:
        stream = undo.enter_context(_made(library.opj_stream_default_create(1), library.opj_stream_destroy))
        library.opj_stream_set_read_function(stream, reader.read)
        library.opj_stream_set_skip_function(stream, reader.skip)
        library.opj_stream_set_seek_function(stream, reader.seek)
        library.opj_stream_set_user_data(stream, None, None)
        library.opj_stream_set_user_data_length(stream, len(data))
        codec = undo.enter_context(_made(library.opj_create_decompress(kind), library.opj_destroy_codec))
        library.opj_set_warning_handler(codec, on_warning, None)
        library.opj_set_error_handler(codec, on_error, None)
        parameters = ctypes.create_string_buffer(_PARAMETERS)
        library.opj_set_default_decoder_parameters(parameters)
        c_uint32.from_buffer(parameters).value = halvings  # cp_reduce comes first
        image = POINTER(_Image)()
        sound = (
            library.opj_setup_decoder(codec, parameters)
            and library.opj_decoder_set_strict_mode(codec, 1)
            and library.opj_read_header(stream, codec, ctypes.byref(image))
        )
        if image:
            undo.callback(library.opj_image_destroy, image)
        if sound and library.opj_decode(codec, stream, image) and library.opj_end_decompress(codec, stream):
            found = image.contents
            result.components = tuple(_component(found.comps[number]) for number in range(found.numcomps))
            result.colour_space = found.color_space
        elif not result.errors:
            result.errors.append("it cannot be decoded")
    return result


def _component(found: _Component) -> Component:
    values = np.ctypeslib.as_array(found.data, (found.h, found.w)).copy()
    return Component(values, found.prec, bool(found.sgnd))


class _Reader:
    """A file in memory, as the library reads it. The three functions live as long as this does."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.read, self.skip, self.seek = _Read(self._read), _Skip(self._skip), _Seek(self._seek)

    def _read(self, buffer: int, size: int, _: object) -> int:
        part = self._data[self._at : self._at + size]
        if not part:
            return _END
        ctypes.memmove(buffer, part, len(part))
        self._at += len(part)
        return len(part)

    def _skip(self, size: int, _: object) -> int:
        if self._at + size > len(self._data):
            return -1
        self._at += size
        return size

    def _seek(self, at: int, _: object) -> int:
        if not 0 <= at <= len(self._data):
            return 0
        self._at = at
        return 1


def _listener(told: list[str]) -> Any:
    return _MessageCallback(lambda message, _: told.append(message.decode("latin-1").strip()))


@contextmanager
def _made(handle: int | None, destroy: Any) -> Iterator[c_void_p]:
    if not handle:
        raise MemoryError
    try:
        yield c_void_p(handle)
    finally:
        destroy(c_void_p(handle))


@cache
def _library() -> Any:
    library = ctypes.CDLL(_imaging.__file__)
    for name in ("opj_stream_default_create", "opj_create_decompress"):
        getattr(library, name).restype = c_void_p
    library.opj_stream_set_user_data_length.argtypes = [c_void_p, ctypes.c_uint64]
    return library
