"""A folder of this machine as an object store: obstore for bytes, the operating system for what obstore cannot tell."""

import datetime as dt
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import LocalStore

from bec_orch.errors import NameUnsafeError
from bec_orch.io.stores.errors import missing_store, told
from bec_orch.io.stores.objects import Blob, Entry, Listing, Objects, Retries

if TYPE_CHECKING:
    from obstore import ObjectMeta

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
# obstore writes `NAME#1` before it links or renames to NAME.
_STAGED = re.compile(r"#\d+$")


class FolderObjects(Objects):
    """The files below one folder.

    Listings come from the operating system: obstore gives up a whole listing for one name with a control character, and
    does not tell symbolic links. The ETag of a file is made of its modification time in microseconds and its size.
    """

    def __init__(self, root: Path, retries: Retries | None = None, *, create: bool = False) -> None:
        with told(f"open the folder {root}"):
            if create:
                root.mkdir(parents=True, exist_ok=True)
            if not root.is_dir():
                raise missing_store(root.as_uri())
            store = LocalStore(root, automatic_cleanup=True)
        super().__init__(store, root.as_uri(), retries)
        self._root = root

    def version(self, blob: Blob) -> str:
        return f'"{hashlib.md5(blob.data, usedforsecurity=False).hexdigest()}"'

    def version_at(self, key: str) -> str | None:
        blob = self.read(key)
        return self.version(blob) if blob else None

    def is_link(self, key: str) -> bool:
        return self._path(key).is_symlink()

    def _list(self, prefix: str) -> Listing:
        path = self._path(prefix)
        objects, folders = [], []
        with told(f"list {path}"):
            try:
                found = list(os.scandir(path))
            except (FileNotFoundError, NotADirectoryError) as error:
                self._absent(error)
                return Listing((), (), exists=False)
            for entry in found:
                if entry.is_dir():
                    folders.append(entry.name)
                elif not _STAGED.search(entry.name) and (entry.is_symlink() or entry.is_file()):
                    objects.append(_entry(f"{prefix}/{entry.name}" if prefix else entry.name, entry))
        return Listing(tuple(sorted(objects, key=lambda entry: entry.key)), tuple(sorted(folders)))

    def walk(self, prefix: str) -> Iterator[Entry]:
        listing = self.list(prefix)
        yield from listing.objects
        for folder in listing.folders:
            below = f"{prefix}/{folder}" if prefix else folder
            if not self.is_link(below):  # it may lead back to where we are
                yield from self.walk(below)

    def _create(self, key: str, data: bytes | Path) -> bool:
        created = super()._create(key, data)
        if created:
            self._keep(key)
        return created

    def _replace(self, key: str, data: bytes, etag: str) -> bool:
        """Look, then replace: folders know no compare-and-swap, so the caller keeps others away meanwhile."""
        there = self._read(key, None)
        if there is None or self.version(there) != etag:
            return False
        with told(f"replace '{key}' in {self.url}"):
            obstore.put(self._store, key, data, mode="overwrite")
        self._keep(key)
        return True

    def _keep(self, key: str) -> None:
        """Have a file and its name survive a power cut, in this order: what `success.json` names is there before it."""
        path = self._path(key)
        with told(f"keep '{key}' in {self.url}"):
            for kept in (path, *(folder for folder in path.parents if folder.is_relative_to(self._root))):
                file = os.open(kept, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)

    def _etag(self, meta: "ObjectMeta") -> str:
        return _stat_etag((meta["last_modified"] - _EPOCH) // _MICROSECOND, meta["size"])

    def _absent(self, error: OSError) -> None:
        if not self._root.is_dir():
            raise missing_store(self.url) from error

    def _path(self, key: str) -> Path:
        if ".." in key.split("/") or key.startswith("/"):
            raise NameUnsafeError(f"The key '{key}' would leave {self.url}.")
        return self._root / key


def _entry(key: str, found: "os.DirEntry[str]") -> Entry:
    stat = found.stat(follow_symlinks=False)
    return Entry(key, stat.st_size, _stat_etag(stat.st_mtime_ns // 1000, stat.st_size))


def _stat_etag(microseconds: int, size: int) -> str:
    return f'"{microseconds:x}-{size:x}"'
