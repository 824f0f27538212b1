"""Reads a `dimensions.json`: the library's list of the images of a volume, which may be broken or hostile.

It is a JSON list, as a rule compressed with gzip, of objects with `filename`, and often `width` and `height` (integers,
now and then strings) and others. Every file of the volume's folder may be listed, `dimensions.json` itself too.

Which entries are pages: those whose name has the suffix of an image, whatever else the entry says or lacks (one marked
with `error` is still a page of the volume, and gets its row); and those of other names that have a width and a height,
because somebody read them as an image. All others (.db, .txt) are passed over, and counted in the log.
"""

import json
import logging
import re
import zlib
from collections.abc import Mapping
from typing import Any

from bec_orch.core.volumes import Page
from bec_orch.core.wording import said
from bec_orch.io.sources.page_files import why_no_page
from bec_orch.io.sources.pages import check_pages, refused

log = logging.getLogger(__name__)

_SEPARATOR = re.compile(r"[/\\]")
# 40,000 pages take some 5 MB; the volumes that are known have up to 3,278 pages.
MAX_BYTES = 64 * 1024 * 1024
# What the parsed form takes follows the number of values: at most some 300 MB with this many.
MAX_VALUES = 4_000_000

_MAX_PIXELS = 2**31 - 1
_MAX_DIGITS = len(str(_MAX_PIXELS))
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib's way to say: with gzip's header and checksum


def parse_dimensions(data: bytes, name: str) -> list[Page]:
    """Return the pages that a `dimensions.json` lists, in its order.

    Args:
        data: the object as it is stored, gzipped or plain.
        name: what to call the object in errors.

    Raises:
        ManifestError: it is empty, broken, too large, names no page, names a page twice, or one by an unsafe name.
    """
    subject = f"The manifest '{name}'"
    if not data:
        raise refused(subject, "has 0 bytes", "E_MANIFEST_EMPTY")
    text = _inflated(data, subject) if data.startswith(_GZIP_MAGIC) else data
    named = _named_entries(_parsed(text, subject), subject)
    pages = [
        Page(index, filename, width=_pixels(entry.get("width")), height=_pixels(entry.get("height")))
        for index, (filename, entry) in enumerate(one for one in named if _is_page(*one))
    ]
    if len(pages) < len(named):
        log.info("manifest_entries_passed_over", extra={"manifest": name, "entries": len(named) - len(pages)})
    check_pages(pages, subject)
    return pages


def _inflated(data: bytes, subject: str) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = inflater.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise refused(subject, f"is broken gzip ({said(error)})", "E_MANIFEST_GZIP") from error
    if len(text) > MAX_BYTES:
        raise refused(subject, f"is larger than {MAX_BYTES} bytes when inflated", "E_MANIFEST_TOO_LARGE")
    if not inflater.eof or inflater.unused_data.strip(b"\0"):
        what = "has something after its end" if inflater.eof else "was cut"
        raise refused(subject, f"is gzip that {what}", "E_MANIFEST_GZIP")
    return text


def _parsed(text: bytes, subject: str) -> Any:
    if len(text) > MAX_BYTES or text.count(b",") > MAX_VALUES:
        raise refused(subject, f"has more than {MAX_VALUES} values or {MAX_BYTES} bytes", "E_MANIFEST_TOO_LARGE")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refused(subject, f"is not JSON ({type(error).__name__})", "E_MANIFEST_JSON") from error


def _named_entries(values: Any, subject: str) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(values, list):
        raise refused(subject, "is not a list", "E_MANIFEST_LIST")
    return [(_filename(entry, number, subject), entry) for number, entry in enumerate(values, 1)]


def _filename(entry: Any, number: int, subject: str) -> str:
    filename = entry.get("filename") if isinstance(entry, dict) else None
    if not isinstance(filename, str):
        raise refused(subject, f"has no file name in its entry {number}", "E_MANIFEST_ENTRY")
    return filename


def _is_page(filename: str, entry: Mapping[str, Any]) -> bool:
    if filename.lower().endswith("json"):
        return False
    read_as_image = bool(_pixels(entry.get("width")) and _pixels(entry.get("height")))
    # A path is no hidden file: it is judged by its last part, and refused with its volume.
    return why_no_page(_SEPARATOR.split(filename)[-1]) is None or read_as_image


def _pixels(value: Any) -> int | None:
    """Return a width or height; None where it is missing or no positive 32-bit number. Strings such as "500" occur."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        value = int(value)
    return value if type(value) is int and 0 < value <= _MAX_PIXELS else None
