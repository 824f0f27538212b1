"""What those sources have in common that find their volumes by looking through a store."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.volumes import VolumeRef
from bec_orch.io.sources.exported import exported_files, exported_folders
from bec_orch.io.sources.pages import Rejected
from bec_orch.io.stores.objects import Listing, Objects
from bec_orch.io.workspace import own_in

log = logging.getLogger(__name__)


class TreeSource(ImageSource, ABC):
    """Volumes in a tree of folders, under the URL of a store."""

    volume_is: ClassVar[str] = "folder"
    """What a volume is in this layout: a folder or a file."""

    def __init__(self, name: str, objects: Objects) -> None:
        self.name = name
        self._objects = objects

    @override
    def check_readable(self) -> None:
        self._objects.check_readable()

    @override
    def check_there(self) -> None:
        self._objects.check_there()

    @override
    def volumes(self) -> Iterator[VolumeRef]:
        """List the volumes lazily. What cannot be one is skipped, and logged; `scan` returns it.

        Raises:
            StorageError: the store is away, or holds nothing at all.
        """
        self._objects.check_there()
        for found in self.scan():
            if isinstance(found, Rejected):
                extra = {self.volume_is: found.name, "reason": found.reason}
                log.warning("volume_%s_ignored", self.volume_is, extra=extra)
            else:
                yield found

    @abstractmethod
    def scan(self) -> Iterator[VolumeRef | Rejected]:
        """List the volumes, by name, and what cannot be one."""


def inside(listing: Listing) -> list[str]:
    """Return the folders of a folder that may hold volumes: hidden ones do not, nor what the program wrote there."""
    files = [entry.name for entry in listing.objects]
    own = own_in(files, listing.folders) | exported_folders(files, listing.folders)
    return [folder for folder in listing.folders if not folder.startswith(".") and folder not in own]


def own_documents(listing: Listing, url: str) -> frozenset[str]:
    """Return which files of a folder of the store at a URL are documents that an export wrote there."""
    if not listing.objects:
        return frozenset()
    way = f"{unquote(urlsplit(url).path)}/{listing.objects[0].key}".split("/")
    return exported_files([entry.name for entry in listing.objects], [name for name in way[:-1] if name])


class WorkFolders(TreeSource):
    """Volumes two levels deep: a folder for each work, with its volumes in it."""

    @override
    def scan(self) -> Iterator[VolumeRef | Rejected]:
        return self._each_once(each for work in inside(self._objects.list("")) for each in self._in_work(work))

    def scan_work(self, work: str) -> Iterator[VolumeRef | Rejected]:
        """Look through one work's folder."""
        return self._each_once(self._in_work(work))

    @abstractmethod
    def _in_work(self, work: str) -> Iterator[VolumeRef | Rejected]:
        """List what one work's folder has, whatever is in others."""

    def _each_once(self, found: Iterable[VolumeRef | Rejected]) -> Iterator[VolumeRef | Rejected]:
        """Leave out what is there twice."""
        yield from found
