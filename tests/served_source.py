"""A source that has no store: pages drawn in memory, and a server of HTTP that lists and serves them.

GET /WORK/VOLUME            {"version": ..., "pages": [{"name": ..., "image": "/..."}]}
GET /WORK/VOLUME/pages/N    the image of the page N
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from typing_extensions import override

from bec_orch.core.ports.job_worker import PageBytes, PageReader
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.volumes import Manifest, Page, VolumeRef
from bec_orch.errors import ManifestMissing, PageError, StorageError
from bec_orch.io.sources.opening import SourceParts
from bec_orch.io.sources.pages import check_pages, with_intro_skipped

VOLUME = "W1/I1"


class PageServer(ThreadingHTTPServer):
    """Serves one volume, W1/I1. A page that is None is listed, and is not there."""

    daemon_threads = True

    def __init__(self, pages: Mapping[str, bytes | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages = pages
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, path: str) -> bytes | None:
        self.asked.append(path)
        if path == f"/{VOLUME}":
            listed = [{"name": name, "image": f"/{VOLUME}/pages/{at}"} for at, name in enumerate(self.pages)]
            return json.dumps({"version": "abc123", "pages": listed}).encode()
        at = path.removeprefix(f"/{VOLUME}/pages/")
        return list(self.pages.values())[int(at)] if at.isdecimal() else None


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        body = self.server.answer(self.path)
        self.send_response(HTTPStatus.NOT_FOUND if body is None else HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(pages: Mapping[str, bytes | None]) -> Iterator[PageServer]:
    with PageServer(pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class ServedSource(ImageSource):
    """The volumes of a `PageServer`. The names of pages are the server's own: no file has them."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url

    @override
    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        told = self._told(volume)
        if told is None:
            raise ManifestMissing(f"The server {self._url} has no volume {volume}.")
        pages = [Page(at, each["name"]) for at, each in enumerate(told["pages"])]
        check_pages(pages, f"The volume {volume}")
        return Manifest(volume, told["version"], with_intro_skipped(pages, nb_images_intro))

    @override
    def manifest_etag(self, volume: VolumeRef) -> str | None:
        told = self._told(volume)
        return told["version"] if told else None

    @override
    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        # What is listed is what can be had: the server is asked for each.
        told = self._told(volume) or {"pages": []}
        there = [each["name"] for each in told["pages"] if self._got(each["image"]) is not None]
        return frozenset(there)

    @override
    def pages(self, manifest: Manifest) -> PageReader:
        told = self._told(manifest.volume) or {"pages": []}
        return ServedPages(self._url, [each["image"] for each in told["pages"]])

    @override
    def check_readable(self) -> None:
        self._got("/")

    @override
    def volumes(self) -> Iterator[VolumeRef]:
        yield VolumeRef("W1", "I1", self.name)

    def _told(self, volume: VolumeRef) -> Any:
        body = self._got(f"/{volume}")
        return None if body is None else json.loads(body)

    def _got(self, path: str) -> bytes | None:
        try:
            answer = httpx.get(f"{self._url}{path}")
        except httpx.TransportError as error:
            raise StorageError(f"The server {self._url} cannot be reached.") from error
        return answer.content if answer.status_code == HTTPStatus.OK else None


class ServedPages:
    """Fetches page images from the server (a `PageReader`)."""

    def __init__(self, url: str, images: Sequence[str]) -> None:
        self._url = url
        self._images = images

    async def read(self, page: Page) -> PageBytes:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self._url}{self._images[page.index]}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise PageError(f"The page {page.filename} is not there.", stage="fetch", code="E_PAGE_MISSING")
        return PageBytes(answer.content, f"served-{page.index}")


def open_served(name: str, url: str, parts: SourceParts) -> ServedSource:
    return ServedSource(name, url)
