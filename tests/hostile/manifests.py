"""The bad and odd manifests, and the names in them: each is a `dimensions.json` of the layout `bdrc`."""

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.hostile.images import GOOD_PAGES

MANIFEST, NAMES = FAMILIES = ("manifest", "names")
GOOD_NAMES = tuple(f"good{number}.jpg" for number in range(1, GOOD_PAGES + 1))
MANY_PAGES = 40_000
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class ManifestCase:
    """One volume whose manifest is odd.

    Attributes:
        family: the family of cases, which is its work.
        name: the case, which is its volume.
        manifest: makes its `dimensions.json`; None: there is none.
        code: of the error that the volume ends with; None: it is done, with all of its pages.
        files: names of good pages that are there beside the three.
        skipped: pages at its beginning that are no scans, and are passed over.
    """

    family: str
    name: str
    manifest: Callable[[], bytes] | None
    code: str | None = None
    files: Sequence[str] = ()
    skipped: int = 0


def packed(values: Any) -> bytes:
    """Return the usual form: gzipped JSON."""
    return gzip.compress(json.dumps(values).encode(), mtime=0)


def entries(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries of pages by their names."""
    return [{"filename": name, "width": 160, "height": 120} for name in names]


def _good() -> bytes:
    return packed(entries(GOOD_NAMES))


def _wrong_checksum() -> bytes:
    data = _good()
    return data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]


def gzip_bomb(size: int) -> bytes:
    """Return so many spaces, gzipped, made in no time: after a full flush, blocks stand for themselves."""
    spaces = b" " * _MIB
    deflater = zlib.compressobj(9, wbits=-15)
    first = deflater.compress(spaces) + deflater.flush(zlib.Z_FULL_FLUSH)
    block = deflater.compress(spaces) + deflater.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(size // _MIB):
        checksum = zlib.crc32(spaces, checksum)
    header = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    end = b"\x03\0" + struct.pack("<II", checksum, size)
    return header + first + block * (size // _MIB - 1) + end


def _many() -> bytes:
    names = [f"p{number:05}.jpg" for number in range(MANY_PAGES - GOOD_PAGES)]
    return packed(entries([*names, *GOOD_NAMES]))


def _manifest(name: str, manifest: Callable[[], bytes] | None, code: str) -> ManifestCase:
    return ManifestCase(MANIFEST, name, manifest, f"E_MANIFEST_{code}")


def _name(case: str, *names: str, code: str | None = None) -> ManifestCase:
    files = () if code else names
    return ManifestCase(NAMES, case, lambda: packed(entries([*GOOD_NAMES, *names])), code, files)


UNSAFE = "E_NAME_UNSAFE"
CASES = (
    _manifest("missing", None, "MISSING"),
    _manifest("0-bytes", lambda: b"", "EMPTY"),
    _manifest("not-gzip", lambda: b"<!DOCTYPE html><html></html>", "JSON"),
    _manifest("gzip-cut", lambda: _good()[:-12], "GZIP"),
    _manifest("gzip-wrong-checksum", _wrong_checksum, "GZIP"),
    _manifest("not-json", lambda: gzip.compress(b"[{"), "JSON"),
    _manifest("json-object", lambda: packed({}), "LIST"),
    _manifest("json-empty-list", lambda: packed([]), "EMPTY"),
    _manifest("json-null", lambda: packed(None), "LIST"),
    _manifest("json-numbers", lambda: packed([1, 2, 3]), "ENTRY"),
    _manifest("without-filename", lambda: packed([{"width": 160, "height": 120}]), "ENTRY"),
    ManifestCase(MANIFEST, "40000-pages", _many, skipped=MANY_PAGES - GOOD_PAGES),
    _manifest("1-gb-gzip-bomb", lambda: gzip_bomb(1024 * _MIB), "TOO_LARGE"),
    _name("parent-folder", "../x.jpg", code=UNSAFE),
    _name("absolute", "/etc/passwd", code=UNSAFE),
    _name("folder", "a/b.jpg", code=UNSAFE),
    _name("percent-slash", "..%2f.jpg"),
    _name("nul", "a\0.jpg", code=UNSAFE),
    _name("newline", "a\n.jpg", code=UNSAFE),
    _name("number-sign", "a#b.jpg"),
    _name("question-mark", "a?b.jpg"),
    _name("space", "a b.jpg"),
    _name("usual", "I1KG0404.jpg"),
    _name("composed-and-decomposed", "\u0f43.jpg", "\u0f42\u0fb7.jpg"),
    _name("1024-bytes", "x" * 1020 + ".jpg", code=UNSAFE),
    _name("duplicate", "a.jpg", "a.jpg", code="E_NAME_DUPLICATE"),
    _name("case-pair", "a.jpg", "A.jpg"),
)
"""Those of the list but for two odd ETags, which only S3 gives."""
