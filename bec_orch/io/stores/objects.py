"""One small, typed door to every object store, on obstore.

What holds of writes: an object appears whole or not at all. On folders obstore writes `NAME#1` beside the target and
links or renames it, so a kill leaves at most such a file, which no listing here shows. It does not call fsync: after a
power cut a file may be gone or empty, and `ArtefactStore.verify` finds it by size and footer.
"""

import contextlib
import functools
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
import stamina
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import ObjectStore
from typing_extensions import override

from bec_orch.core.ports.job_worker import BlobReader
from bec_orch.errors import StorageError
from bec_orch.io.stores.errors import DENIED, empty_store, file_errors, is_passing, missing_store, s3_code, store_errors

if TYPE_CHECKING:
    from obstore import ObjectMeta

T = TypeVar("T")

PROBE = ".bec-probe"
"""How the names of the objects begin that only show whether a store can be written."""

# S3 lists this many objects at once.
_PAGE = 1000
# A copy is made in pieces of this size, bytes.
_COPIED = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Blob:
    """A whole object as it was read. `data` is empty when `size` is above the limit that was given."""

    data: bytes
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing: its key, size in bytes and ETag."""

    key: str
    size: int
    etag: str

    @property
    def name(self) -> str:
        """The last segment of the key."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies directly under a prefix: objects, and names of folders, each sorted by code point.

    `exists` is False when there is no such folder; buckets know only folders that hold something.
    """

    objects: tuple[Entry, ...]
    folders: tuple[str, ...]
    exists: bool = True

    def __bool__(self) -> bool:
        """Whether something lies there."""
        return bool(self.objects or self.folders)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a passing fault is tried again, with seconds of waiting; nothing below this tries again."""

    attempts: int = 4
    wait_initial: float = 0.2
    wait_max: float = 5.0
    timeout: float = 60.0

    def context(self) -> Any:
        """Return a fresh retry context of stamina, for `for` and `async for`."""
        return stamina.retry_context(
            on=is_passing,
            attempts=self.attempts,
            timeout=self.timeout,
            wait_initial=self.wait_initial,
            wait_max=self.wait_max,
        )


class Objects(BlobReader):
    """One object store below one URL, for all threads. Keys are relative to it, segments separated by `/`."""

    def __init__(self, store: ObjectStore, url: str, retries: Retries | None = None) -> None:
        self._store = store
        self.url = url
        self._retries = retries or Retries()

    @override
    def read(self, key: str, *, limit: int | None = None) -> Blob | None:
        """Read a whole object, None when there is none; nothing of one larger than `limit` bytes is read.

        Raises:
            NotAFile: a pipe, a device, a socket or a folder is in its place (on folders alone).
            StorageError: the store is away, or the body was cut; already tried several times.
        """
        return self._retried(lambda: self._read(key, limit))

    def _read(self, key: str, limit: int | None) -> Blob | None:
        with store_errors(f"read '{key}' in {self.url}", "s3:GetObject"):
            try:
                result = obstore.get(self._store, key)
            except FileNotFoundError as error:
                self._absent(error)
                return None
            size = result.meta["size"]
            data = b"" if limit is not None and size > limit else bytes(result.bytes())
            return self._blob(key, result.meta, data, limit)

    async def read_async(self, key: str, *, limit: int | None = None) -> Blob | None:
        """Do what `read` does, without blocking the event loop."""
        return await self._retried_async(lambda: self._read_async(key, limit))

    async def _read_async(self, key: str, limit: int | None) -> Blob | None:
        with store_errors(f"read '{key}' in {self.url}", "s3:GetObject"):
            try:
                result = await obstore.get_async(self._store, key)
            except FileNotFoundError as error:
                self._absent(error)
                return None
            size = result.meta["size"]
            data = b"" if limit is not None and size > limit else bytes(await result.bytes_async())
            return self._blob(key, result.meta, data, limit)

    def _blob(self, key: str, meta: "ObjectMeta", data: bytes, limit: int | None) -> Blob:
        size = meta["size"]
        if len(data) != size and (limit is None or size <= limit):
            raise StorageError(
                f"The store {self.url} gave {len(data)} of {size} bytes of '{key}'.", code="E_STORAGE_SHORT"
            )
        return Blob(data, self._etag(meta), size)

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """Read the bytes from `start` up to, not including, `end`.

        Raises:
            NotAFile: as `read`.
            StorageError: the object is gone, or the store is away.
        """
        return self._retried(lambda: self._read_range(key, start, end))

    def _read_range(self, key: str, start: int, end: int) -> bytes:
        with store_errors(f"read '{key}' in {self.url}", "s3:GetObject"):
            data = bytes(obstore.get_range(self._store, key, start=start, end=end))
        if len(data) != end - start:
            raise StorageError(f"The store {self.url} gave too few bytes of '{key}'.", code="E_STORAGE_SHORT")
        return data

    def open(self, entry: Entry) -> io.BufferedReader:
        """Open an object as a file that reads only the ranges it is asked for."""
        return io.BufferedReader(_RangedFile(self, entry), buffer_size=64 * 1024)

    def local_file(self, entry: Entry) -> "LocalFile":
        """Return an object as a file of this machine, for what reads nothing else: a copy without a name.

        Raises:
            DiskFullError: there is no room for the copy.
            StorageError: the object is gone, or the store is away.
        """
        with file_errors(f"keep a copy of '{entry.key}' in {self.url}"), tempfile.TemporaryFile() as copy:
            with self.open(entry) as source:
                shutil.copyfileobj(source, copy, _COPIED)
            copy.flush()
            return LocalFile(os.dup(copy.fileno()))

    def head(self, key: str) -> Entry | None:
        """Ask for size and ETag of an object, None when there is none."""
        return self._retried(lambda: self._head(key))

    def _head(self, key: str) -> Entry | None:
        with store_errors(f"look at '{key}' in {self.url}", "s3:GetObject"):
            try:
                meta = obstore.head(self._store, key)
            except FileNotFoundError as error:
                self._absent(error)
                return None
            return Entry(key, meta["size"], self._etag(meta))

    @override
    def list(self, prefix: str) -> Listing:
        """List what lies directly under a prefix (given without a slash at its end); nothing when it is not there."""
        return self._retried(lambda: self._list(prefix))

    def _list(self, prefix: str) -> Listing:
        with store_errors(f"list '{prefix}' in {self.url}", "s3:ListBucket"):
            found = obstore.list_with_delimiter(self._store, prefix or None)
        entries = (Entry(meta["path"], meta["size"], self._etag(meta)) for meta in found["objects"])
        objects = tuple(sorted(entries, key=lambda entry: entry.key))
        folders = tuple(sorted(folder.rpartition("/")[2] for folder in found["common_prefixes"]))
        return Listing(objects, folders, exists=bool(objects or folders))

    def walk(self, prefix: str) -> Iterator[Entry]:
        """Yield every object below a prefix, however deep; what lies under one folder comes together.

        Read page by page, so that a store of any size is never in memory.
        """
        after: str | None = None
        while True:
            page = self._retried(functools.partial(self._page, prefix, after))
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].key

    def _page(self, prefix: str, after: str | None) -> Sequence[Entry]:
        with store_errors(f"list '{prefix}' in {self.url}"):
            pages = obstore.list(self._store, prefix or None, offset=after, chunk_size=_PAGE)
            return [Entry(meta["path"], meta["size"], self._etag(meta)) for meta in next(pages, ())]

    def create(self, key: str, data: bytes | Path) -> bool:
        """Put an object that must not be there yet; False when one is, and nothing was done.

        A lost acknowledgement can make the answer False for an object that is ours: compare before you fail.
        """
        return self._retried(lambda: self._create(key, data))

    def _create(self, key: str, data: bytes | Path) -> bool:
        with store_errors(f"write '{key}' in {self.url}", "s3:PutObject"):
            try:
                obstore.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def replace(self, key: str, data: bytes, etag: str) -> bool:
        """Put an object in exchange for the version `etag`, from `version`; False when another one is there."""
        return self._retried(lambda: self._replace(key, data, etag))

    def _replace(self, key: str, data: bytes, etag: str) -> bool:
        with store_errors(f"replace '{key}' in {self.url}", "s3:PutObject"):
            try:
                obstore.put(self._store, key, data, mode={"e_tag": etag})
            except FileNotFoundError as error:
                self._absent(error)
                return False
            except (PreconditionError, AlreadyExistsError):
                return False
            return True

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are not there are skipped."""
        for key in keys:
            self._retried(functools.partial(self._delete, key))

    def _delete(self, key: str) -> None:
        with store_errors(f"delete '{key}' in {self.url}", "s3:DeleteObject"), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def version(self, blob: Blob) -> str:
        """Return what pins an object's content: its ETag, or on folders the MD5 of the content, as S3 makes ETags.

        So a copy of the library's archive in a folder has the versions of the archive itself.
        """
        return blob.etag

    def version_at(self, key: str) -> str | None:
        """Return what `version` returns for the object under a key, as cheaply as can be; None when there is none."""
        entry = self.head(key)
        return entry.etag if entry else None

    @override
    def surely(self, look: Callable[[], T]) -> T:
        """Look for something, and look again before it counts as missing, once the store was seen to be there.

        A mount or a bucket that is away for a moment lacks everything.

        Raises:
            StorageError: the store is away, or holds nothing at all.
        """
        found = look()
        if found:
            return found
        self.check_there()
        return look()

    def check_there(self) -> None:
        """See that the store is there, and holds something.

        Raises:
            StorageError: it is away (E_STORAGE_MISSING), or empty as a mount point without its disk (E_STORAGE_EMPTY).
        """
        found = self._retried(functools.partial(self._page, "", None))
        # A store that keeps everything keeps what we tried it with, too.
        if len(found) < _PAGE and all(entry.key.startswith(PROBE) for entry in found):
            raise empty_store(self.url)

    def is_link(self, key: str) -> bool:  # noqa: ARG002  (only folders have links)
        """Return whether the key is a symbolic link, which may lead out of the folder."""
        return False

    def real_prefix(self, prefix: str) -> str | None:
        """Return the prefix under which a folder lies in truth: another one where links lead to it.

        A folder outside of the store has its own path; None where links lead out and are not followed.
        """
        return prefix

    def check_writable(self) -> bool:
        """Write, read, list and delete a small object: all that is done with artefacts.

        Returns:
            Whether it could be deleted: what is left lying harms nobody, so a store that keeps everything will do.

        Raises:
            StorageError, DiskFullError: one of the others cannot be done.
        """
        key = f"{PROBE}-{uuid.uuid4().hex}"
        self.create(key, b"")
        self.read(key)
        self.list("")
        try:
            self.delete([key])
        except StorageError as error:
            if error.code != DENIED:
                raise
            return False
        return True

    def check_readable(self) -> None:
        """Read an object that is not there. Whoever may not list either is refused as if unable to read.

        Raises:
            StorageError: the store is not there, or does not let us read.
        """
        self.read(PROBE, limit=0)

    def _etag(self, meta: "ObjectMeta") -> str:
        return meta["e_tag"] or f'"{meta["last_modified"].timestamp():.6f}-{meta["size"]}"'

    def _absent(self, error: FileNotFoundError) -> None:
        """Distinguish a missing object from a missing store: S3 answers both with 404, and its body holds the code."""
        if s3_code(error) == "NoSuchBucket":
            raise missing_store(self.url) from error

    def _retried(self, action: Callable[[], T]) -> T:
        for attempt in self._retries.context():
            with attempt:
                return action()
        raise AssertionError  # pragma: no cover  (the context gives a result or raises)

    async def _retried_async(self, action: Callable[[], Awaitable[T]]) -> T:
        async for attempt in self._retries.context():
            with attempt:
                return await action()
        raise AssertionError  # pragma: no cover


class LocalFile:
    """A file of this machine that is open for reading, and is closed when nobody holds this any longer.

    Args:
        file: its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._file

    def __del__(self) -> None:
        os.close(self._file)


class _RangedFile(io.RawIOBase):
    """An object as a seekable file."""

    def __init__(self, objects: Objects, entry: Entry) -> None:
        super().__init__()
        self._objects = objects
        self._entry = entry
        self._position = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._entry.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    @override
    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._entry.size)
        if end <= self._position:
            return 0
        data = self._objects.read_range(self._entry.key, self._position, end)
        buffer[: len(data)] = data
        self._position = end
        return len(data)
