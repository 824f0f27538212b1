"""The image source `bdrc`: the layout of the library's archive.

    Works/{first 2 hex of md5(w_id)}/{w_id}/images/{w_id}-{suffix}/{filename}
    Works/.../{w_id}-{suffix}/dimensions.json

The suffix is the volume's `i_id`, without its `I` when that is followed by exactly four digits (I0886 -> 0886).
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from typing_extensions import override

from bec_orch.core.volumes import Manifest, Page, VolumeRef, bare_etag
from bec_orch.errors import ManifestError, ManifestMissing, NameUnsafeError, StorageError
from bec_orch.io.sources.bdrc_manifest import MAX_BYTES, parse_dimensions
from bec_orch.io.sources.opening import SourceParts, split_options
from bec_orch.io.sources.page_files import passed_over
from bec_orch.io.sources.pages import Rejected, StorePages, badly_named, with_intro_skipped
from bec_orch.io.sources.trees import TreeSource
from bec_orch.io.stores.objects import Entry

_OLD_IMAGE_GROUP = re.compile(r"I[0-9]{4}")
_MANIFEST = "dimensions.json"
_NO_MANIFEST = "has no manifest dimensions.json"
_MAKE_MANIFEST = "Have its manifest made, or name a folder below it to have its images taken as they lie."
_OLD_SUFFIX = re.compile(r"[0-9]{4}")
# Listing an archive is a question of round trips: this many are under way at a time.
_LISTERS = 16

log = logging.getLogger(__name__)


def volume_prefix(w_id: str, i_id: str) -> str:
    """Return the key prefix of a volume, without a slash at its end."""
    digest = hashlib.md5(w_id.encode(), usedforsecurity=False).hexdigest()
    suffix = i_id[1:] if _OLD_IMAGE_GROUP.fullmatch(i_id) else i_id
    return f"Works/{digest[:2]}/{w_id}/images/{w_id}-{suffix}"


class BdrcSource(TreeSource):
    """Volumes in the library's layout, under the URL of a store."""

    @override
    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        prefix = volume_prefix(volume.w_id, volume.i_id)
        key = f"{prefix}/{_MANIFEST}"
        blob = self._objects.surely(lambda: self._objects.read(key, limit=MAX_BYTES))
        if blob is None:
            self._check_unlisted(prefix)
            raise ManifestMissing(
                f"The volume {volume} has no manifest '{key}' in {self._objects.url}.",
                hint="Check the names of work and volume, or have it made. If many are missing, check the mount.",
            )
        if blob.size > MAX_BYTES:
            raise ManifestError(f"The manifest '{key}' has {blob.size} bytes.", code="E_MANIFEST_TOO_LARGE")
        listed = {entry.name: entry for entry in self._objects.list(prefix).objects}
        others = passed_over(name for name in listed if name != _MANIFEST)
        if others:
            log.info("files_passed_over", extra={"volume": str(volume), **others})
        pages = (_found(page, listed.get(page.filename)) for page in parse_dimensions(blob.data, key))
        etag = bare_etag(self._objects.version(blob))
        return Manifest(volume, etag, with_intro_skipped(pages, nb_images_intro), others)

    @override
    def manifest_etag(self, volume: VolumeRef) -> str | None:
        prefix = volume_prefix(volume.w_id, volume.i_id)
        etag = self._objects.surely(lambda: self._objects.version_at(f"{prefix}/{_MANIFEST}"))
        if etag is None:
            self._check_unlisted(prefix)
            return None
        return bare_etag(etag)

    def _check_unlisted(self, prefix: str) -> None:
        """Check that what could not be found is not listed either: a store that contradicts itself is faulty."""
        if any(entry.name == _MANIFEST for entry in self._objects.list(prefix).objects):
            raise StorageError(
                f"The store {self._objects.url} lists '{prefix}/{_MANIFEST}', but does not find it.",
                hint="It is tried again. If it lasts, check the rights, and any proxy in front of the store.",
            )

    @override
    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        listing = self._objects.list(volume_prefix(volume.w_id, volume.i_id))
        return frozenset(entry.name for entry in listing.objects)

    @override
    def pages(self, manifest: Manifest) -> StorePages:
        return StorePages(self._objects, volume_prefix(manifest.volume.w_id, manifest.volume.i_id))

    @override
    def scan(self) -> Iterator[VolumeRef | Rejected]:
        """List the volumes, and what cannot be one, work by work in the archive's own order."""
        with ThreadPoolExecutor(_LISTERS, thread_name_prefix="bdrc-list") as pool:
            for digest in self._folders("Works"):
                works = self._folders(f"Works/{digest}")
                for found in pool.map(self._scan_work, [f"Works/{digest}/{work}" for work in works]):
                    yield from found

    def _scan_work(self, work_prefix: str) -> list[VolumeRef | Rejected]:
        work = work_prefix.rpartition("/")[2]
        folders = self._folders(f"{work_prefix}/images")
        return [self._volume_of(work, f"{work_prefix}/images/{folder}") for folder in folders]

    def _folders(self, prefix: str) -> Sequence[str]:
        return self._objects.surely(lambda: self._objects.list(prefix)).folders

    def _volume_of(self, work: str, prefix: str) -> VolumeRef | Rejected:
        suffix = prefix.rpartition("/")[2].removeprefix(f"{work}-")
        i_id = f"I{suffix}" if _OLD_SUFFIX.fullmatch(suffix) else suffix
        try:
            volume = VolumeRef(work, i_id, self.name)
        except NameUnsafeError as error:
            return badly_named(prefix, error)
        if volume_prefix(work, i_id) != prefix:
            where = volume_prefix(work, i_id)
            return Rejected(prefix, "is not where a volume of its name and work belongs", f"Move it to {where}.")
        return volume if self.manifest_exists(volume) else Rejected(prefix, _NO_MANIFEST, _MAKE_MANIFEST)

    def manifest_exists(self, volume: VolumeRef) -> bool:
        """Return whether the volume has a `dimensions.json`."""
        key = f"{volume_prefix(volume.w_id, volume.i_id)}/{_MANIFEST}"
        return self._objects.surely(lambda: self._objects.head(key)) is not None


def open_bdrc(name: str, url: str, parts: SourceParts) -> BdrcSource:
    """Open the layout `bdrc` at the URL of a store; see `OpenSource`."""
    return BdrcSource(name, parts.stores.open(split_options(name, url, ())[0]))


def _found(page: Page, entry: Entry | None) -> Page:
    return page if entry is None else replace(page, etag=entry.etag, size=entry.size)
