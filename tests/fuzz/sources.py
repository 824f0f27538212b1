"""What reads the documents of sources: IIIF, METS, and PDF in its child process."""

import json
import tempfile
from collections.abc import Sequence
from functools import cache

from bec_orch.core.names import check_name
from bec_orch.errors import BecError, ManifestError, PageError
from bec_orch.io.sources.iiif_documents import read_presentation
from bec_orch.io.sources.mets_documents import read_mets
from bec_orch.jobs.decoders.documents import DocumentPool
from tests.support import pdfs
from tests.support.servers.library import manifest
from tests.support.workspaces import document, group, pages

XML = (
    b"<div ",
    b"</div>",
    b"<fptr FILEID=",
    b'ORDER="',
    b"xlink:href=",
    b"&amp;",
    b"&#0;",
    b"<!DOCTYPE",
    b"<!ENTITY",
    b"../",
    b"http://[",
    b"http://a]",
)
IIIF = (
    b'"items"',
    b'"id"',
    b'"@id"',
    b'"service"',
    b'"type"',
    b'"profile"',
    b'"body"',
    b'"sequences"',
    b'"file:///x"',
    b"//[",
    b"//a]",
)
PDF = (
    b"obj",
    b"endobj",
    b"stream",
    b"/Kids",
    b"/Count",
    b"/MediaBox",
    b"/Rotate",
    b"xref",
    b"%%EOF",
    b"1 0 R",
    b"/Filter",
)
# A small resolution: it is the reading that is fuzzed.
_DPI = 36
# A page that takes longer is ended, which is what is promised.
_SECONDS = 2.0


@cache
def _pool() -> DocumentPool:
    return DocumentPool(seconds=_SECONDS)


def check_iiif(data: bytes) -> None:
    """Read a document; each address in it can be asked."""
    try:
        found = read_presentation(data, "The manifest")
    except ManifestError as error:
        _see_told(error)
    else:
        urls = [*(url for canvas in found.canvases for url in canvas.images), *(entry.url for entry in found.entries)]
        assert all(url.startswith(("http://", "https://")) for url in urls)
        assert len(found.etag) == 64


def check_mets(data: bytes) -> None:
    """Read a METS; each path in it stays below its folder."""
    try:
        found = read_mets(data, "The METS", None)
    except ManifestError as error:
        _see_told(error)
    else:
        assert all(
            check_name("path", part, max_bytes=255) for page in found.pages for part in page.path.split("/") if part
        )
        assert not any(page.path.startswith("/") for page in found.pages)


def check_pdf(data: bytes) -> None:
    """Read a PDF: what its reader does to itself is contained."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            assert _pool().count_pages(file.fileno()) > 0
            assert _pool().picture(file.fileno(), 0, _DPI)
        except PageError as error:
            _see_told(error)


def _see_told(error: BecError) -> None:
    """See that an error is one line with a code, and one that somebody thought of."""
    assert error.code.startswith("E_")
    assert error.code != "E_PAGE_UNEXPECTED", error.message
    assert error.message.isprintable()


def iiif_documents() -> Sequence[bytes]:
    """Return manifests of both versions, and a collection."""
    images = ["https://img.example/1", "https://img.example/2"]
    made = [manifest("https://lib.example/m", images, version=version, services=version) for version in (2, 3)]
    entries = [{"id": "https://lib.example/m", "type": kind} for kind in ("Manifest", "Collection")]
    return [json.dumps(each).encode() for each in (*made, {"type": "Collection", "items": entries})]


def mets_documents() -> Sequence[bytes]:
    """Return a METS with two groups, and pictures in the workspace and on the web."""
    scans = group("OCR-D-IMG", {"a": "OCR-D-IMG/1.tif", "b": "https://lib.example/2.jpg"})
    made = group("OCR-D-BIN", {"c": "OCR-D-BIN/1.png"})
    return [document(scans + made, pages(["a", "c"], ["b"], orders=["1", "2"])).encode()]


def pdf_files() -> Sequence[bytes]:
    """Return a PDF of scans, one of text, and one whose pages lie in a loop."""
    text = pdfs.made(lambda pdf: pdfs.add_page(pdf, beside="BT /F 12 Tf 20 50 Td (Hello) Tj ET"))
    return [pdfs.scans(1), text, pdfs.looped()]
