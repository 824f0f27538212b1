"""`TaskQueue` and `QueueAdmin` on a table of PostgreSQL, with the semantics of SQS.

A receive takes rows with SKIP LOCKED and gives each a fresh receipt. A receiver that finds nothing listens on the
channel `bec_queue`, whose notifications carry the queue's name, and wakes no later than the next message becomes
visible.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from typing_extensions import override

from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.queues import (
    DeadLetter,
    Purged,
    QueueAdmin,
    QueueBackend,
    QueueCondition,
    QueueSetup,
    QueueStats,
    ReceivedMessage,
    TaskQueue,
)
from bec_orch.errors import DatabaseError, DatabaseRefused, QueueError, ReceiptExpired
from bec_orch.io.postgres.adapters import clean_text
from bec_orch.io.postgres.database import Database, server_version
from bec_orch.io.postgres.errors import database_errors
from bec_orch.io.postgres.rows import Connection, Row, one, rows
from bec_orch.io.postgres.sql_files import statements

# When a visible message is passed over because somebody else is just taking it, we look again after this.
_LEAST_WAIT = 0.05
_READ_AT_ONCE = 5000


class PgQueue(TaskQueue, QueueAdmin):
    """The queue of one job in the table `queue_messages`. May be used by several threads.

    Args:
        database: where the table is.
        name: the job's name.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = clean_text(name)  # as notifications give it back
        self._sql = statements("queue")
        self._listeners: list[Connection] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections that listen. May be called twice."""
        with self._lock:
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.close()

    @override
    def send(self, messages: Sequence[TaskMessage], *, delay: float = 0.0) -> None:
        bodies = [json.dumps(message.to_json(), ensure_ascii=False) for message in messages]
        if bodies:
            self._execute("send messages to", "send", wake=True, bodies=bodies, delay=delay)

    @override
    def receive(self, *, limit: int, wait: float, visibility: float) -> list[ReceivedMessage]:
        until = time.monotonic() + wait
        taken = self._take(limit, visibility)
        if taken or wait <= 0:
            return taken
        with self._listener() as listener:
            # Taken again now that we listen, so that no message can slip in between.
            taken = self._take(limit, visibility)
            while not taken and (left := until - time.monotonic()) > 0:
                self._wait(listener, left)
                taken = self._take(limit, visibility)
        return taken

    @override
    def change_visibility(self, receipt: str, seconds: float) -> None:
        parameters = {"seconds": seconds, **_parts(receipt)}
        _require(self._execute("hide a message of", "change_visibility", wake=seconds <= 0, **parameters))

    @override
    def delete(self, receipt: str) -> None:
        _require(self._execute("delete a message of", "delete", **_parts(receipt)))

    @override
    def dead_letter(self, receipt: str, reason: Mapping[str, str]) -> None:
        _require(self._execute("dead-letter a message of", "dead_letter", reason=Jsonb(reason), **_parts(receipt)))

    @override
    def stats(self) -> QueueStats:
        with self._transaction("count the messages of", long=True) as connection:
            return QueueStats(**one(connection, self._sql["stats"], {"queue": self._name}))

    @override
    def peek(self, *, limit: int, dead: bool = False) -> list[ReceivedMessage] | list[DeadLetter]:
        with self._transaction("look at the messages of") as connection:
            found = rows(connection, self._sql["peek_dead" if dead else "peek"], {"queue": self._name, "limit": limit})
        return [_dead_letter_of(row) for row in found] if dead else [_message_of(row) for row in found]

    @override
    def bodies(self) -> Iterator[str]:
        after = 0
        while True:
            with self._transaction("read the messages of") as connection:
                wanted = {"queue": self._name, "after": after, "limit": _READ_AT_ONCE}
                found = rows(connection, self._sql["bodies"], wanted)
            yield from (row["body"] for row in found)
            if len(found) < _READ_AT_ONCE:
                return
            after = found[-1]["id"]

    @override
    def redrive(self, accept: Callable[[DeadLetter], bool]) -> int:
        with self._transaction("move dead letters back to", long=True) as connection:
            every = rows(connection, self._sql["dead_letters"], {"queue": self._name})
            ids = [row["id"] for row in every if accept(_dead_letter_of(row))]
            connection.execute(self._sql["revive"], {"queue": self._name, "ids": ids})
            connection.execute(self._sql["wake"], {"queue": self._name})
        return len(ids)

    @override
    def redrive_all(self) -> int:
        return self.redrive(lambda _: True)

    @override
    def undeclared_dead_letters(self, *, limit: int) -> list[DeadLetter]:
        return []

    @override
    def purge(self, *, dead: bool = False) -> Purged:
        return Purged(self._execute("purge", "purge", long=True, dead=dead))

    @override
    def create(self) -> QueueSetup:
        """Make nothing: a queue is its messages."""
        return QueueSetup()

    @override
    def check(self) -> QueueCondition:
        self.stats()
        return QueueCondition()

    @override
    def metric_name(self) -> None:
        """Return nothing: only PostgreSQL counts this queue."""

    @override
    def left_over(self) -> str:
        return ""

    def _execute(self, doing: str, statement: str, *, wake: bool = False, long: bool = False, **parameters: Any) -> int:
        with self._transaction(doing, long=long) as connection:
            count = connection.execute(self._sql[statement], {"queue": self._name, **parameters}).rowcount
            if wake:
                connection.execute(self._sql["wake"], {"queue": self._name})
        return count

    @contextmanager
    def _transaction(self, doing: str, *, long: bool = False) -> Iterator[Connection]:
        told = f"{doing} the queue {self._name}"
        with _queue_errors(), self._database.transaction(told, long=long) as connection:
            yield connection

    def _take(self, limit: int, visibility: float) -> list[ReceivedMessage]:
        parameters = {"queue": self._name, "limit": limit, "visibility": visibility}
        with self._transaction("receive from") as connection:
            return [_message_of(row) for row in rows(connection, self._sql["receive"], parameters)]

    @contextmanager
    def _listener(self) -> Iterator[Connection]:
        """Lend a connection that listens; it is kept for the next long poll unless the block raises."""
        with self._lock:
            listener = self._listeners.pop() if self._listeners else None
        with _queue_errors(), database_errors(f"listen to the queue {self._name}"):
            listener = listener or self._database.connect(f"listen to the queue {self._name}")
            try:
                listener.execute(self._sql["listen"])
                list(listener.notifies(timeout=0))  # what came while nobody waited
                yield listener
            except BaseException:
                listener.close()
                raise
        with self._lock:
            self._listeners.append(listener)

    def _wait(self, listener: Connection, left: float) -> None:
        """Wait for a message of this queue to be sent or to become visible, at most `left` seconds."""
        with self._transaction("look for the next message of") as connection:
            next_in = one(connection, self._sql["seconds_to_next"], {"queue": self._name})["seconds"]
        seconds = left if next_in is None else min(left, max(next_in, _LEAST_WAIT))
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            notes = list(listener.notifies(timeout=rest, stop_after=1))
            if any(note.payload == self._name for note in notes):
                return


class PgQueues(QueueBackend):
    """Opens the queue of a job by the job's name, and closes them all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: dict[str, PgQueue] = {}

    @override
    def __call__(self, job: str) -> PgQueue:
        return self._queues.setdefault(job, PgQueue(self._database, job))

    @override
    def admin(self, job: str) -> PgQueue:
        return self(job)

    @override
    def check(self) -> str:
        server_version(self._database)
        return "The database"

    @override
    def close(self) -> None:
        """Close every queue that was given. May be called twice."""
        for queue in self._queues.values():
            queue.close()


@contextmanager
def _queue_errors() -> Iterator[None]:
    try:
        yield
    except DatabaseRefused:
        # Waiting mends nothing: it must not look like an outage of the queue.
        raise
    except DatabaseError as error:
        raise QueueError(error.message, hint=error.hint) from error


def _parts(receipt: str) -> dict[str, Any]:
    message_id, _, token = receipt.partition(":")
    try:
        return {"id": int(message_id), "receipt": UUID(token)}
    except ValueError as error:
        raise _expired() from error


def _require(found: int) -> None:
    if not found:
        raise _expired()


def _expired() -> ReceiptExpired:
    return ReceiptExpired("The message was received again by somebody else, or is gone.")


def _message_of(row: Row) -> ReceivedMessage:
    receipt = f"{row['id']}:{row['receipt']}" if "receipt" in row else ""
    return ReceivedMessage(str(row["id"]), receipt, row["body"], row["receive_count"], row["sent_at"])


def _dead_letter_of(row: Row) -> DeadLetter:
    return DeadLetter(str(row["id"]), row["body"], row["dead_reason"], row["dead_at"])
