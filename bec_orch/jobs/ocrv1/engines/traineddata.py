"""What a `.traineddata` file of Tesseract may hold, looked at before Tesseract opens it.

The file is a table of offsets and the components that they point to. One of these is a config that Tesseract obeys as
it opens the file: it can have any file written, opened or shown (`tessedit_write_params_to_file`, `debug_file`,
`user_words_file`, `interactive_display_mode`), and other languages loaded by a path (`tessedit_load_sublangs`).
"""

import re
import struct
from collections.abc import Iterator
from itertools import pairwise

_COUNT = struct.Struct("<i")
_MOST_COMPONENTS = 1000
"""As many as Tesseract takes; more are a file of another byte order, or of another kind."""
_MOST_CONFIG_BYTES = 65_536
_LONGEST_LINE = 4000
"""Tesseract takes what comes after 4,096 bytes for another line."""
_CONFIG = 0
"""The place of the config among the components."""

_REACHES_OUT = re.compile(
    r"debug|display|show|plot|write|dump|save|file|window|win_name|interactive|editor|user_|suffix|output_|dotproduct|"
    r"log_level|train"
)
"""In the names of variables that have Tesseract write, open or show something, and change no text."""
_SUBLANGS = "tessedit_load_sublangs"
_LANGUAGE = re.compile(r"~?[A-Za-z0-9_-]+")


class BadTraineddata(Exception):
    """A file is not `.traineddata`, or one that is made to do harm; the end of a sentence about it."""


def languages_named_in(data: bytes) -> tuple[str, ...]:
    """Check that a file is what it should be, and return the languages beside it that it has Tesseract load.

    Raises:
        BadTraineddata: it is not.
    """
    wanted: list[str] = []
    for name, value in _variables(_config(data)):
        if name == _SUBLANGS:
            wanted += value.split("+")
        elif _REACHES_OUT.search(name):
            raise BadTraineddata(f"sets Tesseract's variable `{name}`, which no model needs")
    if not all(_LANGUAGE.fullmatch(language) for language in wanted):
        raise BadTraineddata(f"has Tesseract load other languages by a path (`{_SUBLANGS}`)")
    return tuple(language.removeprefix("~") for language in wanted)


def _config(data: bytes) -> bytes:
    (count,) = _COUNT.unpack(data[: _COUNT.size]) if len(data) >= _COUNT.size else (0,)
    head = _COUNT.size + 8 * count
    if not 0 < count <= _MOST_COMPONENTS or len(data) <= head:
        raise BadTraineddata("is not data of Tesseract 4 or 5")
    offsets = struct.unpack(f"<{count}q", data[_COUNT.size : head])
    there = [offset for offset in offsets if offset >= 0]
    bounds = [head, *there, len(data)]
    if not there or any(one > other for one, other in pairwise(bounds)):
        raise BadTraineddata("is damaged: its components lie outside of it, or over each other")
    if offsets[_CONFIG] < 0:
        return b""
    config = data[there[0] : there[1] if len(there) > 1 else len(data)]
    if len(config) > _MOST_CONFIG_BYTES:
        raise BadTraineddata(f"has a config of {len(config)} bytes")
    return config


def _variables(config: bytes) -> Iterator[tuple[str, str]]:
    """Return names and values as Tesseract reads them: a name, white space, and the value up to the end of the line."""
    for line in re.split(r"[\r\n\0]", config.decode("latin-1")):
        if len(line) > _LONGEST_LINE:
            raise BadTraineddata(f"has a config with a line of {len(line)} bytes")
        name, _, value = line.strip().replace("\t", " ").partition(" ")
        if name and not name.startswith("#"):
            yield name, value.strip()
