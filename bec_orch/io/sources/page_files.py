"""Which files of a volume are its pages, in which order, and why the others are none: by their names alone.

A file whose suffix is that of an image is a page, whether its format is read or not: one that is not becomes an error
row, so that its absence is seen. The others are counted by the reason why they are not pages.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

_READ = "jpg jpeg jpe jfif png tif tiff jp2 j2k j2c jpc jpx jpf webp gif bmp dib avif heic heif"
_NOT_READ = "pdf djvu djv psd jxl jxr wdp svg eps ai tga pcx pbm pgm ppm pnm mng dng cr2 cr3 nef arw orf rw2 raf"
PAGE_SUFFIXES = frozenset(f"{_READ} {_NOT_READ}".split())
_DATA = "txt json jsonl xml md5 sha1 sha256 sha512 csv tsv yml yaml toml log xmp parquet"
_TEXTS = "htm html hocr md rtf doc docx odt xls xlsx"
_SIDECARS = frozenset(f"{_DATA} {_TEXTS}".split())
_OF_SYSTEMS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon\r"})
_NUMBER = re.compile(r"(\d+)")


class NoPage(StrEnum):
    """Why a file is not a page."""

    HIDDEN = "hidden"
    SYSTEM = "system"
    SIDECAR = "sidecar"
    OTHER = "other"
    OWN = "own"
    """A workspace or an export wrote it: by where it lies, and not by its name alone."""


def why_no_page(filename: str) -> NoPage | None:
    """Return why a file is not a page, by its name; None where it is one."""
    stem, dot, suffix = filename.rpartition(".")
    if filename.startswith("."):
        return NoPage.HIDDEN
    if filename.lower() in _OF_SYSTEMS:
        return NoPage.SYSTEM
    if dot and stem and suffix.lower() in PAGE_SUFFIXES:
        return None
    return NoPage.SIDECAR if suffix.lower() in _SIDECARS else NoPage.OTHER


def passed_over(filenames: Iterable[str]) -> Counter[str]:
    """Count the files that are not pages, by the reason."""
    return Counter(reason.value for name in filenames if (reason := why_no_page(name)))


def in_page_order(filename: str) -> tuple[object, ...]:
    """Return what file names are sorted by: numbers by their value, so that 2 comes before 10; the suffix last.

    Letters are compared in any case and in one Unicode form. Names that are the same then are told apart as they stand.
    """
    stem = filename.rpartition(".")[0] or filename
    plain = unicodedata.normalize("NFC", stem).casefold()
    parts = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _NUMBER.split(plain) if part)
    return (parts, filename)
