"""The image source `folder`: `<root>/<w_id>/<i_id>/` with images in it; and `flat`: one folder that is one volume.

Pages are the files with an image's suffix, in the order of the numbers in their names. Hidden files, other files and
folders are no pages. The version of a volume is a digest over its pages' names, sizes and modification times (on a
bucket: ETags), so touching an image makes a new version; their order does not count in it, so that what was done when
they were ordered by code point stays done.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from typing_extensions import override

from bec_orch.core.by_name import find_folder
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.volumes import Manifest, Page, VolumeRef
from bec_orch.errors import ManifestMissing, NameUnsafeError, StorageError
from bec_orch.io.sources.opening import SourceParts, split_options
from bec_orch.io.sources.page_files import in_page_order, passed_over, why_no_page
from bec_orch.io.sources.pages import LINK_HINT, Rejected, StorePages, check_pages, refused, with_intro_skipped
from bec_orch.io.stores.objects import Entry, Listing, Objects

_LINK_OUT = "is a link to a folder outside of its source, and such links are not followed (`--follow-links`)"
_STRAY = "has images beside its folders; they belong in a folder for each volume"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a tree of volumes holds, both sorted by name."""

    volumes: tuple[VolumeRef, ...]
    rejected: tuple[Rejected, ...]


class FolderSource(ImageSource):
    """Volumes as folders of images under the URL of a store. With `flat`, the URL is itself the one volume."""

    def __init__(self, name: str, objects: Objects, *, flat: bool = False) -> None:
        self.name = name
        self._objects = objects
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
        images = image_entries(listing)
        if not images:
            raise ManifestMissing(
                f"The folder of {volume} has no page images.",
                code="E_MANIFEST_EMPTY",
                hint="Add the images, or leave the volume out; where many have none, check the mount.",
            )
        pages = [Page(index, entry.name, entry.etag, entry.size) for index, entry in enumerate(images)]
        check_pages(pages, f"The folder of {volume}")
        others = passed_over(entry.name for entry in listing.objects)
        if others:
            log.info("files_passed_over", extra={"volume": str(volume), **others})
        return Manifest(volume, _version(images), with_intro_skipped(pages, nb_images_intro), others)

    @override
    def manifest_etag(self, volume: VolumeRef) -> str | None:
        images = image_entries(self._surely_listed(self._prefix(volume)))
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
    def check_readable(self) -> None:
        self._objects.check_readable()

    @override
    def volumes(self) -> Iterator[VolumeRef]:
        """List the volumes. Folders that cannot be one are skipped, and logged; `scan` returns them.

        Raises:
            StorageError: the store is away, or holds nothing at all.
        """
        self._objects.check_there()
        found = self.scan()
        for rejected in found.rejected:
            log.warning("volume_folder_ignored", extra={"folder": rejected.name, "reason": rejected.reason})
        yield from found.volumes

    def scan(self) -> Scan:
        """Look through the whole tree, two levels deep."""
        listing = self._objects.list("")
        works = [name for name in listing.folders if not name.startswith(".")]
        found = list(self._each_once(each for work in works for each in self._scan_work(work)))
        if image_entries(listing):
            found.append(Rejected(".", _STRAY))
        return Scan(
            tuple(each for each in found if isinstance(each, VolumeRef)),
            tuple(each for each in found if isinstance(each, Rejected)),
        )

    def scan_work(self, work: str) -> Iterator[VolumeRef | Rejected]:
        """Look through one work's folder."""
        return self._each_once(self._scan_work(work))

    def _each_once(self, found: Iterable[VolumeRef | Rejected]) -> Iterator[VolumeRef | Rejected]:
        """Leave out links to folders that are volumes already, and those that lead out of the source."""
        names: dict[str, str] = {}
        for each in found:
            prefix = str(each)
            real = self._objects.real_prefix(prefix) if isinstance(each, VolumeRef) else ""
            if real is None:
                yield Rejected(prefix, _LINK_OUT)
            elif real and real != prefix and (real.count("/") == 1 or real in names):
                yield Rejected(prefix, f"is a link to {names.get(real, real)}, which is a volume already")
            else:
                names[real] = prefix
                yield each

    def _scan_work(self, work: str) -> Iterator[VolumeRef | Rejected]:
        listing = self._readable(work)
        if isinstance(listing, Rejected):
            yield listing
            return
        if image_entries(listing):
            yield Rejected(work, _STRAY)
        for folder in listing.folders:
            if not folder.startswith("."):
                yield from self._scan_volume(work, folder)

    def _scan_volume(self, work: str, folder: str) -> Iterator[VolumeRef | Rejected]:
        listing = self._readable(f"{work}/{folder}")
        if isinstance(listing, Rejected):
            yield listing
            return
        if not image_entries(listing):
            if not listing.folders:
                yield Rejected(f"{work}/{folder}", "has no images in it")
            return
        try:
            yield VolumeRef(work, folder, self.name)
        except NameUnsafeError as error:
            yield Rejected(f"{work}/{folder}", f"has a name that cannot be used: {error.message}")

    def _readable(self, prefix: str) -> Listing | Rejected:
        """List a folder; one that may not be read does not stop the others."""
        try:
            return self._surely_listed(prefix)
        except StorageError as error:
            if error.code != "E_STORAGE_DENIED":
                raise
            return Rejected(prefix, "cannot be read: this is not allowed")

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


def image_entries(listing: Listing) -> list[Entry]:
    """Return the page images of a folder, in order."""
    found = [entry for entry in listing.objects if why_no_page(entry.name) is None]
    return sorted(found, key=lambda entry: in_page_order(entry.name))


def _version(images: list[Entry]) -> str:
    digest = hashlib.sha256()
    for entry in sorted(images, key=lambda entry: entry.name):
        digest.update(f"{entry.name}\0{entry.size}\0{entry.etag}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
