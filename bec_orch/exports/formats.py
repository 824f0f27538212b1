"""The formats, by name. What a format needs is imported when it is asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Protocol

from bec_orch.core.names import printable
from bec_orch.core.transcripts import Origin, PageRecord
from bec_orch.errors import ConfigError, UsageError


class Level(StrEnum):
    """Whether a file holds a page or a volume."""

    PAGE = "page"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Picture:
    """A page's picture, as a PDF holds it.

    Attributes:
        data: a JPEG file, or the pixels in rows of whole bytes, compressed as zlib does.
        width: its width, pixels; it may be smaller than that of the stored bitmap.
        height: its height.
        bits: of each sample.
        samples: of each pixel: 1 (grey), 3 (red, green, blue).
        is_jpeg: whether it is a JPEG file.
        rotation: degrees, clockwise, by which its page is rotated to be shown: 0, 90, 180 or 270.
    """

    data: bytes
    width: int
    height: int
    bits: int
    samples: int
    is_jpeg: bool
    rotation: int = 0


@dataclass(frozen=True, slots=True)
class Material:
    """What some formats need beside the pages.

    Attributes:
        base_url: where the documents will be served.
        image_url: where an image will be served, with `{w_id}`, `{i_id}` and `{file}` filled in.
        image_service: where the same image is served by the IIIF Image API 3, level 1, likewise; empty: nowhere.
        note: what is to be said of the whole volume beside how it was made; empty: nothing.
        picture: returns the picture of a page by its image's name; None where it cannot be had.
        scratch: a folder of this machine for what does not fit into memory; None: the system's temporary folder.
    """

    base_url: str = ""
    image_url: str = ""
    image_service: str = ""
    note: str = ""
    picture: Callable[[str], Picture | None] = lambda _image: None
    scratch: Path | None = None


class Writer(Protocol):
    """Writes pages as one document, in pieces."""

    def __call__(self, pages: Iterable[PageRecord], origin: Origin, material: Material, /) -> Iterator[bytes]:
        """Return the pieces."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes:
        suffix: the ending of its files.
        writers: what writes it, for each level at which it can be had; the first one is the usual.
        wants_sizes: whether a page needs a size, also one that was not done.
        text_alone: whether it holds nothing but the text of lines.
        wants: options of `Material` that change its files.
    """

    suffix: str
    writers: Mapping[Level, Writer]
    wants_sizes: bool = False
    text_alone: bool = False
    wants: tuple[str, ...] = ()


_MODULES = {
    "txt": "plain:TXT",
    "alto": "alto:ALTO",
    "page": "page_xml:PAGE",
    "hocr": "hocr:HOCR",
    "iiif": "iiif:IIIF",
    "jsonl": "plain:JSONL",
    "pdf": "pdf:PDF",
}
NAMES = tuple(_MODULES)


def format_of(name: str) -> Format:
    """Return the format of a name.

    Raises:
        UsageError: there is none (E_EXPORT_FORMAT).
        ConfigError: what it needs is not installed (E_EXTRA_MISSING).
    """
    if name not in _MODULES:
        raise UsageError(
            f"There is no format {printable(name)}.", code="E_EXPORT_FORMAT", hint=f"Formats: {', '.join(NAMES)}."
        )
    module, attribute = _MODULES[name].split(":")
    try:
        found: Format = getattr(import_module(f"bec_orch.exports.{module}"), attribute)
    except ImportError as error:
        raise ConfigError(
            f"The format '{name}' needs the package '{error.name}', which is not installed.",
            code="E_EXTRA_MISSING",
            hint="Install bec-orch with its extra `export`.",
        ) from error
    return found
