"""The embedded PostgreSQL of local mode: one server per BEC_HOME, started on demand, stopped by its last user.

Layout below `<home>/pg`: `data` (the cluster), `run` (socket and server log), `start.lock` (held while somebody starts
or stops the server) and `users.lock` (each user holds it shared). The operating system drops the locks of a process
that dies, so no list of users can go stale: whoever leaves and gets `users.lock` alone was the last, and stops the
server.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil
import psycopg

from bec_orch.core.names import is_utf8, printable
from bec_orch.core.wording import said
from bec_orch.errors import FREE_SPACE, NO_ROOM, BecError, ConfigError, DatabaseError, DatabaseRefused, DiskFullError
from bec_orch.io.postgres.connection import conninfo_of
from bec_orch.io.postgres.errors import AWAY, DISK_FULL, database_errors
from bec_orch.io.postgres.programs import MAJOR_VERSION, PgPrograms

logger = logging.getLogger(__name__)

DATABASE = "bec"
# sun_path of sockaddr_un holds 104 bytes on macOS, 108 on Linux; the last is NUL.
_SOCKET_PATH_LIMIT = 103
_LOCK_WAIT = 120.0
_START_WAIT = 60
_STARTS_AFTER_CRASH = 10
# A server that dies more often than this within so many seconds is not started again.
_MOST_DEATHS = 5
_DEATHS_WITHIN = 600.0
# What a new cluster takes, and what a server may want at its start: one segment of the write-ahead log.
_CLUSTER_BYTES = 64 * 1024 * 1024
_SEGMENT_BYTES = 16 * 1024 * 1024


class EmbeddedPostgres:
    """A user of the server of one home folder. Several, in one process or many, may use it at the same time.

    Args:
        home: BEC_HOME; made when it is not there.
    """

    def __init__(self, home: Path) -> None:
        self._root = home.expanduser().resolve() / "pg"
        self._data = self._root / "data"
        self._users: IO[bytes] | None = None
        self._conninfo = ""
        self._deaths: list[float] = []

    @property
    def conninfo(self) -> str:
        """The libpq connection string of the database; empty before `start`."""
        return self._conninfo

    def start(self) -> str:
        """Start the server or join it, and give the connection string. May be called twice.

        Raises:
            ConfigError: the folder cannot be used (E_PG_HOME), holds another version's data (E_PG_VERSION), ...
            DiskFullError: there is no room.
            DatabaseError: the server does not start (E_PG_START).
        """
        if not is_utf8(str(self._root)):
            raise ConfigError(
                f"The folder {printable(str(self._root), limit=500)} is not UTF-8: PostgreSQL does not start there.",
                code="E_PG_HOME",
                hint="Set BEC_HOME to another one.",
            )
        if self._users is None:
            with self._folder_errors():
                self._root.mkdir(parents=True, exist_ok=True)
                with self._start_lock():
                    self._join()
        return self._conninfo

    def stop(self) -> None:
        """Leave; the last user stops the server. May be called twice, and unstarted."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with users, self._folder_errors(), self._start_lock():
            fcntl.flock(users, fcntl.LOCK_UN)
            if _try_lock(users, fcntl.LOCK_EX) and self._pid() is not None:
                self._stop_server()

    def mend(self, fault: DatabaseError) -> None:
        """Start the server again if it is gone: nobody else does. For `Database.on_fault`, while this is a user of it.

        Raises:
            DatabaseRefused: the server does not start, dies again and again, or has no room (E_DISK_FULL): waiting does
                not mend that.
        """
        if fault.code == DISK_FULL:
            raise DatabaseRefused(fault.message, code=DiskFullError.default_code, hint=FREE_SPACE) from fault
        if fault.code == AWAY and self._pid() is None:
            logger.warning("database.gone", extra={"folder": str(self._root), "why": fault.message})
            self._restart()

    def _restart(self) -> None:
        try:
            with self._folder_errors(), self._start_lock():
                if self._pid() is None:
                    self._count_death()
                    self._start_server(PgPrograms())
        except BecError as error:
            raise DatabaseRefused(error.message, code=error.code, hint=error.hint) from error

    def _count_death(self) -> None:
        now = time.monotonic()
        self._deaths = [*(death for death in self._deaths if now - death < _DEATHS_WITHIN), now]
        if len(self._deaths) > _MOST_DEATHS:
            raise DatabaseError(
                f"The embedded PostgreSQL in {self._root} died {len(self._deaths)} times in a short time.",
                code="E_PG_DIES",
                hint=f"Look for the reason in its log, {self._log_file()}, then run the same command again.",
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _join(self) -> None:
        users = (self._root / "users.lock").open("ab")
        try:
            fcntl.flock(users, fcntl.LOCK_SH)
            self._ensure_running()
            self._ensure_database()
        except BaseException:
            users.close()
            raise
        self._users = users

    def _ensure_running(self) -> None:
        self._refuse_other_version()
        give_up = time.monotonic() + _START_WAIT
        while not self._answers():
            if self._pid() is None:
                self._start_server(PgPrograms())
            elif time.monotonic() > give_up:
                raise DatabaseError(
                    f"The embedded PostgreSQL in {self._root} runs, and does not answer.", code="E_PG_START"
                )
            else:
                time.sleep(0.1)  # somebody else's server still comes up, or is just going down
        self._conninfo = self._conninfo_of(DATABASE)

    def _answers(self) -> bool:
        if self._pid() is None:
            return False
        try:
            psycopg.connect(self._conninfo_of("postgres"), connect_timeout=10).close()
        except (psycopg.OperationalError, IndexError):
            return False
        return True

    def _conninfo_of(self, database: str) -> str:
        # The fifth line of postmaster.pid: where the running server listens, whoever started it.
        sockets = (self._data / "postmaster.pid").read_text().splitlines()[4]
        return conninfo_of(host=sockets, user="postgres", dbname=database)

    def _refuse_other_version(self) -> None:
        file = self._data / "PG_VERSION"
        found = file.read_text().strip() if file.exists() else str(MAJOR_VERSION)
        if self._data.exists() and found != str(MAJOR_VERSION):
            raise ConfigError(
                f"The folder {self._data} holds data of PostgreSQL {found}, and this program runs {MAJOR_VERSION}.",
                code="E_PG_VERSION",
                hint="Move the folder away: artefacts are adopted, not computed again.",
            )

    def _make_cluster(self, programs: PgPrograms) -> None:
        # Made beside its place and renamed, so that a crash leaves no half cluster.
        fresh = self._root / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        programs.own(fresh)
        try:
            programs.run("initdb", "-D", str(fresh), "-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "trust")
        except DatabaseError as error:
            hint = "Name another folder with BEC_HOME, or `--out DIR`."
            raise self._not_started(error, hint, needed=_CLUSTER_BYTES) from error
        fresh.rename(self._data)

    def _start_server(self, programs: PgPrograms) -> None:
        if not self._data.exists():
            self._make_cluster(programs)
        programs.own(self._data)
        self._make_socket_folder(programs)
        settings = f"-c listen_addresses= -c unix_socket_directories='{self._sockets()}' -c max_connections=200"
        arguments = ("-D", str(self._data), "-w", "-t", str(_START_WAIT), "-l", str(self._log_file()))
        crashed = self._remove_stale_pid_file()
        for left in range(_STARTS_AFTER_CRASH if crashed else 1, 0, -1):
            try:
                programs.run("pg_ctl", "start", *arguments, "-o", f"{settings} -c log_checkpoints=off")
            except DatabaseError as error:
                if left == 1 or self._free_bytes() < _SEGMENT_BYTES:
                    hint = f"The server's log is {self._log_file()}."
                    raise self._not_started(error, hint, needed=_SEGMENT_BYTES) from error
                time.sleep(0.5)  # children of a killed server let go of its shared memory within a moment
            else:
                return

    def _stop_server(self) -> None:
        try:
            PgPrograms().run("pg_ctl", "stop", "-D", str(self._data), "-m", "fast", "-w", "-t", str(_START_WAIT))
        except DatabaseError:
            if self._pid() is not None:  # else it was killed just now, and there is nothing left to stop
                raise

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._root).free

    def _not_started(self, error: DatabaseError, hint: str, *, needed: int) -> BecError:
        if self._free_bytes() < needed:
            return DiskFullError(f"There is no room for the embedded PostgreSQL in {self._root}.", hint=FREE_SPACE)
        return DatabaseError(error.message, code=error.code, hint=hint)

    def _sockets(self) -> Path:
        folder = self._root / "run"
        if len(os.fsencode(folder / ".s.PGSQL.5432")) <= _SOCKET_PATH_LIMIT and "'" not in str(folder):
            return folder
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"bec-pg-{os.geteuid()}-{name}"

    def _log_file(self) -> Path:
        return self._sockets() / "server.log"

    def _make_socket_folder(self, programs: PgPrograms) -> None:
        folder = self._sockets()
        folder.mkdir(mode=0o700, exist_ok=True)
        _refuse_foreign(folder)
        programs.own(folder)

    def _ensure_database(self) -> None:
        with (
            database_errors("open the embedded database"),
            psycopg.connect(self._conninfo_of("postgres"), autocommit=True) as connection,
        ):
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if not found:
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(DATABASE)))

    def _pid(self) -> int | None:
        """Give the running server's process id; None when the pid file is missing or stale."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            alive = process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, IndexError, psutil.Error):
            return None
        return pid if alive else None

    def _remove_stale_pid_file(self) -> bool:
        file = self._data / "postmaster.pid"
        if not file.exists():
            return False
        file.unlink()
        return True

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        give_up = time.monotonic() + _LOCK_WAIT
        with (self._root / "start.lock").open("ab") as file:
            while not _try_lock(file, fcntl.LOCK_EX):
                if time.monotonic() > give_up:
                    raise DatabaseError(
                        f"Another process has been starting or stopping the database in {self._root} for "
                        f"{_LOCK_WAIT:.0f} s.",
                        code="E_PG_BUSY",
                    )
                time.sleep(0.05)
            yield

    @contextmanager
    def _folder_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                raise DiskFullError(f"There is no room in {self._root}.", hint=FREE_SPACE) from error
            raise ConfigError(
                f"The folder {self._root} cannot be used for the embedded database: {said(error)}.",
                code="E_PG_HOME",
                hint="Set BEC_HOME to a folder that you may write to.",
            ) from error


def _try_lock(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse_foreign(folder: Path) -> None:
    # In a temporary folder that all share, somebody else may have made a folder of this name.
    owner = folder.stat().st_uid
    if folder.is_symlink() or (os.geteuid() != 0 and owner != os.geteuid()):
        raise ConfigError(
            f"The folder {folder} belongs to somebody else.", code="E_PG_HOME", hint="Remove it, or set TMPDIR."
        )
