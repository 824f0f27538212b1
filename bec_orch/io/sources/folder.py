"""The image source `folder`: `<root>/<w_id>/<i_id>/` with images in it; and `flat`: one folder that is one volume.

Pages are the files with an image's suffix, in the order of the numbers in their names. Hidden files, other files and
folders are no pages. The version of a volume is a digest over its pages' names, sizes and modification times (on a
bucket: ETags), so touching an image makes a new version; their order does not count in it, so that what was done when
they were ordered by code point stays done.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from bec_orch.core.by_name import find_folder
from bec_orch.core.volumes import Manifest, Page, VolumeRef
from bec_orch.errors import ManifestMissing, NameUnsafeError, StorageError
from bec_orch.io.sources.opening import SourceParts, split_options
from bec_orch.io.sources.page_files import NoPage, in_page_order, passed_over, why_no_page
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
from bec_orch.io.sources.trees import WorkFolders, inside, own_documents
from bec_orch.io.stores.objects import Entry, Listing, Objects
from bec_orch.io.workspace import rooms_in

_STRAY = "has images beside its folders"
_EMPTY = "has no images in it"
_NO_IMAGES = "Put them there, or leave it as it is: an empty folder does no harm."
_MOVE_STRAY = "Move them into a folder for each volume, or name this folder to have it taken as one volume."

log = logging.getLogger(__name__)


class FolderSource(WorkFolders):
    """Volumes as folders of images under the URL of a store. With `flat`, the URL is itself the one volume."""

    def __init__(self, name: str, objects: Objects, *, flat: bool = False) -> None:
        super().__init__(name, objects)
        self._flat = flat

    @override
    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        if self._objects.real_prefix(self._prefix(volume)) is None:
            what = "is a link that leads out of its source"
            raise refused(f"The folder of {volume}", what, "E_VOLUME_LINK", LINK_HINT)
        listing = self._surely_listed(self._prefix(volume))
        if not listing.exists:
            raise ManifestMissing(
                f"The volume {volume} has no folder in {self._objects.url}.",
                hint="Volumes are folders ROOT/WORK/VOLUME with images. Where many are missing, check the mount.",
            )
        images = image_entries(listing, self._objects.url)
        if not images:
            raise ManifestMissing(
                f"The folder of {volume} has no page images.",
                code="E_MANIFEST_EMPTY",
                hint="Add the images, or leave the volume out; where many have none, check the mount.",
            )
        pages = [Page(index, entry.name, entry.etag, entry.size) for index, entry in enumerate(images)]
        check_pages(pages, f"The folder of {volume}")
        others = passed_over(entry.name for entry in listing.objects)
        others += Counter({NoPage.OWN.value: len(own_documents(listing, self._objects.url))})
        if others:
            log.info("files_passed_over", extra={"volume": str(volume), **others})
        return Manifest(volume, _version(images), with_intro_skipped(pages, nb_images_intro), others)

    @override
    def manifest_etag(self, volume: VolumeRef) -> str | None:
        images = image_entries(self._surely_listed(self._prefix(volume)), self._objects.url)
        return _version(images) if images else None

    @override
    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        return frozenset(entry.name for entry in self._objects.list(self._prefix(volume)).objects)

    @override
    def pages(self, manifest: Manifest) -> StorePages:
        return StorePages(self._objects, self._prefix(manifest.volume))

    @override
    def spelled(self, volume: VolumeRef) -> VolumeRef:
        prefix = self._prefix(volume)
        if prefix.isascii() or self._objects.list(prefix).exists:
            return volume
        found = find_folder(prefix, lambda folder: self._objects.list(folder).folders)
        w_id, _, i_id = (found or prefix).partition("/")
        return VolumeRef(w_id, i_id, self.name)

    @override
    def scan(self) -> Iterator[VolumeRef | Rejected]:
        if self._flat:
            yield self._itself()
            return
        top = self._objects.list("")
        rooms = _rooms_in(top)
        yield from (found for found in super().scan() if not _is_empty_in(found, rooms, 0))
        if image_entries(top, self._objects.url):
            yield Rejected(".", _STRAY, _MOVE_STRAY)

    def _itself(self) -> VolumeRef | Rejected:
        """Return the one volume of a `flat` source: work and volume are named like its folder."""
        folder = unquote(urlsplit(self._objects.url).path).rstrip("/").rpartition("/")[2]
        try:
            return VolumeRef(folder, folder, self.name)
        except NameUnsafeError as error:
            return badly_named(folder, error)

    @override
    def _each_once(self, found: Iterable[VolumeRef | Rejected]) -> Iterator[VolumeRef | Rejected]:
        """Leave out links to folders that are volumes already, and those that lead out of the source."""
        names: dict[str, str] = {}
        for each in found:
            prefix = str(each)
            real = self._objects.real_prefix(prefix) if isinstance(each, VolumeRef) else ""
            if real is None:
                yield linked_out(prefix)
            elif real and real != prefix and (real.count("/") == 1 or real in names):
                what = f"is a link to {names.get(real, real)}, which is a volume already"
                yield Rejected(prefix, what, "Nothing is lost: the volume is done under its own name.")
            else:
                names[real] = prefix
                yield each

    @override
    def _in_work(self, work: str) -> Iterator[VolumeRef | Rejected]:
        listing = self._readable(work)
        if isinstance(listing, Rejected):
            yield listing
            return
        if image_entries(listing, self._objects.url):
            yield Rejected(work, _STRAY, _MOVE_STRAY)
        rooms = _rooms_in(listing)
        for folder in inside(listing):
            yield from (found for found in self._scan_volume(work, folder) if not _is_empty_in(found, rooms, 1))

    def _scan_volume(self, work: str, folder: str) -> Iterator[VolumeRef | Rejected]:
        listing = self._readable(f"{work}/{folder}")
        if isinstance(listing, Rejected):
            yield listing
            return
        if not image_entries(listing, self._objects.url):
            if not listing.folders:
                yield Rejected(f"{work}/{folder}", _EMPTY, _NO_IMAGES)
            return
        try:
            yield VolumeRef(work, folder, self.name)
        except NameUnsafeError as error:
            yield badly_named(f"{work}/{folder}", error)

    def _readable(self, prefix: str) -> Listing | Rejected:
        """List a folder; one that may not be read does not stop the others."""
        try:
            return self._surely_listed(prefix)
        except StorageError as error:
            if error.code != "E_STORAGE_DENIED":
                raise
            return Rejected(prefix, "cannot be read: this is not allowed", "Check its rights.")

    def _surely_listed(self, prefix: str) -> Listing:
        return self._objects.surely(lambda: self._objects.list(prefix))

    def _prefix(self, volume: VolumeRef) -> str:
        return "" if self._flat else f"{volume.w_id}/{volume.i_id}"


def open_folder(name: str, url: str, parts: SourceParts) -> FolderSource:
    """Open the layout `folder` at the URL of a store; see `OpenSource`."""
    return FolderSource(name, parts.stores.open(split_options(name, url, ())[0]))


def open_flat(name: str, url: str, parts: SourceParts) -> FolderSource:
    """Open the layout `flat` at the URL of a store; see `OpenSource`."""
    return FolderSource(name, parts.stores.open(split_options(name, url, ())[0]), flat=True)


def image_entries(listing: Listing, url: str) -> list[Entry]:
    """Return the page images of a folder of the store at a URL, in order; what an export wrote there is none."""
    own = own_documents(listing, url)
    found = [entry for entry in listing.objects if entry.name not in own and why_no_page(entry.name) is None]
    return sorted(found, key=lambda entry: in_page_order(entry.name))


def _rooms_in(listing: Listing) -> frozenset[str]:
    return rooms_in([entry.name for entry in listing.objects])


def _is_empty_in(found: VolumeRef | Rejected, rooms: frozenset[str], level: int) -> bool:
    """Return whether this is a folder without images that a workspace made: its own name, or that of the one around."""
    return isinstance(found, Rejected) and found.reason == _EMPTY and found.name.split("/")[level] in rooms


def _version(images: list[Entry]) -> str:
    digest = hashlib.sha256()
    for entry in sorted(images, key=lambda entry: entry.name):
        digest.update(f"{entry.name}\0{entry.size}\0{entry.etag}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
