"""What a file is by its first bytes."""

import pytest

from bec_orch.core.first_bytes import looks_like, page_kind
from tests.unit import image_bytes as made

_BOX = b"\0\0\0\x1cftyp"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (made.jpeg(), "a picture (JPEG)"),
        (made.png(), "a picture (PNG)"),
        (made.tiff(), "a picture (TIFF)"),
        (made.encoded(made.grey_image(), "WEBP"), "a picture (WebP)"),
        (made.encoded(made.grey_image(), "BMP"), "a picture (BMP)"),
        (_BOX + b"heic", "a picture (HEIC or AVIF)"),
        (b"%PDF-1.4 ...", "a PDF"),
        (_BOX + b"isom", None),
        (b"BM the notes of a book, in plain text", None),
        (b"%pdf says a text", None),
        (b"", None),
    ],
)
def test_files_that_have_pages_are_known_by_their_first_bytes(data: bytes, kind: str | None) -> None:
    assert page_kind(data) == kind
    if kind:
        assert kind.removeprefix("a ") in looks_like(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"\xef\xbb\xbf <HTML>", "a web page or XML"), (bytes(9), "only zeros"), (b"text", "the bytes 74 65 78 74")],
)
def test_others_are_described(data: bytes, told: str) -> None:
    assert told in looks_like(data)
