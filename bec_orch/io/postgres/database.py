"""One PostgreSQL database: a pool of connections, and transactions."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from bec_orch.core.records.checks import COMMAND
from bec_orch.errors import DatabaseError
from bec_orch.io.postgres.adapters import ADAPTERS
from bec_orch.io.postgres.connection import BoundedConnection, configure, limit, probe
from bec_orch.io.postgres.errors import AWAY, database_errors
from bec_orch.io.postgres.rows import one
from bec_orch.io.postgres.sql_files import statements

# A dead peer is noticed after 10 + 3 x 5 s when the connection is idle, after 30 s when something was sent.
_CONNECT: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    # Server-side prepared statements break behind a pooler that swaps connections between transactions.
    "prepare_threshold": None,
    "row_factory": dict_row,
    "context": ADAPTERS,
}

_RECONNECT = 2.0
# For the answer to a statement that goes over a whole archive.
_LONG = 900.0


class Database:
    """A pool of connections to one database; it connects when it is first used.

    Args:
        conninfo: a libpq connection string; may hold a password, and is never printed.
        connections: the most connections that are open at once.
        wait: seconds to wait for a connection before the database counts as away.
        answer_within: seconds to wait for the answer to one statement before the database counts as away. The server
            ends a statement that takes four fifths of it, and the wait for a lock after three.
        idle_within: seconds after which the server ends a transaction whose client says nothing. A worker that sleeps
            or is cut off in the middle of one holds what it locked for no longer; a commit puts `success.json` in it.
        on_fault: called with each fault before it is raised; it may mend the cause, or raise another error instead.
        application: what the server's list of connections calls us.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        connections: int = 8,
        wait: float = 10.0,
        answer_within: float = 30.0,
        idle_within: float = 120.0,
        on_fault: Callable[[DatabaseError], None] | None = None,
        application: str = COMMAND,
    ) -> None:
        self._conninfo = conninfo
        self._connect = {**_CONNECT, "application_name": application}
        self._answer_within = answer_within
        self._idle_within = idle_within
        self._on_fault = on_fault
        self._reached = False
        self._pool: ConnectionPool[BoundedConnection] = ConnectionPool(
            conninfo,
            connection_class=BoundedConnection,
            kwargs=self._connect,
            min_size=0,
            max_size=connections,
            timeout=wait,
            # The pool's own pauses between attempts grow to minutes; dropped soon, the next call makes a fresh pool.
            reconnect_timeout=_RECONNECT,
            open=False,
            configure=self._configure,
            check=probe,
        )

    def server(self) -> dict[str, str | None]:
        """Return where its server is, as libpq says it: `host`, `port` and `user`."""
        named = conninfo_to_dict(self._conninfo)
        return {name: None if name not in named else str(named[name]) for name in ("host", "port", "user")}

    def close(self) -> None:
        """Close every connection. May be called twice."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self, doing: str, *, long: bool = False) -> Iterator[psycopg.Connection[DictRow]]:
        """Lend a connection for one transaction: committed at the end of the block, rolled back when it raises.

        Args:
            doing: what it is for, to follow "The database failed to".
            long: one statement of it may go over a whole archive: it has minutes. No lock is waited for longer.

        Raises:
            DatabaseError: the database is away or refused, or a statement took too long (E_DB_SLOW).
        """
        with self._draining_after_an_outage(), database_errors(doing):
            self._reach(doing)
            with self._lent(doing, _LONG if long else self._answer_within) as connection:
                yield connection

    def connect(self, doing: str) -> BoundedConnection:
        """Open a connection outside of the pool, in autocommit; the caller closes it.

        Raises:
            DatabaseError: the database is away or refused.
        """
        with self._draining_after_an_outage():
            return self._opened(doing)

    def _opened(self, doing: str) -> BoundedConnection:
        with database_errors(doing):
            connection = BoundedConnection.connect(self._conninfo, autocommit=True, **self._connect)
        connection.answer_within = self._answer_within
        return connection

    def _configure(self, connection: BoundedConnection) -> None:
        connection.answer_within = self._answer_within
        configure(connection)

    def _reach(self, doing: str) -> None:
        if not self._reached:
            # A wrong host or password is reported at once, and in the server's words.
            self._opened(doing).close()
            self._pool.open()
            self._reached = True

    @contextmanager
    def _draining_after_an_outage(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            if error.code == AWAY:
                # What cut this connection off cut off the others: none is to be found dead one by one. And while the
                # server does not answer, nobody waits for the pool, which would only say that time is up.
                self._reached = False
                self._pool.drain()
            if self._on_fault:
                self._on_fault(error)
            raise

    @contextmanager
    def _lent(self, doing: str, within: float) -> Iterator[psycopg.Connection[DictRow]]:
        try:
            connection = self._pool.getconn()
        except PoolTimeout:
            self._opened(doing).close()  # if the database is away, this raises why
            raise
        try:
            connection.answer_within = within
            with connection:
                limit(connection, lock_within=self._answer_within, idle_within=self._idle_within)
                yield connection
        finally:
            connection.answer_within = self._answer_within
            self._pool.putconn(connection)


def server_version(database: Database) -> str:
    """Return the version of PostgreSQL that answers, such as `16.4`.

    Raises:
        DatabaseError: the database is away or refused.
    """
    with database.transaction("read its version") as connection:
        major, minor = divmod(connection.info.server_version, 10_000)
    return f"{major}.{minor}"


def now(database: Database) -> dt.datetime:
    """Return the database's clock.

    Raises:
        DatabaseError: the database is away or refused.
    """
    with database.transaction("read its clock") as connection:
        time: dt.datetime = one(connection, statements("database")["now"], {})["now"]
    return time
