"""A connection that never waits for an answer for ever.

libpq's own time-outs end where the other side's kernel still answers: a server that is stopped, or a balancer that
forgot the connection and swallows what comes, would hold a worker up until it is killed.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import DictRow

T = TypeVar("T")

# Of a connection that lay idle, an empty statement is asked before it is lent.
_PROBE_SECONDS = 5.0


class BoundedConnection(psycopg.Connection[DictRow]):
    """A connection whose every wait ends after `answer_within` seconds: it is closed then, and the wait an error."""

    answer_within: float = 30.0

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Consume one of psycopg's generators; who gives a time-out of its own (waiting for notifications) has it."""
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


def configure(connection: BoundedConnection, idle_within: float) -> None:
    """Let the server end a transaction whose client says nothing for `idle_within` seconds."""
    milliseconds = str(round(idle_within * 1000))
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (milliseconds,))
    connection.commit()


@contextmanager
def _bounded(connection: BoundedConnection, seconds: float) -> Iterator[None]:
    usual = connection.answer_within
    connection.answer_within = min(usual, seconds)
    try:
        yield
    finally:
        connection.answer_within = usual
