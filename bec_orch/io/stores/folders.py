"""A folder of this machine as an object store: obstore for bytes, the operating system for what obstore cannot see.

A disk that is unmounted leaves its mount point behind, an empty folder: read from, it lacks everything; written to, it
takes what belongs elsewhere. So whatever is missed, and whatever is written, asks whether the folder is still the one
that was opened.
"""

import datetime as dt
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import LocalStore
from typing_extensions import override

from bec_orch.errors import NameUnsafeError, NotAFile
from bec_orch.io.stores.errors import empty_store, file_errors, missing_store, replaced_store, store_errors
from bec_orch.io.stores.objects import PROBE, Blob, Entry, Listing, LocalFile, Objects, Retries

if TYPE_CHECKING:
    from obstore import ObjectMeta

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
# obstore writes `NAME#1` before it links or renames to NAME.
_STAGED = re.compile(r"#\d+$")
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
# By this many of its names a folder is known again.
_NAMES = 50


class _Root:
    """The top folder of a store as it was when it was opened, to distinguish it from what is in its place later.

    A disk that was mounted anew may have another device number: it is the same when it holds what it held.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = self._identify()
        self._names: list[str] = []
        # A folder that may be passed through, and not listed, has no names to be known by.
        with suppress(PermissionError), os.scandir(path) as found:
            self._names = [entry.name for entry in islice(found, _NAMES)]

    def is_the_same(self) -> bool:
        """Return whether the folder is the one that was opened.

        Raises:
            FileNotFoundError, NotADirectoryError: there is none.
        """
        now = self._identify()
        if now != self._identity:
            if not self._names or not all(os.path.lexists(self.path / name) for name in self._names):
                return False
            self._identity = now
        return True

    def is_empty(self) -> bool:
        """Return whether there is nothing in it that we did not write to try it."""
        with os.scandir(self.path) as found:
            return all(entry.name.startswith(PROBE) for entry in found)

    def _identify(self) -> tuple[int, int]:
        status = os.stat(f"{self.path}/")  # noqa: PTH116  (the slash, which a Path drops, refuses a file)
        return status.st_dev, status.st_ino


class FolderObjects(Objects):
    """The files below one folder.

    Listings come from the operating system: obstore aborts a whole listing for one name with a control character, and
    does not show symbolic links. The ETag of a file is made of its modification time in microseconds and its size.

    Links are followed to files below the folder (or `links_below`, a folder in it), and elsewhere only where that is
    asked for: whoever fills a folder may not have the rights of who reads it.
    """

    def __init__(
        self,
        root: Path,
        retries: Retries | None = None,
        *,
        create: bool = False,
        follow_links: bool = False,
        links_below: Path | None = None,
    ) -> None:
        with file_errors(f"open the folder {root}"):
            if create:
                root.mkdir(parents=True, exist_ok=True)
            if not root.is_dir():
                raise missing_store(root.as_uri())
            store = LocalStore(root, automatic_cleanup=True)
            self._root = _Root(root)
        self._follow_links = follow_links
        self._links_below = links_below or root
        super().__init__(store, root.as_uri(), retries)

    @override
    def version(self, blob: Blob) -> str:
        return f'"{hashlib.md5(blob.data, usedforsecurity=False).hexdigest()}"'

    @override
    def version_at(self, key: str) -> str | None:
        blob = self.read(key)
        return self.version(blob) if blob else None

    @override
    def local_file(self, entry: Entry) -> LocalFile:
        """Open the file itself."""
        self._refuse_special(entry.key)
        with file_errors(f"read '{entry.key}' in {self.url}"):
            return LocalFile(os.open(self._path(entry.key), os.O_RDONLY | os.O_CLOEXEC))

    @override
    def _read(self, key: str, limit: int | None) -> Blob | None:
        self._refuse_special(key)
        return super()._read(key, limit)

    @override
    async def _read_async(self, key: str, limit: int | None) -> Blob | None:
        self._refuse_special(key)
        return await super()._read_async(key, limit)

    @override
    def _read_range(self, key: str, start: int, end: int) -> bytes:
        self._refuse_special(key)
        return super()._read_range(key, start, end)

    @override
    def _head(self, key: str) -> Entry | None:
        return None if self._kind_of_special(key) else super()._head(key)

    def _refuse_special(self, key: str) -> None:
        """Refuse what is not a file before obstore opens it: opening a pipe may block forever, a device never ends."""
        kind = self._kind_of_special(key)
        if kind:
            raise NotAFile(f"'{key}' in {self.url}", kind)

    def _kind_of_special(self, key: str) -> str:
        """Return what lies there in place of a file; empty for a file, and where there is nothing."""
        try:
            mode = self._path(key).stat().st_mode
        except (OSError, ValueError):
            return ""  # obstore says what is wrong
        return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something else")

    @override
    def is_link(self, key: str) -> bool:
        with file_errors(f"look at '{key}' in {self.url}"):
            path = self._path(key)
            return path.is_symlink() and not self._follows(path)

    def _follows(self, link: Path) -> bool:
        """Return whether a symbolic link is followed: it leads to a file below where links may lead, or all are."""
        target = Path(os.path.realpath(link))
        return target.is_file() and (self._follow_links or self._is_allowed(target))

    def _is_allowed(self, target: Path) -> bool:
        return target.is_relative_to(os.path.realpath(self._links_below))

    @override
    def real_prefix(self, prefix: str) -> str | None:
        with file_errors(f"look at '{prefix}' in {self.url}"):
            target, root = Path(os.path.realpath(self._path(prefix))), os.path.realpath(self._root.path)
        # What lies where it seems to lie is behind no link, also outside of the folder that links may lead to.
        is_link = target != Path(root, prefix)
        if is_link and not self._follow_links and not self._is_allowed(target):
            return None
        if target.is_relative_to(root):
            return "" if target == Path(root) else target.relative_to(root).as_posix()
        return str(target)

    @override
    def check_there(self) -> None:
        with file_errors(f"look at {self.url}"):
            self._check_root()
            if self._root.is_empty():
                raise empty_store(self.url)

    @override
    def _list(self, prefix: str) -> Listing:
        path = self._path(prefix)
        objects, folders = [], []
        with file_errors(f"list {path}"):
            try:
                found = list(os.scandir(path))
            except (FileNotFoundError, NotADirectoryError) as error:
                self._absent(error)
                return Listing((), (), exists=False)
            if not found:
                self._check_root()
            for entry in found:
                if _is_folder(entry):
                    folders.append(entry.name)
                elif not _STAGED.search(entry.name):  # pipes and devices, too: reading reports them
                    followed = entry.is_symlink() and self._follows(path / entry.name)
                    objects.append(_entry(f"{prefix}/{entry.name}" if prefix else entry.name, entry, followed=followed))
        return Listing(tuple(sorted(objects, key=lambda entry: entry.key)), tuple(sorted(folders)))

    @override
    def walk(self, prefix: str) -> Iterator[Entry]:
        listing = self.list(prefix)
        yield from listing.objects
        for folder in listing.folders:
            below = f"{prefix}/{folder}" if prefix else folder
            if not self.is_link(below):  # it may lead back to where we are
                yield from self.walk(below)

    @override
    def _create(self, key: str, data: bytes | Path) -> bool:
        with self._in_place():
            created = super()._create(key, data)
            if created:
                self._keep(key)
        return created

    @override
    def _replace(self, key: str, data: bytes, etag: str) -> bool:
        """Look, then replace: folders know no compare-and-swap, so the caller keeps others away meanwhile."""
        there = self._read(key, None)
        if there is None or self.version(there) != etag:
            return False
        with self._in_place():
            with store_errors(f"replace '{key}' in {self.url}"):
                obstore.put(self._store, key, data, mode="overwrite")
            self._keep(key)
        return True

    @override
    def _delete(self, key: str) -> None:
        with self._in_place():
            super()._delete(key)

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Refuse to write into another folder, and to believe what was written when it changed meanwhile."""
        with file_errors(f"write into {self.url}"):
            self._check_root()
        yield
        with file_errors(f"write into {self.url}"):
            self._check_root()

    def _check_root(self) -> None:
        try:
            same = self._root.is_the_same()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing_store(self.url) from error
        if not same:
            raise replaced_store(self.url)

    def _keep(self, key: str) -> None:
        """Have a file and its name survive a power cut, in this order: what `success.json` names is there before it."""
        path = self._path(key)
        with file_errors(f"keep '{key}' in {self.url}"):
            for kept in (path, *(folder for folder in path.parents if folder.is_relative_to(self._root.path))):
                file = os.open(kept, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)

    @override
    def _etag(self, meta: "ObjectMeta") -> str:
        return _stat_etag((meta["last_modified"] - _EPOCH) // _MICROSECOND, meta["size"])

    @override
    def _absent(self, error: OSError) -> None:
        self._check_root()

    def _path(self, key: str) -> Path:
        if ".." in key.split("/") or key.startswith("/"):
            raise NameUnsafeError(f"The key '{key}' would leave {self.url}.")
        return self._root.path / key


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link that leads to itself leads to no folder
            raise
        return False


def _entry(key: str, found: "os.DirEntry[str]", *, followed: bool) -> Entry:
    status = found.stat(follow_symlinks=followed)
    return Entry(key, status.st_size, _stat_etag(status.st_mtime_ns // 1000, status.st_size))


def _stat_etag(microseconds: int, size: int) -> str:
    return f'"{microseconds:x}-{size:x}"'
