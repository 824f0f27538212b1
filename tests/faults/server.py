"""The campaign's own PostgreSQL server: it restarts, is killed, and fails over to a standby that lags behind."""

import itertools
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bec_orch.errors import DatabaseError
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded.programs import PgPrograms
from bec_orch.io.postgres.migrate import migrate

_TEMPLATE = "bec_template"
_SETTINGS = "-c listen_addresses= -c max_connections=120 -c fsync=off -c wal_level=replica -c hot_standby=on"


class Server:
    """One cluster in a folder, reached through its socket. `programs` run as a user that PostgreSQL accepts."""

    def __init__(self, folder: Path) -> None:
        self._programs = PgPrograms()
        self._folder = folder
        self._numbers = itertools.count(1)
        self._data = self._fresh("primary")
        self._programs.run(
            "initdb", "-D", str(self._data), "-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "trust", "-N"
        )
        self._start(self._data)
        self._make_template()

    @property
    def socket(self) -> str:
        """The path of the socket that it listens on."""
        return str(self._sockets(self._data) / ".s.PGSQL.5432")

    def conninfo(self, database: str) -> str:
        """Return the libpq connection string of a database, past every proxy."""
        return make_conninfo(host=str(self._sockets(self._data)), user="postgres", dbname=database)

    def create(self, database: str, *, migrated: bool) -> None:
        """Make a database, with the tables or without."""
        template = sql.Identifier(_TEMPLATE if migrated else "template0")
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database), template))

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def restart(self, mode: str) -> None:
        """Restart it: `fast` ends each session in order, `immediate` is as a crash with recovery."""
        self._programs.run("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w")
        self._start(self._data)

    def kill(self) -> None:
        """Kill the server's main process; its children end by themselves."""
        pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        give_up = time.monotonic() + 30
        while _exists(pid) and time.monotonic() < give_up:
            time.sleep(0.05)

    def start_after_kill(self) -> None:
        """Start it on what the killed one left; its children let go of the shared memory within a moment."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        for _ in range(20):
            with suppress(DatabaseError):
                self._start(self._data)
                return
            time.sleep(0.5)
        self._start(self._data)

    def add_standby(self) -> Path:
        """Start a standby that has all that is committed so far; returns its folder."""
        standby = self._fresh("standby")
        source = make_conninfo(host=str(self._sockets(self._data)), user="postgres")
        self._programs.run("pg_basebackup", "-D", str(standby), "-R", "-d", source, "-c", "fast", "-X", "stream")
        self._start(standby)
        return standby

    def stop_standby(self, standby: Path) -> None:
        """Stop the standby: what is committed from now on is not copied."""
        self._programs.run("pg_ctl", "stop", "-D", str(standby), "-m", "fast", "-w")

    def fail_over(self, standby: Path) -> None:
        """Kill the primary, and make the standby the server. What it did not get is lost."""
        self.kill()
        self._start(standby)
        self._programs.run("pg_ctl", "promote", "-D", str(standby), "-w")
        self._data = standby

    def close(self) -> None:
        """Stop it, and remove its files."""
        with suppress(DatabaseError):
            self._programs.run("pg_ctl", "stop", "-D", str(self._data), "-m", "immediate", "-w")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fresh(self, kind: str) -> Path:
        number = next(self._numbers)
        data = self._folder / f"{kind}-{number}"
        for folder in (data, self._sockets(data)):
            folder.mkdir(mode=0o700, parents=True)
            self._programs.own(folder)
        return data

    def _sockets(self, data: Path) -> Path:
        return self._folder / f"s-{data.name}"

    def _start(self, data: Path) -> None:
        sockets = self._sockets(data)
        options = f"{_SETTINGS} -c unix_socket_directories='{sockets}'"
        log = str(sockets / "server.log")
        self._programs.run("pg_ctl", "start", "-D", str(data), "-w", "-l", log, "-o", options)

    def _make_template(self) -> None:
        self.create(_TEMPLATE, migrated=False)
        with Database(self.conninfo(_TEMPLATE)) as template:
            migrate(template)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
