"""Every bad `dimensions.json` of the list of faults: refused with one clear sentence, or read if it is good."""

import gzip
import json
import tracemalloc
import unicodedata
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bec_orch.core.names import check_name
from bec_orch.core.volumes import Page, VolumeRef, version_of
from bec_orch.errors import ManifestError, NameUnsafeError
from bec_orch.io.sources.bdrc import BdrcSource, volume_prefix
from bec_orch.io.sources.bdrc_manifest import MAX_BYTES, parse_dimensions
from bec_orch.io.sources.pages import MAX_FILENAME_BYTES
from bec_orch.io.stores.storage import Stores

NAME = "Works/60/W1/images/W1-I1/dimensions.json"


def packed(values: Any) -> bytes:
    return gzip.compress(json.dumps(values).encode())


def entry(filename: str, **more: Any) -> dict[str, Any]:
    return {"filename": filename, "width": 10, "height": 20, **more}


def bomb() -> bytes:
    """1 MB that inflates to 1 GB of spaces."""
    deflater = zlib.compressobj(9, wbits=31)
    spaces = b" " * (1 << 20)
    header = deflater.compress(spaces) + deflater.flush(zlib.Z_FULL_FLUSH)
    # After a full flush, blocks stand for themselves and can be repeated.
    return header + (deflater.compress(spaces) + deflater.flush(zlib.Z_FULL_FLUSH)) * 1023


GOOD = packed([entry("1.jpg")])
WRONG_CRC = GOOD[:-8] + bytes([GOOD[-8] ^ 1]) + GOOD[-7:]

REFUSED = {
    "0 bytes": (b"", "E_MANIFEST_EMPTY"),
    "not gzip": (b"<html>", "E_MANIFEST_JSON"),
    "not text": (b"\xff\xfe\x00\x01", "E_MANIFEST_JSON"),
    "gzip cut": (GOOD[:-12], "E_MANIFEST_GZIP"),
    "gzip cut in its header": (GOOD[:5], "E_MANIFEST_GZIP"),
    "gzip damaged": (b"\x1f\x8b" + b"\xff" * 40, "E_MANIFEST_GZIP"),
    "gzip CRC wrong": (WRONG_CRC, "E_MANIFEST_GZIP"),
    "gzip with more behind it": (GOOD + GOOD, "E_MANIFEST_GZIP"),
    "not JSON": (gzip.compress(b"[{"), "E_MANIFEST_JSON"),
    "nested without end": (gzip.compress(b"[" * 200_000), "E_MANIFEST_JSON"),
    "number without end": (gzip.compress(b"[" + b"9" * 10_000 + b"]"), "E_MANIFEST_JSON"),
    "object": (packed({}), "E_MANIFEST_LIST"),
    "null": (packed(None), "E_MANIFEST_LIST"),
    "text": (packed("x.jpg"), "E_MANIFEST_LIST"),
    "empty list": (packed([]), "E_MANIFEST_EMPTY"),
    "no image": (packed([{"filename": "dimensions.json"}, {"filename": "x.db", "error": "X"}]), "E_MANIFEST_EMPTY"),
    "numbers": (packed([1, 2]), "E_MANIFEST_ENTRY"),
    "no filename": (packed([entry("1.jpg"), {"width": 1}]), "E_MANIFEST_ENTRY"),
    "filename is a number": (packed([{"filename": 7}]), "E_MANIFEST_ENTRY"),
    "millions of values": (gzip.compress(b"[" + b"1," * 4_100_000 + b"1]"), "E_MANIFEST_TOO_LARGE"),
    "duplicate": (packed([entry("1.jpg"), entry("2.jpg"), entry("1.jpg")]), "E_NAME_DUPLICATE"),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_manifests_are_refused_with_one_sentence(data: bytes, code: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_dimensions(data, NAME)
    assert caught.value.code == code
    assert NAME in caught.value.message
    assert "\n" not in caught.value.message
    assert not caught.value.retryable


def test_a_bomb_is_refused_without_being_inflated_whole() -> None:
    data = bomb()
    tracemalloc.start()
    with pytest.raises(ManifestError) as caught:
        parse_dimensions(data, NAME)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == "E_MANIFEST_TOO_LARGE"
    assert peak < 4 * MAX_BYTES


@pytest.mark.parametrize(
    "name",
    [
        "../x.jpg",
        "/etc/passwd.jpg",
        "a/b.jpg",
        "a\\b.jpg",
        "a\0.jpg",
        "a\nb.jpg",
        "\ud800.jpg",
        " x.jpg",
        "ཀ" * 340 + ".jpg",
    ],
)
def test_names_that_escape_are_refused(name: str) -> None:
    for told in (entry(name), {"filename": name}):
        with pytest.raises(ManifestError) as caught:
            parse_dimensions(packed([entry("1.jpg"), told]), NAME)
        assert caught.value.code == "E_NAME_UNSAFE"
        assert "\n" not in caught.value.message
        caught.value.message.encode()


@pytest.mark.parametrize(
    "name",
    [
        "..%2f.jpg",
        "a#b.jpg",
        "a?b.jpg",
        "a b.jpg",
        ".jpg",
        "I1KG0404.jpg",
        unicodedata.normalize("NFC", "བོད་གྷ.tif"),
        unicodedata.normalize("NFD", "བོད་གྷ.tif"),
        "08860001.TIF",
        "1.jp2",
    ],
)
def test_odd_names_are_pages(name: str) -> None:
    assert [page.filename for page in parse_dimensions(packed([entry(name)]), NAME)] == [name]


def test_names_that_differ_in_case_or_unicode_form_are_two_pages() -> None:
    names = ["a.jpg", "A.jpg", "é.jpg", "e\u0301.jpg"]
    assert [page.filename for page in parse_dimensions(packed([entry(name) for name in names]), NAME)] == names


def test_which_entries_are_pages() -> None:
    values = [
        {"filename": "dimensions.json", "width": 3, "height": 4},
        {"filename": "broken.jpg", "error": "UnidentifiedImageError"},
        {"filename": "bare.tif"},
        {"filename": "nothing.png", "width": None, "height": None},
        {"filename": "strings.jpg", "width": "500", "height": "30"},
        {"filename": "strange.jpg", "width": -1, "height": 1e400},
        {"filename": "bool.jpg", "width": True, "height": 2**31},
        {"filename": "huge.jpg", "width": "9" * 5000, "height": "٣"},
        {"filename": "Thumbs.db", "error": "UnidentifiedImageError"},
        {"filename": "notes.txt"},
        {"filename": "read-as-image", "width": 5, "height": 6},
    ]
    pages = parse_dimensions(packed(values), NAME)
    assert [(page.filename, page.width, page.height) for page in pages] == [
        ("broken.jpg", None, None),
        ("bare.tif", None, None),
        ("nothing.png", None, None),
        ("strings.jpg", 500, 30),
        ("strange.jpg", None, None),
        ("bool.jpg", None, None),
        ("huge.jpg", None, None),
        ("read-as-image", 5, 6),
    ]
    assert [page.index for page in pages] == list(range(len(pages)))


def test_the_order_of_the_manifest_stays() -> None:
    names = ["2.jpg", "10.jpg", "1.jpg"]
    assert [page.filename for page in parse_dimensions(packed([entry(name) for name in names]), NAME)] == names


def test_plain_json_is_read() -> None:
    assert len(parse_dimensions(json.dumps([entry("1.jpg")]).encode(), NAME)) == 1


def test_40000_pages_are_read_with_their_etags() -> None:
    objects = Stores().open("memory://many")
    prefix = volume_prefix("W1", "I1KG1")
    objects.create(f"{prefix}/dimensions.json", packed([entry(f"I1KG1{n:05d}.jpg", size=2) for n in range(40_000)]))
    objects.create(f"{prefix}/I1KG139999.jpg", b"image")
    manifest = BdrcSource("bdrc+memory://many", objects).read_manifest(VolumeRef("W1", "I1KG1", "s"))
    assert len(manifest.pages) == 40_000
    assert manifest.pages[0].etag is None
    assert manifest.pages[-1].etag is not None
    assert manifest.pages[-1].size == 5


def result_of(data: bytes) -> list[Page] | ManifestError:
    try:
        return parse_dimensions(data, NAME)
    except ManifestError as error:
        return error


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_pages_or_a_manifest_error(data: bytes) -> None:
    for shape in (data, gzip.compress(data), b"\x1f\x8b" + data):
        result = result_of(shape)
        assert result
        assert isinstance(result, list) or result.code.startswith("E_MANIFEST_")


@settings(deadline=None)
@given(st.lists(st.text(max_size=300).map(lambda name: f"{name}.jpg"), min_size=1, unique=True))
def test_any_names_end_in_safe_pages_or_a_manifest_error(names: list[str]) -> None:
    result = result_of(packed([entry(name) for name in names]))
    if isinstance(result, ManifestError):
        assert result.code == "E_NAME_UNSAFE"
    else:
        assert [check_name("page", page.filename, max_bytes=MAX_FILENAME_BYTES) for page in result] == names


def test_a_name_at_the_limit_is_taken() -> None:
    longest = "x" * (MAX_FILENAME_BYTES - 4) + ".jpg"
    assert parse_dimensions(packed([entry(longest)]), NAME)[0].filename == longest
    with pytest.raises(NameUnsafeError):
        check_name("page", f"x{longest}", max_bytes=MAX_FILENAME_BYTES)


@settings(deadline=None)
@given(st.text())
def test_a_version_is_always_six_hex_digits(etag: str) -> None:
    version = version_of(etag)
    assert len(version) == 6
    assert set(version) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("etag", "version"),
    [
        ('"5d41402abc4b2a76b9719d911017c592"', "5d4140"),
        ('"abcdef0123456789-2"', "abcdef"),
        ('W/"ABCDEF99"', "abcdef"),
        ('"abc-2"', "abc200"),
        ("", "000000"),
    ],
)
def test_versions_of_real_etags(etag: str, version: str) -> None:
    assert version_of(etag) == version


def test_entries_that_are_no_pages_are_counted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    names = ("1.jpg", "Thumbs.db", "._1.jpg", "notes.xyz")
    with caplog.at_level("INFO"):
        pages = parse_dimensions(packed([{"filename": name} for name in names]), NAME)
    assert [page.filename for page in pages] == ["1.jpg"]
    (record,) = caplog.records
    assert (record.message, vars(record)["entries"], vars(record)["manifest"]) == (
        "manifest_entries_passed_over",
        3,
        NAME,
    )
