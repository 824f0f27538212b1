"""The earlier system's database, which is read and never changed: `EarlierSystem` on PostgreSQL.

All is read in one transaction that sees one instant and may only read, in a session that may only read, a portion at a
time. Texts come as bytes, so that no encoding of that database, and nothing in it, ends the reading.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typing_extensions import override

from bec_orch.core.names import printable
from bec_orch.core.records.earlier import (
    EARLIER_DATABASE,
    EarlierJob,
    EarlierRecords,
    EarlierSystem,
    EarlierTask,
    EarlierVolume,
    UndoneTasks,
)
from bec_orch.errors import ConfigError, DatabaseError, DatabaseRefused, UsageError
from bec_orch.io.postgres.connection import BoundedConnection, limit
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.errors import MISSING, database_errors
from bec_orch.io.postgres.rows import Connection, Row, rows
from bec_orch.io.postgres.sql_files import statements

_PORTION = 2000
_MOST_JOBS = 1000
_MOST_STATUSES = 10_000
# Longer than any name that is taken, so that what is cut off here is refused as too long.
_LONGEST_NAME = 500
_LONGEST_CONFIG = 2**20
_BEFORE_ALL = -(2**63)
# For one portion; between two of them our own database takes one over.
_ANSWER_SECONDS = 300.0
_LOCK_SECONDS = 30.0
_IDLE_SECONDS = 600.0
_KEYWORDS = ("host", "port", "user", "dbname", "sslmode", "sslrootcert")
_READING = "read the earlier system's records"
_RIGHTS = "Give its user SELECT on the tables jobs, volumes and task_executions, and no more."
_HINTS = {
    "E_DB_AUTH": "Check the user in --from, and its password: --password-file or --password-secret names it.",
    "E_DB_AWAY": "Check host and port in --from; the same command takes over what is left when it is back.",
    "E_DB_MISSING": "Check dbname in --from.",
    "E_DB_RIGHTS": _RIGHTS,
    "E_DB_TLS": "Check sslmode in --from, and that sslrootcert names the CA of that very server.",
}


def parse_dsn(text: str) -> dict[str, str]:
    """Take a connection string apart, `host=... dbname=...` or `postgresql://...`; nothing of it stands in an error.

    Raises:
        UsageError: it is none, holds a password, or says more than where the database is (E_EARLIER_DSN).
    """
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except psycopg.ProgrammingError:
        found = {"": ""}
    if "password" in found:
        raise UsageError(
            "The value of --from holds a password, which everybody on this machine can read there.",
            code="E_EARLIER_DSN",
            hint="Leave it out, and give --password-file FILE or --password-secret NAME.",
        )
    if not found.keys() <= set(_KEYWORDS):
        raise UsageError(
            "The value of --from is no connection string that says where a database is, and no more.",
            code="E_EARLIER_DSN",
            hint=f"Write it like 'host=db.example.org dbname={EARLIER_DATABASE} user=reader'; it may name "
            f"{', '.join(_KEYWORDS)}.",
        )
    return found


def tell_of_earlier(conninfo: str) -> Callable[[DatabaseError], None]:
    """Return what looks, where our database is missing, whether the server has the earlier system's, and says so."""

    def tell(error: DatabaseError) -> None:
        if error.code == MISSING and _is_there(make_conninfo(conninfo, dbname=EARLIER_DATABASE)):
            raise DatabaseRefused(
                error.message,
                code=error.code,
                hint=f"Create it, or check BEC_SQL_DATABASE. The server has {EARLIER_DATABASE}, as the earlier system "
                "calls its database: that stays as it is, and `bec db import` takes over what it holds.",
            ) from error

    return tell


def _is_there(conninfo: str) -> bool:
    with Database(conninfo) as database:
        try:
            database.connect("look for the earlier system's database").close()
        except DatabaseError:
            return False
    return True


class PgEarlierSystem(EarlierSystem):
    """One database of the earlier system. `conninfo` may hold a password, and is never printed."""

    def __init__(self, conninfo: str) -> None:
        self._database = Database(conninfo, application="bec_orch import")

    @override
    @contextmanager
    def reading(self) -> Iterator[EarlierRecords]:
        with self._database:
            with _faults_of_the_other():
                connection = self._database.connect(_READING)
            with closing(connection):
                with _faults_of_the_other():
                    _begin(connection)
                    _check(connection)
                yield PgEarlierRecords(connection)


def _begin(connection: BoundedConnection) -> None:
    connection.answer_within = _ANSWER_SECONDS
    connection.execute(statements("earlier")["read_only"])
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.autocommit = False
    limit(connection, lock_within=_LOCK_SECONDS, idle_within=_IDLE_SECONDS)


def _check(connection: Connection) -> None:
    lacking = rows(connection, statements("earlier")["lacking"], {})
    absent = [row["name"] for row in lacking if not row["present"]]
    where = f"The database {printable(connection.info.dbname)} of --from"
    if absent:
        raise ConfigError(
            f"{where} is not the earlier system's: it has no {', '.join(absent)}.",
            code="E_EARLIER_SCHEMA",
            hint=f"Name that database with dbname in --from; it is mostly called {EARLIER_DATABASE}.",
        )
    if lacking:
        refused = ", ".join(row["name"] for row in lacking)
        raise DatabaseRefused(f"{where} does not let its user read {refused}.", code="E_DB_RIGHTS", hint=_RIGHTS)


class PgEarlierRecords(EarlierRecords):
    """The records of the earlier system, through one connection whose transaction may only read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    def jobs(self) -> list[EarlierJob]:
        found = self._rows("jobs", longest_config=_LONGEST_CONFIG, limit=_MOST_JOBS + 1)
        if len(found) > _MOST_JOBS:
            raise ConfigError(f"The database of --from has more than {_MOST_JOBS:,} jobs.", code="E_EARLIER_JOBS")
        return [
            EarlierJob(row["id"], _text(row["name"]), None if row["config"] is None else _text(row["config"]))
            for row in found
        ]

    @override
    def volumes(self) -> Iterator[list[EarlierVolume]]:
        for portion in self._portions("volumes"):
            yield [
                EarlierVolume(_text(row["w_id"]), _text(row["i_id"]), row["etag"], row["nb_images_intro"])
                for row in portion
            ]

    @override
    def done(self) -> Iterator[list[EarlierTask]]:
        for portion in self._portions("done"):
            yield [_task(row) for row in portion]

    @override
    def undone(self) -> list[UndoneTasks]:
        found = self._rows("undone", limit=_MOST_STATUSES)
        return [UndoneTasks(row["job_id"], _text(row["status"]), row["tasks"]) for row in found]

    def _portions(self, statement: str) -> Iterator[list[Row]]:
        after = _BEFORE_ALL
        while portion := self._rows(statement, after=after, limit=_PORTION):
            yield portion
            after = portion[-1]["id"]

    def _rows(self, statement: str, **parameters: int) -> list[Row]:
        named = {"longest_name": _LONGEST_NAME, **parameters}
        with _faults_of_the_other():
            return rows(self._connection, statements("earlier")[statement], named)


@contextmanager
def _faults_of_the_other() -> Iterator[None]:
    """Raise what goes wrong there with hints that are about that database, not about ours."""
    try:
        with database_errors(_READING):
            yield
    except DatabaseError as error:
        hint = _HINTS.get(error.code, "It is the database of --from; nothing in it was changed.")
        raise type(error)(error.message, code=error.code, hint=hint) from error


def _task(row: Row) -> EarlierTask:
    return EarlierTask(
        job_id=row["job_id"],
        w_id=_text(row["w_id"]),
        i_id=_text(row["i_id"]),
        etag=row["etag"],
        pages=row["pages"],
        started_at=_time(row["started_at"]),
        done_at=_time(row["done_at"]),
    )


def _text(value: bytes | None) -> str:
    """Return a text of that database; bytes that are not UTF-8 are kept apart, as Python does for names of files."""
    return (value or b"").decode("utf-8", "surrogateescape")


def _time(seconds: float | None) -> dt.datetime | None:
    """Return a time; None for one that this machine's calendar does not have."""
    try:
        return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
