"""A workspace: at most one `bec run` works in a folder at a time, and all that is done there has one destination."""

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from bec_orch.core.locks import open_lock, require_exclusion, try_lock
from bec_orch.core.own_home import require_own_home
from bec_orch.core.shortages import shortage_of
from bec_orch.core.wording import said
from bec_orch.errors import ConfigError, UsageError
from bec_orch.io.own_files import write_whole
from bec_orch.io.stores.errors import file_errors

LOCK_FILE = "run.lock"
DESTINATION_FILE = "destination"
"""In a home: where the artefacts of its tasks are."""
IDENTITY_FILE = "identity"
"""In a home: the identity of its embedded database, whose folder it outlives: the next one there goes on for it."""
OUTPUTS = frozenset({"overlays", "exports"})
"""In a home: folders with what was made of pages, and is named like pages are."""
_ROOMS = frozenset({"logs", "models", "work", "workers"})
_OWN = "artefacts"
_OWN_FOLDERS = OUTPUTS | {_OWN, "pg"}
_MARKS = frozenset({LOCK_FILE, DESTINATION_FILE})
# What we write into it: the number of the process that holds it.
_OURS = re.compile(rb"[0-9]*\n?")


def own_in(files: Collection[str], folders: Collection[str]) -> frozenset[str]:
    """Return which files and folders of a folder, by their names, are a workspace's own: none where it is no workspace.

    Its other folders hold nothing that could be taken for pages, and may be somebody's by the same name.
    """
    if not _is_workspace(files):
        return frozenset()
    return (_OWN_FOLDERS & set(folders)) | (_MARKS | {IDENTITY_FILE}) & set(files)


def rooms_in(files: Collection[str]) -> frozenset[str]:
    """Return the names that such other folders have; none where a folder with these files is no workspace.

    One without pages is no volume that somebody has yet to fill.
    """
    return _ROOMS if _is_workspace(files) else frozenset()


def _is_workspace(files: Collection[str]) -> bool:
    return IDENTITY_FILE in files and not _MARKS.isdisjoint(files)


class WorkspaceLock:
    """Holds a folder for this process, as a context manager. The operating system lets go of it when the process dies.

    Args:
        folder: the workspace; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            UsageError: another process has it (E_WORKSPACE_BUSY), the folder cannot be written (E_WORKSPACE), is
                somebody else's (E_PG_OWNER), or its disk has no locks (E_NO_LOCKS).
            DiskFullError: there is no room in it.
        """
        with self._folder_errors():
            require_own_home(self._folder)
            self._folder.mkdir(parents=True, exist_ok=True)
            file = open_lock(self._folder / LOCK_FILE)
        try:
            self._lock(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _lock(self, file: IO[bytes]) -> None:
        with self._folder_errors():
            if not try_lock(file):
                raise self._busy(file)
            require_exclusion(self._folder / LOCK_FILE)
            self._refuse_foreign(file)
            file.truncate(0)
            file.write(f"{os.getpid()}\n".encode())

    @contextmanager
    def _folder_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            lacking = shortage_of(error, self._folder)
            if lacking:
                raise lacking from error
            raise UsageError(
                f"The folder {self._folder} cannot be used as a workspace: {said(error)}.",
                code="E_WORKSPACE",
                hint="Name another one with --out DIR, or set BEC_HOME.",
            ) from error

    def _refuse_foreign(self, file: IO[bytes]) -> None:
        file.seek(0)
        if not _OURS.fullmatch(file.read()):
            raise UsageError(
                f"The file {self._folder / LOCK_FILE} was not written by this program: it is left as it is.",
                code="E_WORKSPACE",
                hint="Name another workspace with --out DIR, or move the file away.",
            )

    def _busy(self, file: IO[bytes]) -> UsageError:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "unknown"
        return UsageError(
            f"Another `bec run` (process {holder}) is at work in {self._folder}.",
            code="E_WORKSPACE_BUSY",
            hint="Wait until it ends, or use a workspace of your own with --out DIR.",
        )


def require_destination(home: Path, url: str) -> None:
    """See that a destination is the one that the tasks of a home were finished in; nothing is known before the first.

    Raises:
        ConfigError: it is another one (E_DEST_OTHER).
        StorageError: what is noted cannot be read.
    """
    noted = _noted(home)
    if noted and noted != _relative(home, url):
        where = (home / "artefacts").as_uri() if noted == _OWN else noted
        raise ConfigError(
            f"What was done in {home} lies in {where}, and the destination is {url} now.",
            code="E_DEST_OTHER",
            hint="Unset BEC_DEST_URL and BEC_DEST_S3_BUCKET, or set them as they were. If the artefacts were moved, "
            f"remove {home / DESTINATION_FILE}.",
        )


def note_destination(home: Path, url: str) -> None:
    """Note where the tasks of a home are finished, if that is not known yet.

    Raises:
        DiskFullError, StorageError: it cannot be written.
    """
    if not _noted(home):
        write_whole(home / DESTINATION_FILE, f"{_relative(home, url)}\n".encode())


def _noted(home: Path) -> str:
    file = home / DESTINATION_FILE
    with file_errors(f"read {file}"):
        return file.read_text("utf-8", errors="replace").strip() if file.is_file() else ""


def _relative(home: Path, url: str) -> str:
    """Return what is noted of a destination: of the folder in the home its name, so that the home can be moved."""
    return _OWN if url.rstrip("/") == (home / _OWN).as_uri() else url.rstrip("/")
