"""What keeps a second server off the data of the embedded PostgreSQL.

PostgreSQL's own interlock, `postmaster.pid`, names a process, and numbers of processes mean nothing in another
namespace, on another machine or in a copy. So all processes of a server hold the lock of `server.lock`, which they
inherit: whoever gets it knows that on this machine nothing works on the data, and that what `postmaster.pid` names is
dead.

`keeper.json` says where the server was started, and is emptied when the server ended in order; the server's keeper
holds its lock. It says what no lock can: that another machine may still work on a network folder, and that the folder
is a copy of one in which a server ran.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from bec_orch.core.locks import is_locked, open_lock, require_exclusion, try_lock
from bec_orch.errors import ConfigError, DatabaseRefused
from bec_orch.io.postgres.embedded.address import SOCKET

SOCKET_FOLDER = "../run"
"""Where the server makes its socket, seen from its data: so it stays in its folder, whatever the folder is called."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
# Disks that one machine has for itself. On any other, somebody else may be at work.
_LOCAL_DISKS = frozenset({"apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "ntfs", "ntfs3"})
_LOCAL_DISKS |= {"overlay", "ramfs", "reiserfs", "rootfs", "tmpfs", "ufs", "vfat", "xfs", "zfs"}


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a process runs: the host, its start, and the namespace in which process ids have a meaning."""

    host: str
    boot: str
    pid_namespace: str

    @classmethod
    def of_this_process(cls) -> "Whereabouts":
        """Return where this process runs."""
        boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else f"{psutil.boot_time():.0f}"
        namespace = str(_PID_NAMESPACE.stat().st_ino) if _PID_NAMESPACE.exists() else ""
        return cls(socket.gethostname(), boot, namespace)


class Interlock:
    """The locks and records of one folder `<home>/pg`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._data = root / "data"
        self._server = root / "server.lock"
        self._record = root / "keeper.json"

    def taken(self) -> bool:
        """Return whether a server runs here, anywhere on this machine."""
        return is_locked(self._server)

    def kept(self) -> bool:
        """Return whether a keeper will stop the server."""
        return is_locked(self._record)

    @contextmanager
    def take(self) -> Iterator[IO[bytes] | None]:
        """Hold the lock of a server in the block, to hand it to one; None where one runs.

        Raises:
            ConfigError: the disk has no locks (E_NO_LOCKS).
        """
        with open_lock(self._server) as file:
            if not try_lock(file):
                yield None
                return
            require_exclusion(self._server)
            yield file

    def refuse_others(self) -> None:
        """Refuse data that somebody else may be working on, and a copy that was made meanwhile. While the lock is held.

        Raises:
            DatabaseRefused: it was last used on another machine, and not closed there (E_PG_ELSEWHERE).
            ConfigError: it is a copy of data in use (E_PG_COPY).
        """
        left = self._left()
        if left and left.pop("data") != self._identity():
            raise self._copied()
        if left and Whereabouts(**left) != Whereabouts.of_this_process() and not self._is_on_local_disk():
            raise DatabaseRefused(
                f"The database in {self._root} was opened on {left['host']}, and not closed there: "
                "it may still be in use, and nobody here can see it.",
                code="E_PG_ELSEWHERE",
                hint=f"End bec there. If that machine or container is gone for good, remove {self._record}.",
            )
        if not left and self.is_ours():
            raise self._copied()

    @contextmanager
    def record(self) -> Iterator[IO[bytes]]:
        """Note that a server is started from here, and hold the note's lock in the block, to hand it to the keeper."""
        with open_lock(self._record) as file:
            try_lock(file)
            note = {**asdict(Whereabouts.of_this_process()), "data": self._identity()}
            file.truncate(0)
            file.write(json.dumps(note).encode())
            yield file

    def forget(self) -> None:
        """Note that the server ended in order."""
        with open_lock(self._record) as file:
            file.truncate(0)

    def is_ours(self) -> bool:
        """Return whether the server that `postmaster.pid` names, dead or alive, holds the lock while it lives."""
        return self.lines()[4:5] == [SOCKET_FOLDER]

    def may_be_unseen(self) -> bool:
        """Return whether `postmaster.pid` names a server that does not know the lock, and may run where it is free."""
        return bool(self.lines()) and not self.is_ours()

    def lines(self) -> list[str]:
        """Return what the server says of itself in `postmaster.pid`; nothing where there is no such file."""
        try:
            return (self._data / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def clear(self) -> None:
        """Remove what a server left that is known to be dead. While the lock is held, and after `refuse_others`.

        Of a server that does not know the lock, PostgreSQL itself has to judge.
        """
        if self.may_be_unseen():
            return
        sockets = self._root / "run"
        for left in (self._data / "postmaster.pid", sockets / SOCKET, sockets / f"{SOCKET}.lock"):
            left.unlink(missing_ok=True)

    def process(self) -> psutil.Process | None:
        """Return the server's main process, if it is one of this namespace and works in this very folder."""
        try:
            process = psutil.Process(int(self.lines()[0]))
            here = process.name().startswith("postgres") and self._data.samefile(process.cwd())
        except (IndexError, ValueError, OSError, psutil.Error):
            return None
        return process if here else None

    def _left(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._record.read_bytes()))
        except (FileNotFoundError, ValueError):
            return {}

    def _identity(self) -> str:
        return str(self._data.stat().st_ino)

    def _is_on_local_disk(self) -> bool:
        above = [self._data, *self._data.parents]
        kinds = {Path(disk.mountpoint): disk.fstype for disk in psutil.disk_partitions(all=True)}
        return next((kinds[folder] for folder in above if folder in kinds), "") in _LOCAL_DISKS

    def _copied(self) -> ConfigError:
        return ConfigError(
            f"The database in {self._root} is a copy that was made while its original was in use: parts may not fit.",
            code="E_PG_COPY",
            hint="Copy the folder again while no bec works in it. Is it one that was moved after a crash, then remove "
            f"{self._record} and {self._data / 'postmaster.pid'}.",
        )
