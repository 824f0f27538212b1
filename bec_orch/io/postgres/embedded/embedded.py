"""The embedded PostgreSQL of local mode: one server per BEC_HOME, started on demand, stopped with its last user.

Layout below `<home>/pg`: `data` (the cluster), `run` (its socket), `server.log`, and four files that are locked:
`start.lock` by who looks for the server, starts it or leaves it; `users.lock` by each user, shared; `server.lock` by
the processes of the server; `keeper.json` by the process that stops it. The operating system drops the locks of a
process that dies, so no list of users can go stale, and the keeper has `users.lock` alone as soon as the last one is
gone, however it ended.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from bec_orch.core.locks import open_lock, try_lock
from bec_orch.core.names import is_utf8, printable
from bec_orch.core.shortages import shortage_of
from bec_orch.core.wording import said
from bec_orch.errors import FREE_SPACE, BecError, ConfigError, DatabaseError, DatabaseRefused, DiskFullError
from bec_orch.io.postgres.embedded.access import Access
from bec_orch.io.postgres.embedded.server import PAUSE, START_WAIT, STOP_WAIT, Server
from bec_orch.io.postgres.errors import AWAY, DISK_FULL

logger = logging.getLogger(__name__)

_LOCK_WAIT = 120.0
# A server that is ready answers at once; its children may outlive it for a moment.
_REACH_WAIT = 8.0
# A server that dies more often than this within this many seconds is not started again.
_MOST_DEATHS = 5
_DEATHS_WITHIN = 600.0


class EmbeddedPostgres:
    """A user of the server of one home folder. Several, in one process or many, may use it at the same time.

    Args:
        home: BEC_HOME; made when it is not there.
    """

    def __init__(self, home: Path) -> None:
        self._root = home.expanduser().resolve() / "pg"
        self._server = Server(self._root)
        self._access = Access(self._server)
        self._users: IO[bytes] | None = None
        self._conninfo = ""
        self._deaths: list[float] = []

    @property
    def conninfo(self) -> str:
        """The libpq connection string of the database; empty before `start`."""
        return self._conninfo

    def start(self) -> str:
        """Start the server or join it, and return the connection string. May be called twice.

        Raises:
            ConfigError: the folder cannot be used (E_PG_HOME), is not this user's (E_PG_OWNER), ...
            DiskFullError: there is no room.
            DatabaseError: the server does not start (E_PG_START), or cannot be seen from here (E_PG_ELSEWHERE).
        """
        if not is_utf8(str(self._root)):
            raise ConfigError(
                f"The folder {printable(str(self._root), limit=500)} is not UTF-8: PostgreSQL does not start there.",
                code="E_PG_HOME",
                hint="Set BEC_HOME to another one.",
            )
        if self._users is None:
            with self._folder_errors():
                self._server.cluster.refuse_unfit()
                self._root.mkdir(parents=True, exist_ok=True)
                with self._start_lock():
                    self._join()
        return self._conninfo

    def stop(self) -> None:
        """Leave, and see the server off if that was its last user. May be called twice, and unstarted."""
        if self._users is None:
            return
        users, self._users = self._users, None
        try:
            with self._folder_errors(), self._start_lock():
                users.close()
                self._see_off()
        finally:
            users.close()
            self._access.close()

    def mend(self, fault: DatabaseError) -> None:
        """Start the server again if it is gone: nobody else does. For `Database.on_fault`, while this is a user of it.

        Raises:
            DatabaseRefused: the server does not start, dies again and again, or has no room (E_DISK_FULL): waiting does
                not mend that.
        """
        if fault.code == DISK_FULL:
            raise DatabaseRefused(fault.message, code=DiskFullError.default_code, hint=FREE_SPACE) from fault
        if fault.code != AWAY or self._users is None:
            return
        try:
            with self._folder_errors():
                if not self._access.is_open():
                    logger.warning("database.gone", extra={"folder": str(self._root), "why": fault.message})
                    with self._start_lock():
                        self._ensure_running(self._users, mending=True)
        except BecError as error:
            raise DatabaseRefused(error.message, code=error.code, hint=error.hint) from error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _join(self) -> None:
        users = open_lock(self._root / "users.lock")
        try:
            self._wait_for(users, shared=True)
            self._ensure_running(users)
        except BaseException:
            users.close()
            self._access.close()
            raise
        self._users = users

    def _ensure_running(self, users: IO[bytes], *, mending: bool = False) -> None:
        """Start the server unless one runs, and get through to it. While the start lock is held."""
        begun = time.monotonic()
        while True:
            with self._server.interlock.take() as lock:
                entered = self._start(lock, users, mending=mending) if lock else None
            entered = entered or self._access.enter()
            if entered:
                self._conninfo = entered
                return
            if self._server.is_lost():
                self._server.stop_unkept()
            if time.monotonic() - begun > (_REACH_WAIT if self._server.is_ready() else START_WAIT):
                raise self._access.refusal()
            time.sleep(PAUSE)

    def _start(self, lock: IO[bytes], users: IO[bytes], *, mending: bool) -> str | None:
        """Start the server with its lock; return the way to one of an older version (it knows no lock) if it runs."""
        entered = self._access.enter_old()
        if entered:
            return entered
        if self._server.interlock.may_be_unseen():
            alone = try_lock(users)
            try_lock(users, shared=True)
            if not alone:
                raise self._access.refusal()
            self._server.stop_unkept()
        if mending:
            self._count_death()
        self._server.start(lock)
        return None

    def _see_off(self) -> None:
        """Wait until the server is stopped, if nobody else uses it. While the start lock is held."""
        interlock = self._server.interlock
        with open_lock(self._root / "users.lock") as users:
            if try_lock(users):
                if not interlock.kept():
                    self._server.stop_unkept()
                    return
            elif try_lock(users, shared=True):
                return  # others are still in
        give_up = time.monotonic() + STOP_WAIT
        while interlock.taken() and time.monotonic() < give_up:
            time.sleep(PAUSE)

    def _count_death(self) -> None:
        now = time.monotonic()
        self._deaths = [*(death for death in self._deaths if now - death < _DEATHS_WITHIN), now]
        if len(self._deaths) > _MOST_DEATHS:
            raise DatabaseError(
                f"The embedded PostgreSQL in {self._root} died {len(self._deaths)} times in a short time.",
                code="E_PG_DIES",
                hint=f"Look for the reason in its log, {self._server.log}, then run the same command again.",
            )

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        with open_lock(self._root / "start.lock") as file:
            self._wait_for(file)
            yield

    def _wait_for(self, file: IO[bytes], *, shared: bool = False) -> None:
        give_up = time.monotonic() + _LOCK_WAIT
        while not try_lock(file, shared=shared):
            if time.monotonic() > give_up:
                raise DatabaseError(
                    f"Another process has been starting or stopping the database in {self._root} for "
                    f"{_LOCK_WAIT:.0f} s.",
                    code="E_PG_BUSY",
                )
            time.sleep(PAUSE)

    @contextmanager
    def _folder_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            lacking = shortage_of(error, self._root)
            if lacking:
                raise lacking from error
            raise ConfigError(
                f"The folder {self._root} cannot be used for the embedded database: {said(error)}.",
                code="E_PG_HOME",
                hint="Set BEC_HOME to a folder that you may write to.",
            ) from error
