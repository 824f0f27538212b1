"""The image source `mets`: OCR-D workspaces `<root>/<w_id>/<i_id>/mets.xml`, whose pictures their METS names.

The file group may stand in the source's name: `mets+file:///work#group=OCR-D-BIN`. The version of a volume is a digest
over its pages and their pictures' sizes and modification times (in a bucket: ETags), not over the METS itself: each
step of work on a workspace writes into that.

Pictures lie below the workspace; those that are named by an address are fetched from public servers (`io/servers`).
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath

import anyio.to_thread
from typing_extensions import override

from bec_orch.core.names import printable
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.volumes import Manifest, Page, VolumeRef
from bec_orch.errors import ManifestMissing, NameUnsafeError, PageError, RetryableError
from bec_orch.io.servers.addresses import Reach
from bec_orch.io.sources.mets_documents import MAX_BYTES, MetsPage, read_mets
from bec_orch.io.sources.opening import SourceParts, split_options
from bec_orch.io.sources.pages import (
    LINK_HINT,
    Rejected,
    StorePages,
    badly_named,
    check_pages,
    linked_out,
    refused,
    with_intro_skipped,
)
from bec_orch.io.sources.trees import WorkFolders
from bec_orch.io.sources.web_pictures import WebPictures
from bec_orch.io.stores.objects import Entry, Objects

METS = "mets.xml"
MAX_FOLDERS = 1000
"""Folders of a workspace that pictures lie in; those are listed for their versions."""
_TWICE = "Let each file entry of the METS belong to one page, and give it an ID of its own (`ocrd workspace validate`)."
_PUBLIC = frozenset({Reach.PUBLIC})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Workspace:
    """The pages of a workspace, and where the picture of each lies. A page whose picture is not there has no ETag."""

    located: tuple[MetsPage, ...]
    pages: tuple[Page, ...]

    @property
    def etag(self) -> str:
        each = [
            [page.filename, at.path, page.etag, page.size] for page, at in zip(self.pages, self.located, strict=True)
        ]
        return hashlib.sha256(json.dumps(["mets", *each]).encode()).hexdigest()


class MetsSource(WorkFolders):
    """Volumes as OCR-D workspaces under the URL of a store."""

    def __init__(self, name: str, objects: Objects, pictures: WebPictures, group: str | None = None) -> None:
        super().__init__(name, objects)
        self._pictures = pictures
        self._group = group

    @override
    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        found = self._read(volume)
        if found is None:
            raise ManifestMissing(
                f"The volume {volume} has no '{METS}' in {self._objects.url}.",
                hint="Volumes are workspaces ROOT/WORK/VOLUME/mets.xml. Where many are missing, check the mount.",
            )
        check_pages(found.pages, f"The METS of {volume}", _TWICE)
        return Manifest(volume, found.etag, with_intro_skipped(found.pages, nb_images_intro))

    @override
    def manifest_etag(self, volume: VolumeRef) -> str | None:
        found = self._read(volume)
        return found.etag if found else None

    @override
    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        """Return the names of the pages whose pictures are there, or were not missed on a server."""
        found = self._read(volume)
        if found is None:
            return frozenset()
        urls = {at.filename: (at.url,) for at in found.located if at.url}
        there = {page.filename for page in found.pages if page.etag is not None}
        return frozenset(there - self._pictures.gone(volume, urls, _PUBLIC))

    @override
    def pages(self, manifest: Manifest) -> "MetsPages":
        return MetsPages(self, self._objects, self._pictures, manifest)

    @override
    def _in_work(self, work: str) -> Iterator[VolumeRef | Rejected]:
        for folder in self._objects.list(work).folders:
            if not folder.startswith(".") and self._objects.head(f"{work}/{folder}/{METS}"):
                yield self._volume_of(work, folder)

    def located(self, manifest: Manifest) -> tuple[MetsPage, ...]:
        """Return where the pictures of a manifest lie.

        Raises:
            RetryableError: the workspace is another one by now.
        """
        found = self._read(manifest.volume)
        if found is None or found.etag != manifest.etag:
            raise RetryableError(
                f"The workspace of {manifest.volume} was changed, or went away.",
                code="E_SOURCE_CHANGED",
                hint="It is looked for again, and what is there then is done.",
            )
        return found.located

    def _volume_of(self, work: str, folder: str) -> VolumeRef | Rejected:
        try:
            volume = VolumeRef(work, folder, self.name)
        except NameUnsafeError as error:
            return badly_named(f"{work}/{folder}", error)
        if self._objects.real_prefix(str(volume)) is None or self._objects.is_link(f"{volume}/{METS}"):
            return linked_out(str(volume))
        return volume

    def _read(self, volume: VolumeRef) -> _Workspace | None:
        subject = f"The METS of {volume}"
        if isinstance(self._volume_of(volume.w_id, volume.i_id), Rejected):
            raise refused(subject, "lies behind a link that leads out of its source", "E_VOLUME_LINK", LINK_HINT)
        blob = self._objects.surely(lambda: self._objects.read(f"{volume}/{METS}", limit=MAX_BYTES))
        if blob is None:
            return None
        if blob.size > MAX_BYTES:
            raise refused(subject, f"has {blob.size} bytes, and {MAX_BYTES} are allowed", "E_MANIFEST_TOO_LARGE")
        found = read_mets(blob.data, subject, self._group)
        if found.others:
            log.info(
                "mets_files_passed_over", extra={"volume": str(volume), "group": found.group, "files": found.others}
            )
        entries = self._entries(volume, found.pages, subject)
        return _Workspace(found.pages, tuple(_page(n, at, entries.get(at.path)) for n, at in enumerate(found.pages)))

    def _entries(self, volume: VolumeRef, pages: tuple[MetsPage, ...], subject: str) -> dict[str, Entry]:
        folders = dict.fromkeys(str(PurePosixPath(page.path).parent) for page in pages if page.path)
        if len(folders) > MAX_FOLDERS:
            raise refused(
                subject, f"has pictures in {len(folders)} folders", "E_METS", f"At most {MAX_FOLDERS} may be."
            )
        found: dict[str, Entry] = {}
        for folder in folders:
            prefix = str(volume) if folder == "." else f"{volume}/{folder}"
            if self._objects.real_prefix(prefix) is None:
                raise refused(subject, f"has pictures in a link, {printable(folder)}", "E_VOLUME_LINK", LINK_HINT)
            listed = self._objects.list(prefix).objects
            found.update((entry.key.removeprefix(f"{volume}/"), entry) for entry in listed)
        return found


class MetsPages:
    """The pictures of one workspace (a `PageReader`)."""

    def __init__(self, source: MetsSource, objects: Objects, pictures: WebPictures, manifest: Manifest) -> None:
        self._objects = objects
        self._pictures = pictures
        self._volume = manifest.volume
        self._located = lru_cache(1)(lambda: source.located(manifest))

    async def read(self, page: Page) -> PageBytes:
        """Read the picture of one page.

        Raises:
            PageError: it has none in the file group (E_METS_NO_IMAGE), one that leads out of the workspace, or nowhere
                (E_METS_HREF), or as the picture's place has it.
            RetryableError: the workspace changed, or what the picture lies in is away.
        """
        at = (await anyio.to_thread.run_sync(self._located))[page.index]
        if at.url:
            data = await self._pictures.read(self._volume, page, (at.url,), _PUBLIC)
            return PageBytes(data, page.etag or "")
        if at.fault:
            message = f"The page {printable(page.filename)} of {self._volume} {at.fault}."
            hint = "Pictures lie below the workspace, or on the web."
            raise PageError(message, stage="fetch", code="E_METS_HREF", hint=hint)
        if not at.path:
            message = f"The page {printable(page.filename)} of {self._volume} has no picture in the file group."
            raise PageError(message, stage="fetch", code="E_METS_NO_IMAGE", hint="Name another with `PATH#group=...`.")
        folder = str(PurePosixPath(at.path).parent)
        prefix = str(self._volume) if folder == "." else f"{self._volume}/{folder}"
        file = replace(page, filename=PurePosixPath(at.path).name)
        return await StorePages(self._objects, prefix).read(file)


def open_mets(name: str, url: str, parts: SourceParts) -> MetsSource:
    """Open the layout `mets` at the URL of a store; see `OpenSource`."""
    bare, options = split_options(name, url, {"group"})
    return MetsSource(name, parts.stores.open(bare), WebPictures(parts.fetcher), options.get("group"))


def _page(index: int, at: MetsPage, entry: Entry | None) -> Page:
    if entry:
        return Page(index, at.filename, entry.etag, entry.size)
    return Page(index, at.filename, hashlib.sha256(at.url.encode()).hexdigest() if at.url else None)
