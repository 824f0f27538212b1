"""The image source `iiif`: the manifests of libraries' servers, by the IIIF Presentation API 2 and 3.

The URL is that of a manifest, which is one volume, or of a collection, whose manifests (and those of its collections)
are the volumes. A volume is named by the address of its manifest: the server, and the last part of the path with eight
digits of a digest of the whole. Pages are called by their numbers: 0001, 0002 and so on. The version is a digest over
the canvases and the addresses of their pictures.

What a manifest names may lie on public servers, and on those that are as near as the URL's own (`io/servers`).
"""

import hashlib
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
from typing_extensions import override

from bec_orch.core.names import printable
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.volumes import Manifest, Page, VolumeRef
from bec_orch.core.wording import clause
from bec_orch.errors import (
    ManifestError,
    ManifestMissing,
    PageError,
    RetryableError,
    ServerRefused,
    StorageError,
    UsageError,
)
from bec_orch.io.servers.addresses import Reach, plain_url, refused_url
from bec_orch.io.servers.fetching import Fetched, Fetcher
from bec_orch.io.sources.iiif_documents import MAX_BYTES, Canvas, Presentation, read_presentation
from bec_orch.io.sources.opening import SourceParts
from bec_orch.io.sources.pages import check_pages, refused, with_intro_skipped
from bec_orch.io.sources.web_pictures import WebPictures

MAX_COLLECTIONS = 1000
"""Collections that are looked through below one."""
_LISTED_FOR = 300.0  # seconds for which a list of volumes is taken to be as it was
_LISTED_AT_LEAST = 10.0  # ... even where it lacks one: many may be missing
_KEPT = 32  # manifests
_LAST_PART = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_A_NAME = frozenset({"manifest", "manifest.json", "iiif", "info.json", ""})
_LONGEST_PART = 80
_DIGITS = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Listed:
    """The volumes below a URL, by name: the address of each manifest, and from how far away it may come."""

    volumes: dict[tuple[str, str], str]
    allowed: frozenset[Reach]
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _Read:
    """A manifest that was read, and how far away its pictures may lie."""

    canvases: tuple[Canvas, ...]
    etag: str
    allowed: frozenset[Reach]


def volume_names(url: str) -> tuple[str, str]:
    """Return `w_id` and `i_id` of the volume whose manifest lies at an address (`plain_url`)."""
    parts = urlsplit(url)
    named = [part for part in unquote(parts.path).split("/") if part.lower() not in _NOT_A_NAME]
    last = _LAST_PART.sub("_", named[-1] if named else "")[:_LONGEST_PART].strip("._-")
    digest = hashlib.sha256(url.encode()).hexdigest()[:_DIGITS]
    return (parts.hostname or "").replace(":", "-"), f"{last}-{digest}" if last else digest


class IiifSource(ImageSource):
    """Volumes as manifests on servers."""

    def __init__(self, name: str, url: str, fetcher: Fetcher) -> None:
        self.name = name
        self._url = url
        self._fetcher = fetcher
        self._pictures = WebPictures(fetcher)
        self._listed: _Listed | None = None
        self._manifests: OrderedDict[tuple[VolumeRef, str], _Read] = OrderedDict()
        self._lock = threading.Lock()
        self._listing = threading.Lock()

    @override
    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        found = self._read(volume)
        if found is None:
            raise ManifestMissing(
                self.missing(volume),
                hint="See in a browser whether it is there. A volume's name is made of the address of its manifest.",
            )
        pages = [Page(at, f"{at + 1:04}", canvas.etag) for at, canvas in enumerate(found.canvases)]
        check_pages(pages, f"The manifest of {volume}")
        return Manifest(volume, found.etag, with_intro_skipped(pages, nb_images_intro))

    @override
    def manifest_etag(self, volume: VolumeRef) -> str | None:
        found = self._read(volume)
        return found.etag if found else None

    @override
    def missing(self, volume: VolumeRef) -> str:
        url = self._listed.volumes.get((volume.w_id, volume.i_id)) if self._listed else None
        if url is None:
            return f"The volume {volume} is not there: {printable(self._url, limit=200)} does not list it."
        return f"The manifest of {volume} is not there: its server has nothing at {printable(url, limit=200)}."

    @override
    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        """Return the names of the pages, without those that were not there, and are not there now either."""
        found = self._read(volume)
        if found is None:
            return frozenset()
        urls = {f"{at + 1:04}": canvas.images for at, canvas in enumerate(found.canvases)}
        return frozenset(urls.keys() - self._pictures.gone(volume, urls, found.allowed))

    @override
    def pages(self, manifest: Manifest) -> "IiifPages":
        return IiifPages(self, self._pictures, manifest)

    @override
    def check_readable(self) -> None:
        self._volumes(0.0)

    @override
    def volumes(self) -> Iterator[VolumeRef]:
        """List the volumes.

        Raises:
            StorageError: the server is away, or has nothing there.
            ManifestError: what lies there is neither manifest nor collection.
        """
        for w_id, i_id in self._volumes(0.0).volumes:
            yield VolumeRef(w_id, i_id, self.name)

    def canvases(self, manifest: Manifest) -> _Read:
        """Return the canvases of a manifest that was read.

        Raises:
            RetryableError: it is another one by now, or its server is away.
        """
        with self._lock:
            known = self._manifests.get((manifest.volume, manifest.etag))
        found = known or self._read(manifest.volume)
        if found is None or found.etag != manifest.etag:
            raise RetryableError(
                f"The manifest of {manifest.volume} was replaced, or went away.",
                code="E_SOURCE_CHANGED",
                hint="It is looked for again, and what is there then is done.",
            )
        return found

    def _read(self, volume: VolumeRef) -> _Read | None:
        listed = self._volumes()
        url = listed.volumes.get((volume.w_id, volume.i_id))
        if url is None:  # it may be new
            listed = self._volumes(_LISTED_AT_LEAST)
            url = listed.volumes.get((volume.w_id, volume.i_id))
        fetched = self._fetched(url, listed.allowed if url != self._url else None) if url else None
        if fetched is None:
            return None
        document = read_presentation(fetched.data, f"The manifest {url}")
        found = _Read(document.canvases, document.etag, listed.allowed & {Reach.PUBLIC, fetched.reach})
        with self._lock:
            self._manifests[volume, found.etag] = found
            while len(self._manifests) > _KEPT:
                self._manifests.popitem(last=False)
        return found

    def _volumes(self, oldest: float = _LISTED_FOR) -> _Listed:
        """Return the volumes as they were listed at most so many seconds ago; one thread lists, and others wait."""
        with self._listing:
            if self._listed is None or time.monotonic() - self._listed.at > oldest:
                self._listed = self._list()
            return self._listed

    def _list(self) -> _Listed:
        fetched = self._fetched(self._url, None)
        if fetched is None:
            raise StorageError(
                f"There is nothing at {self._url}.", code="E_STORAGE_MISSING", hint="See in a browser what is there."
            )
        allowed = frozenset({Reach.PUBLIC, fetched.reach})
        document = read_presentation(fetched.data, f"The document {self._url}")
        urls = self._below(document, allowed) if document.is_collection else [self._url]
        volumes: dict[tuple[str, str], str] = {}
        for url in urls:
            other = volumes.setdefault(volume_names(url), url)
            if other != url:
                what = f"lists two manifests that would be one volume, {printable(other)} and {printable(url)}"
                raise refused(f"The collection {self._url}", what, "E_NAME_DUPLICATE", "Name them one by one.")
        return _Listed(volumes, allowed)

    def _below(self, document: Presentation, allowed: frozenset[Reach]) -> list[str]:
        """Return the addresses of the manifests below a collection, each once, in order."""
        manifests: dict[str, None] = {}
        seen, waiting = {self._url}, [document]
        while waiting:
            now = waiting.pop(0)
            manifests.update((entry.url, None) for entry in now.entries if not entry.is_collection)
            if now.unread:
                log.warning("collection_entries_passed_over", extra={"source": self.name, "entries": now.unread})
            for url in (entry.url for entry in now.entries if entry.is_collection and entry.url not in seen):
                seen.add(url)
                waiting.append(self._collection(url, allowed, len(seen)))
        return list(manifests)

    def _collection(self, url: str, allowed: frozenset[Reach], number: int) -> Presentation:
        subject = f"The collection {url}"
        if number > MAX_COLLECTIONS:
            raise refused(subject, f"is one of more than {MAX_COLLECTIONS}", "E_IIIF", "Name those below one by one.")
        fetched = self._fetched(url, allowed)
        if fetched is None:
            raise refused(subject, "is listed, and not there", "E_MANIFEST_MISSING", "Tell the library.")
        return read_presentation(fetched.data, subject)

    def _fetched(self, url: str, allowed: frozenset[Reach] | None) -> Fetched | None:
        try:
            return anyio.run(partial(self._fetcher.fetch, url, allowed, limit=MAX_BYTES))
        except ServerRefused as error:
            raise ManifestError(
                f"The document {url} cannot be had: {clause(error.message)}.", code=error.code, hint=error.hint
            ) from error


class IiifPages:
    """The pictures of one manifest's canvases (a `PageReader`)."""

    def __init__(self, source: IiifSource, pictures: WebPictures, manifest: Manifest) -> None:
        self._pictures = pictures
        self._volume = manifest.volume
        self._read_once = lru_cache(1)(lambda: source.canvases(manifest))

    async def read(self, page: Page) -> PageBytes:
        """Fetch the picture of one page.

        Raises:
            PageError: the canvas has none, it is not there, or the server refuses it (stage `fetch`).
            RetryableError: the server is away or busy; already tried several times.
        """
        found = await anyio.to_thread.run_sync(self._read_once)
        canvas = found.canvases[page.index]
        name = f"The page {printable(page.filename)} of {self._volume}"
        if canvas.refused:
            error = refused_url(canvas.refused)
            message = f"{name} cannot be had: {clause(error.message)}."
            raise PageError(message, stage="fetch", code=error.code, hint=error.hint)
        if not canvas.images:
            message = f"{name} has no picture in its manifest."
            raise PageError(message, stage="fetch", code="E_IIIF_NO_IMAGE", hint="Tell the library.")
        return PageBytes(await self._pictures.read(self._volume, page, canvas.images, found.allowed), page.etag or "")


def open_iiif(name: str, url: str, parts: SourceParts) -> IiifSource:
    """Open the layout `iiif` at the URL of a manifest or collection; see `OpenSource`.

    Raises:
        UsageError: it is no URL that can be asked (E_URL).
    """
    try:
        return IiifSource(name, plain_url(url), parts.fetcher)
    except ServerRefused as error:
        raise UsageError(error.message, code=error.code, hint=error.hint) from error
