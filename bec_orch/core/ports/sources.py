"""The ports of a source: where volumes' images live, and how they are laid out; and what documents are read by."""

from collections.abc import Iterable
from typing import Protocol

from bec_orch.core.ports.job_worker import PageReader
from bec_orch.core.volumes import Manifest, VolumeRef


class ImageSource(Protocol):
    """Where volumes' images live, and how they are laid out. Nothing of a store is presupposed: no keys, no folders."""

    name: str

    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        """Read the list of a volume's pages.

        Raises:
            ManifestMissing: there is none, in a source that is there.
            ManifestError: it is broken or hostile.
            RetryableError: the store is away.
        """
        ...

    def manifest_etag(self, volume: VolumeRef) -> str | None:
        """Ask for the volume's version alone, as cheaply as the source can; None when there is no such volume.

        Raises:
            RetryableError: the store is away.
        """
        ...

    def missing(self, volume: VolumeRef) -> str:
        """Return the sentence that a volume is not there, after `manifest_etag` said so; with its address, if any."""
        return f"The volume {volume} is not in its source."

    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        """Return the names of the pages that the source lists for the volume now, and maybe names of other files.

        Raises:
            RetryableError: the store is away.
        """
        ...

    def pages(self, manifest: Manifest) -> PageReader:
        """Return the reader of the manifest's page images: the only way to their bytes."""
        ...

    def spelled(self, volume: VolumeRef) -> VolumeRef:
        """Return a volume by the names that it has here, where it was named in another Unicode form of them.

        Raises:
            RetryableError: the store is away.
        """
        return volume

    def check_readable(self) -> None:
        """Check that the source is there, and lets us read.

        Raises:
            StorageError: it is not, or does not (E_STORAGE_DENIED).
        """
        ...

    def check_there(self) -> None:
        """Check that the source is there, and holds something.

        Raises:
            StorageError: it is not (E_STORAGE_MISSING), does not (E_STORAGE_EMPTY), or is away.
            ManifestError: what lies there is nothing that has volumes.
        """
        self.check_readable()

    def volumes(self) -> Iterable[VolumeRef]:
        """List the volumes of the source, where its layout allows that.

        Raises:
            UsageError: this layout cannot be listed.
        """
        ...


class SourceFactory(Protocol):
    """Opens the source of a volume by the source's name (`<layout>+<url>`)."""

    def __call__(self, source: str) -> ImageSource:
        """Return the source."""
        ...


class Documents(Protocol):
    """Reads files that hold many pages (PDF), each given by its descriptor. May be used by all threads."""

    def count_pages(self, file: int) -> int:
        """Return how many pages a document has, 1 at least.

        Raises:
            PageError: it is encrypted, broken, or has too many; or took the process that read it with it.
            ConfigError: what reads it is not installed (E_EXTRA_MISSING).
            RetryableError: the file cannot be read, or no process can be had.
        """
        ...

    def picture(self, file: int, index: int, dpi: int) -> bytes:
        """Return the picture of a page, from 0, as an image file; drawn in `dpi` where the page is not one picture.

        Raises:
            PageError, ConfigError, RetryableError: as above.
        """
        ...
