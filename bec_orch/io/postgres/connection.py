"""A connection that never waits forever for an answer, and that leaves nothing running at the server.

libpq's own time-outs end where the other side's kernel still answers: a server that is stopped, or a balancer that
forgot the connection and swallows what comes, would hold a worker up until it is killed. And a server goes on with a
statement whose client is gone. So both have limits: the server's are the shorter ones, so that a statement that takes
too long is reported as such, and a client that stops waiting leaves nothing behind.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow
from typing_extensions import override

from bec_orch.io.postgres.sql_files import statements

T = TypeVar("T")

# A connection that was idle is tested with an empty statement before it is lent.
_PROBE_SECONDS = 5.0
# The shares of the time in which a client waits for an answer that the server gives to a statement, and to a lock.
_STATEMENT_SHARE = 0.8
_LOCK_SHARE = 0.6
# PostgreSQL has it from version 14 on, and refuses it where the system does not report closed connections.
_CLIENT_CHECK = "client_connection_check_interval"
_CLIENT_CHECK_SECONDS = 2.0

# What libpq reads beside the variables that it lists itself ("Environment Variables" of its manual, and its source).
_UNLISTED = frozenset(
    {"PGDATESTYLE", "PGGEQO", "PGLOCALEDIR", "PGOAUTHDEBUG", "PGREALM", "PGREQUIRESSL", "PGSERVICEFILE", "PGSYSCONFDIR"}
    | {"PGTZ"}
)
# Below a file there is none: where none is named, libpq reads ~/.pgpass, and it complains about one that is not a plain
# file.
_NO_PASSFILE = f"{os.devnull}/none"


def conninfo_of(**values: str | int | None) -> str:
    """Return the libpq connection string of these values; None leaves one out.

    They alone decide where this process connects to, and how: the variables of libpq are taken out of its environment,
    for some (PGSERVICE, PGDATESTYLE) cannot be overruled by a connection string, and ~/.pgpass is not read.
    """
    for name in libpq_variables():
        os.environ.pop(name, None)
    given = {name: str(value) for name, value in values.items() if value is not None}
    return make_conninfo(**{"passfile": _NO_PASSFILE, **given})


def libpq_variables() -> frozenset[str]:
    """Return the names of the environment variables that libpq reads."""
    listed = (option.envvar for option in pq.Conninfo.get_defaults())
    return _UNLISTED | {name.decode() for name in listed if name}


class BoundedConnection(psycopg.Connection[DictRow]):
    """A connection whose every wait ends after `answer_within` seconds: it is closed then, and the wait an error."""

    answer_within: float = 30.0
    checks_client: bool = False

    @override
    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Consume one of psycopg's generators; a caller with a time-out of its own (for notifications) keeps it."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        begun = time.monotonic()
        try:
            return super().wait(gen, interval, self.answer_within)
        except psycopg.OperationalError as error:
            if time.monotonic() - begun < self.answer_within:
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {self.answer_within:g} s") from error


def probe(connection: BoundedConnection) -> None:
    """See whether a connection still works, without waiting long.

    Raises:
        psycopg.Error: it does not.
    """
    with _bounded(connection, _PROBE_SECONDS):
        connection.autocommit = True
        connection.execute("")
        connection.autocommit = False


def configure(connection: BoundedConnection) -> None:
    """Find out whether the server can look, while it works, whether its client is still there."""
    try:
        _set(connection, {_CLIENT_CHECK: _CLIENT_CHECK_SECONDS})
        connection.checks_client = True
    except (psycopg.ProgrammingError, psycopg.DataError):
        connection.checks_client = False
    connection.rollback()


def limit(connection: BoundedConnection, *, lock_within: float, idle_within: float) -> None:
    """Let the server end what takes too long in the transaction that begins.

    The limits hold for this transaction alone: behind a pooler the next one may run in another session.

    Args:
        connection: where the transaction is; its statements have as long as somebody waits for their answer.
        lock_within: seconds in which somebody waits for an answer who is to wait no longer for a lock.
        idle_within: seconds that the client may say nothing.
    """
    limits = {
        "statement_timeout": connection.answer_within * _STATEMENT_SHARE,
        "lock_timeout": lock_within * _LOCK_SHARE,
        "idle_in_transaction_session_timeout": idle_within,
    }
    if connection.checks_client:
        limits[_CLIENT_CHECK] = _CLIENT_CHECK_SECONDS
    _set(connection, limits)


def _set(connection: BoundedConnection, limits: Mapping[str, float]) -> None:
    milliseconds = [str(round(seconds * 1000)) for seconds in limits.values()]
    connection.execute(statements("connection")["limit"], {"names": list(limits), "values": milliseconds})


@contextmanager
def _bounded(connection: BoundedConnection, seconds: float) -> Iterator[None]:
    usual = connection.answer_within
    connection.answer_within = min(usual, seconds)
    try:
        yield
    finally:
        connection.answer_within = usual
