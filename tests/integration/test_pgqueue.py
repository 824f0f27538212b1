"""What is the PostgreSQL queue's own: wake-ups, hand-made bodies, bulk, and a database that goes away."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bec_orch.core.messages import TaskMessage
from bec_orch.errors import QueueError
from bec_orch.io.postgres.connection import BoundedConnection
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.queue import PgQueue, PgQueues
from bec_orch.io.postgres.sql_files import statements
from tests.integration.conftest import Sql


@pytest.fixture
def queues(database: Database) -> Iterator[PgQueues]:
    queues = PgQueues(database)
    yield queues
    queues.close()


@pytest.fixture
def queue(queues: PgQueues) -> PgQueue:
    return queues("lines")


MESSAGE = TaskMessage("W1", "I1", "lines", None)


def test_queues_of_two_jobs_are_two(queues: PgQueues) -> None:
    queues("lines").send([MESSAGE])
    assert queues("ocr").receive(limit=1, wait=0, visibility=60) == []
    assert queues("lines") is queues("lines")
    assert queues("lines").purge().count == 1


def test_receipt_is_good_in_its_own_queue_only(queues: PgQueues) -> None:
    queues("lines").send([MESSAGE])
    [message] = queues("lines").receive(limit=1, wait=0, visibility=60)
    with pytest.raises(Exception, match="gone"):
        queues("ocr").delete(message.receipt)
    queues("lines").delete(message.receipt)


def test_bodies_by_hand_come_as_they_are(queue: PgQueue, sql: Sql) -> None:
    sql("INSERT INTO queue_messages (queue, body) VALUES ('lines', 'no JSON %%s')")
    [message] = queue.receive(limit=1, wait=0, visibility=60)
    assert message.body == "no JSON %s"


def test_long_poll_wakes_when_a_delay_ends(queue: PgQueue) -> None:
    queue.send([MESSAGE], delay=0.4)
    begun = time.monotonic()
    assert len(queue.receive(limit=1, wait=8, visibility=60)) == 1
    assert 0.3 < time.monotonic() - begun < 3


def test_long_poll_is_not_woken_by_other_queues(queues: PgQueues, sql: Sql) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queues("lines").receive, limit=1, wait=1, visibility=60)
        for _ in range(5):
            queues("ocr").send([MESSAGE])
        assert waiting.result() == []


def test_many_pollers_wake_and_share(queue: PgQueue) -> None:
    barrier = threading.Barrier(5)

    def poll(_: int) -> int:
        barrier.wait()
        return len(queue.receive(limit=1, wait=8, visibility=60))

    with ThreadPoolExecutor(5) as pool:
        polls = [pool.submit(poll, n) for n in range(4)]
        barrier.wait()
        queue.send([TaskMessage("W1", f"I{n}") for n in range(4)])
        assert [poll.result() for poll in polls] == [1, 1, 1, 1]


def test_waiting_asks_the_database_a_few_times_only(queue: PgQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    take = queue._take

    def counted(limit: int, visibility: float) -> object:
        asked.append(time.monotonic())
        return take(limit, visibility)

    monkeypatch.setattr(queue, "_take", counted)
    queue.send([MESSAGE], delay=30)
    assert queue.receive(limit=1, wait=1, visibility=60) == []
    assert len(asked) <= 4


def test_listener_that_was_cut_is_replaced(queue: PgQueue, sql: Sql) -> None:
    assert queue.receive(limit=1, wait=0.1, visibility=60) == []
    sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(QueueError) as caught:
        queue.receive(limit=1, wait=0.1, visibility=60)
    assert caught.value.retryable
    assert queue.receive(limit=1, wait=0.1, visibility=60) == []


def test_database_that_is_away(tmp_path: Path) -> None:
    with Database(f"host={tmp_path} dbname=x password=canary", wait=0.2) as away:
        queue = PgQueue(away, "lines")
        with pytest.raises(QueueError) as caught:
            queue.send([MESSAGE])
        assert "canary" not in str(caught.value)
        queue.close()


def test_sixty_thousand_in_two_statements(queue: PgQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.stats()  # connects
    run: list[bytes] = []
    execute = BoundedConnection.execute

    def counted(connection: BoundedConnection, statement: bytes, *more: Any, **options: Any) -> Any:
        run.append(statement)
        return execute(connection, statement, *more, **options)

    with monkeypatch.context() as patched:
        patched.setattr(BoundedConnection, "execute", counted)
        queue.send([TaskMessage(f"W{n}", "I1", "lines", "folder+file:///scans") for n in range(60_000)])
    sql = statements("queue")
    assert [statement for statement in run if statement in sql.values()] == [sql["send"], sql["wake"]]
    assert queue.stats().visible == 60_000
    assert len(queue.receive(limit=10, wait=0, visibility=60)) == 10


def test_messages_come_oldest_first(queue: PgQueue) -> None:
    for n in range(3):
        queue.send([TaskMessage("W1", f"I{n}")])
    taken = [queue.receive(limit=1, wait=0, visibility=60)[0].body for _ in range(3)]
    assert [f'"I{n}"' in body for n, body in enumerate(taken)] == [True, True, True]


def test_closing_twice_and_unused(database: Database, conninfo: str) -> None:
    queue = PgQueue(database, "lines")
    queue.close()
    queue.receive(limit=1, wait=0.05, visibility=1)
    queue.close()
    queue.close()
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN bec_queue'").fetchone()
    assert row == (0,)
