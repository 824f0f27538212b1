"""The image source `pdf`: `<root>/<w_id>/<i_id>.pdf`, each file a volume.

Pages are called by their numbers: 0001, 0002 and so on. Their pictures are made by what reads documents (a port), in a
resolution that the source's name may state: `pdf+file:///scans#dpi=400`. The version of a volume is a digest over size
and modification time of its file (on a bucket: its ETag) and the resolution, so that another one is another version.
"""

import hashlib
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from functools import lru_cache

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from typing_extensions import override

from bec_orch.core.by_name import ByName, find_folder
from bec_orch.core.names import printable
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.ports.sources import Documents
from bec_orch.core.volumes import Manifest, Page, VolumeRef
from bec_orch.core.wording import clause
from bec_orch.errors import ManifestMissing, NameUnsafeError, PageError, RetryableError, TaskFault, UsageError
from bec_orch.io.sources.opening import SourceParts, split_options
from bec_orch.io.sources.pages import (
    LINK_HINT,
    Rejected,
    badly_named,
    check_pages,
    linked_out,
    refused,
    with_intro_skipped,
)
from bec_orch.io.sources.trees import WorkFolders, own_documents
from bec_orch.io.stores.objects import Entry, LocalFile, Objects

SUFFIX = ".pdf"
USUAL_DPI = 300
"""What engines for text want; line models see less."""
DPI = range(36, 1201)
"""Resolutions that may be asked for, dots per inch."""
MAX_FILE_BYTES = 8 * 2**30
"""A larger file is not read: where it lies in a bucket, it has to be copied first."""
_KEPT = 2  # files of a bucket that are kept as copies, beside those in use
# How a child ended that read a document: a sick machine looks the same.
_LOST = frozenset({"E_PAGE_CRASH", "E_PAGE_MEMORY", "E_PAGE_TIMEOUT", "E_PAGE_UNEXPECTED"})
_TWICE = "is there twice, with its suffix in small letters and in capitals"
_limiter: RunVar[CapacityLimiter] = RunVar("threads that wait for pages of documents")


class PdfSource(WorkFolders):
    """Volumes as PDF files in folders of their works, under the URL of a store."""

    volume_is = "file"

    def __init__(self, name: str, objects: Objects, documents: Documents, dpi: int = USUAL_DPI) -> None:
        super().__init__(name, objects)
        self._documents = documents
        self._dpi = dpi
        self._files: OrderedDict[Entry, LocalFile] = OrderedDict()
        self._lock = threading.Lock()

    @override
    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        entry = self._surely_found(volume)
        if entry is None:
            raise ManifestMissing(
                f"The volume {volume} has no PDF in {self._objects.url}.",
                hint="Volumes are files ROOT/WORK/VOLUME.pdf. Where many are missing, check the mount.",
            )
        etag = self._version(entry)
        pages = [Page(at, f"{at + 1:04}", f"{etag[:32]}-{at + 1}") for at in range(self._count(volume, entry))]
        check_pages(pages, f"The PDF of {volume}")
        return Manifest(volume, etag, with_intro_skipped(pages, nb_images_intro))

    @override
    def manifest_etag(self, volume: VolumeRef) -> str | None:
        entry = self._surely_found(volume)
        return self._version(entry) if entry else None

    @override
    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        return frozenset(page.filename for page in self.read_manifest(volume).pages)

    @override
    def pages(self, manifest: Manifest) -> "PdfPages":
        return PdfPages(self, self._documents, manifest, self._dpi)

    @override
    def spelled(self, volume: VolumeRef) -> VolumeRef:
        if str(volume).isascii() or self._found(volume):
            return volume
        work = find_folder(volume.w_id, lambda _top: self._objects.list("").folders)
        found = self.scan_work(work) if work else ()
        return ByName({one.i_id: one for one in found if isinstance(one, VolumeRef)}).get(volume.i_id) or volume

    @override
    def _in_work(self, work: str) -> Iterator[VolumeRef | Rejected]:
        listing = self._objects.list(work)
        own = own_documents(listing, self._objects.url)
        found = [entry for entry in listing.objects if is_pdf(entry.name) and entry.name not in own]
        named = Counter(entry.name[: -len(SUFFIX)] for entry in found)
        for entry in found:
            is_alone = named[entry.name[: -len(SUFFIX)]] == 1
            yield self._volume_of(work, entry) if is_alone else Rejected(entry.key, _TWICE, "Rename one of them.")

    def file(self, manifest: Manifest) -> LocalFile:
        """Return the file of a manifest's volume, as one of this machine.

        Raises:
            RetryableError: it is gone, another one by now, or the store is away.
        """
        entry = self._surely_found(manifest.volume)
        if entry is None or self._version(entry) != manifest.etag:
            raise RetryableError(
                f"The PDF of {manifest.volume} was replaced, or went away.",
                code="E_SOURCE_CHANGED",
                hint="It is looked for again, and what is there then is done.",
            )
        return self._local(entry)

    def _volume_of(self, work: str, entry: Entry) -> VolumeRef | Rejected:
        try:
            volume = VolumeRef(work, entry.name[: -len(SUFFIX)], self.name)
        except NameUnsafeError as error:
            return badly_named(entry.key, error)
        if self._objects.is_link(entry.key):
            return linked_out(entry.key)
        return volume

    def _surely_found(self, volume: VolumeRef) -> Entry | None:
        return self._objects.surely(lambda: self._found(volume))

    def _found(self, volume: VolumeRef) -> Entry | None:
        """Return the file of a volume, whose suffix may be written in any case.

        Raises:
            ManifestError: there are two (E_NAME_DUPLICATE), or it is a link that leads elsewhere (E_VOLUME_LINK).
        """
        subject = f"The PDF of {volume}"
        if self._objects.real_prefix(volume.w_id) is None:
            raise refused(subject, "lies in a link that leads out of its source", "E_VOLUME_LINK", LINK_HINT)
        listed = self._objects.list(volume.w_id).objects
        found = [entry for entry in listed if is_pdf(entry.name) and entry.name[: -len(SUFFIX)] == volume.i_id]
        if len(found) > 1:
            names = " and ".join(printable(entry.name) for entry in found)
            raise refused(subject, f"is there twice, as {names}", "E_NAME_DUPLICATE", "Rename one of them.")
        if found and self._objects.is_link(found[0].key):
            raise refused(subject, "is a link that leads out of its source", "E_VOLUME_LINK", LINK_HINT)
        return found[0] if found else None

    def _version(self, entry: Entry) -> str:
        return hashlib.sha256(f"pdf\0{entry.size}\0{entry.etag}\0{self._dpi}".encode()).hexdigest()

    def _count(self, volume: VolumeRef, entry: Entry) -> int:
        subject = f"The PDF of {volume}"
        if entry.size > MAX_FILE_BYTES:
            reason = f"has {entry.size} bytes, and {MAX_FILE_BYTES} are allowed"
            raise refused(subject, reason, "E_PDF_TOO_LARGE", "Split it.")
        try:
            return self._documents.count_pages(self._local(entry).fileno())
        except PageError as error:
            if error.code in _LOST:
                raise TaskFault(f"{subject} cannot be read: {clause(error.message)}.", code=error.code) from error
            raise refused(subject, f"cannot be read: {clause(error.message)}", error.code, error.hint) from error

    def _local(self, entry: Entry) -> LocalFile:
        """Return the file of an entry; the last ones are kept open."""
        with self._lock:
            if entry not in self._files:
                self._files[entry] = self._objects.local_file(entry)
            self._files.move_to_end(entry)
            while len(self._files) > _KEPT:
                self._files.popitem(last=False)
            return self._files[entry]


class PdfPages:
    """The pages of one PDF (a `PageReader`)."""

    def __init__(self, source: PdfSource, documents: Documents, manifest: Manifest, dpi: int) -> None:
        self._documents = documents
        self._manifest = manifest
        self._dpi = dpi
        self._file = lru_cache(1)(lambda: source.file(manifest))

    async def read(self, page: Page) -> PageBytes:
        """Have the picture of one page made.

        Raises:
            PageError: the page is broken, or too large (stage `fetch`).
            RetryableError: the file is gone or another one, the store away, or no process can be had.
        """
        return await anyio.to_thread.run_sync(self._read, page, limiter=_threads())

    def _read(self, page: Page) -> PageBytes:
        try:
            data = self._documents.picture(self._file().fileno(), page.index, self._dpi)
        except PageError as error:
            message = f"The page {printable(page.filename)} of {self._manifest.volume}: {clause(error.message)}."
            raise PageError(message, stage="fetch", code=error.code, hint=error.hint) from error
        return PageBytes(data, page.etag or "")


def open_pdf(name: str, url: str, parts: SourceParts) -> PdfSource:
    """Open the layout `pdf` at the URL of a store; see `OpenSource`.

    Raises:
        UsageError: the resolution is no number, or none that pages are drawn in (E_SOURCE_NAME).
    """
    bare, options = split_options(name, url, {"dpi"})
    asked = options.get("dpi", str(USUAL_DPI))
    if not (asked.isascii() and asked.isdecimal() and len(asked) < 5 and int(asked) in DPI):  # noqa: PLR2004
        raise UsageError(
            f"{printable(asked)} is not a resolution for the pages of a PDF.",
            code="E_SOURCE_NAME",
            hint=f"It is a number of dots per inch from {DPI[0]} to {DPI[-1]}, such as `#dpi={USUAL_DPI}`.",
        )
    return PdfSource(name, parts.stores.open(bare), parts.documents, int(asked))


def is_pdf(filename: str) -> bool:
    """Return whether a file's name is that of a PDF that is a volume."""
    return filename.lower().endswith(SUFFIX) and not filename.startswith(".") and len(filename) > len(SUFFIX)


def _threads() -> CapacityLimiter:
    """Return what keeps waiting for pages from taking all threads of the event loop, which others need."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(os.cpu_count() or 1)
        _limiter.set(limiter)
        return limiter
