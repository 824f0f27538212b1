"""A database that answers with errors: the transaction is undone, it is tried again, and the next task is clean."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.tasks import AttemptOutcome
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import DatabaseError
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.orch.backlog.enqueue import Enqueuer
from tests.integration.conftest import Sql
from tests.integration.test_worker_runtime import PAGES, World, fail_times

# SQLSTATEs of faults that pass: PostgreSQL manual, appendix A.
PASSING = {
    "serialization": "40001",
    "statement timeout": "57014",
    "out of memory": "53200",
}
# Statements of a task's life, as triggers see them.
POINTS = {
    "receive": "UPDATE ON queue_messages",
    "claim": "INSERT ON task_attempts",
    "stamp": "UPDATE ON volumes",
    "renew": "UPDATE OF lease_expires_at ON tasks",
    "done": "UPDATE ON task_attempts",
    "delete": "DELETE ON queue_messages",
}

_FAULT = """
CREATE SEQUENCE faults;
CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A sequence is not set back with the transaction, so this happens once in all.
    IF nextval('faults') = 1 THEN
        RAISE EXCEPTION 'injected' USING ERRCODE = '{state}';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER fault BEFORE {point} FOR EACH ROW EXECUTE FUNCTION fault();
"""


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("bec_orch.core.life.worker_runtime._OUTAGE_PAUSE", 0.1)
    world = World(tmp_path, database, options={"outage_patience": 30.0})
    world.create_job()
    yield world
    world.queues.close()


@pytest.fixture
def other(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A session of somebody else, in autocommit."""
    with psycopg.connect(conninfo, autocommit=True) as other:
        yield other


def at_page(index: int, then: Callable[[], object]) -> Callable[[JobContext, Page], None]:
    """Do something at a page of the first volume that comes to it."""
    left = [then]

    def at(_context: JobContext, page: Page) -> None:
        if page.index == index and left:
            left.pop()()

    return at


def check_all_done_once(world: World, *volumes: VolumeRef) -> None:
    assert world.tasks("state, attempt, charged") == [{"state": "done", "attempt": 1, "charged": 0} for _ in volumes]
    assert world.attempts() == ["done" for _ in volumes]
    assert [world.lengths(volume) for volume in volumes] == [[1, 2, 3, 4] for _ in volumes]


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("state", PASSING.values(), ids=PASSING)
def test_a_statement_that_fails_is_undone_and_the_next_task_is_clean(
    world: World, sql: Sql, state: str, point: str
) -> None:
    volumes = [world.volume("I1"), world.volume("I2")]
    world.send(*volumes)
    sql(_FAULT.format(state=state, point=point))
    assert world.run().outcomes == {AttemptOutcome.DONE: 2}
    assert sql("SELECT last_value > 1 AS met FROM faults") == [{"met": True}]
    check_all_done_once(world, *volumes)
    assert sql("SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%'") == []


@pytest.mark.parametrize("state", PASSING.values(), ids=PASSING)
def test_a_failure_that_cannot_be_written_down_is_written_at_the_second_try(world: World, sql: Sql, state: str) -> None:
    world.at_page = fail_times(OSError("odd"), 1)
    world.send(world.volume())
    sql(_FAULT.format(state=state, point="UPDATE OF not_before ON tasks").replace("ROW EXECUTE", _WHEN_FAILED))
    assert world.run().outcomes == {AttemptOutcome.RETRYABLE_FAILED: 1, AttemptOutcome.DONE: 1}
    assert world.attempts() == ["retryable_failed", "done"]
    assert world.tasks("charged") == [{"charged": 1}]


_WHEN_FAILED = "ROW WHEN (NEW.state = 'retryable_failed') EXECUTE"


def test_an_enqueueing_that_fails_leaves_nothing_and_can_be_made_again(world: World, sql: Sql) -> None:
    volumes = [world.volume(f"I{n}") for n in range(3)]
    enqueuer = Enqueuer(PgBacklog(world.database), world.queues)
    sql(_FAULT.format(state="40001", point="INSERT ON tasks"))
    with pytest.raises(DatabaseError) as caught:
        enqueuer.enqueue("toy", volumes)
    assert caught.value.code == "E_DB_CONFLICT"
    assert sql("SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM volumes) AS n") == [{"n": 0}]
    assert enqueuer.enqueue("toy", volumes).sent == 3


def test_a_real_deadlock_ends_with_the_work_done(world: World, conninfo: str, other: psycopg.Connection[Any]) -> None:
    """Somebody holds the task and then wants the volume, while the worker holds the volume and wants the task."""
    volume = world.volume()
    met = threading.Event()
    with psycopg.connect(conninfo) as crossing:
        # The session that looks for deadlocks first is the one that is ended.
        crossing.execute("SET deadlock_timeout = '60s'")

        def cross() -> None:
            wait_until(lambda: bool(other.execute(_WAITERS).fetchall()))
            crossing.execute("SELECT 1 FROM volumes FOR UPDATE")
            crossing.rollback()
            met.set()

        def hold_the_task() -> None:
            crossing.execute("SELECT 1 FROM tasks FOR UPDATE")
            threading.Thread(target=cross).start()

        world.at_page = at_page(PAGES - 1, hold_the_task)
        world.send(volume)
        assert world.run().outcomes == {AttemptOutcome.DONE: 1}
        assert met.wait(10)
    check_all_done_once(world, volume)
    [(deadlocks,)] = other.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchall()
    assert deadlocks >= 1


_WAITERS = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def wait_until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout"])
def test_a_real_timeout_is_waited_out(world: World, conninfo: str, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    volume = world.volume()
    codes: list[str] = []

    def told(fault: DatabaseError) -> None:
        codes.append(fault.code)

    monkeypatch.setattr(world.database, "_answer_within", 0.5)
    monkeypatch.setattr(world.database, "_on_fault", told)
    if limit == "statement_timeout":
        monkeypatch.setattr("bec_orch.io.postgres.connection._LOCK_SHARE", 10.0)
    with psycopg.connect(conninfo) as holding:

        def hold() -> None:
            holding.execute("SELECT 1 FROM volumes FOR UPDATE")
            threading.Timer(2.0, holding.rollback).start()

        world.at_page = at_page(PAGES - 1, hold)
        world.send(volume)
        assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert {"statement_timeout": "E_DB_SLOW", "lock_timeout": "E_DB_LOCKED"}[limit] in codes
    check_all_done_once(world, volume)


def test_a_standby_that_only_reads_is_waited_for(world: World, other: psycopg.Connection[Any]) -> None:
    volume = world.volume()
    codes: list[str] = []

    def fail_over() -> None:
        set_for_all(other, "default_transaction_read_only", "on")
        with pytest.raises(DatabaseError) as caught:
            world.store.mark_dispatched([])
        codes.append(caught.value.code)
        threading.Timer(1.0, lambda: set_for_all(other, "default_transaction_read_only", "off")).start()

    world.at_page = at_page(PAGES - 1, fail_over)
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert codes == ["E_DB_READ_ONLY"]
    check_all_done_once(world, volume)


def set_for_all(connection: psycopg.Connection[Any], setting: str, value: str) -> None:
    """Change a setting of the database, and end the sessions that began before."""
    name = sql.Identifier(connection.info.dbname)
    connection.execute("SET default_transaction_read_only = off")
    connection.execute(
        sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
    )
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'bec_orch'"
    )


def test_a_server_without_a_free_connection_is_waited_for(
    world: World, conninfo: str, other: psycopg.Connection[Any]
) -> None:
    volume = world.volume()
    world.send(volume)
    role = sql.Identifier(f"few_{other.info.dbname}")
    other.execute(sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 2").format(role))
    other.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(role))
    limited = psycopg.conninfo.make_conninfo(conninfo, user=f"few_{other.info.dbname}")
    taken = [psycopg.connect(limited) for _ in range(2)]
    try:
        with Database(limited, wait=1.0) as database:
            with pytest.raises(DatabaseError) as caught, database.transaction("look"):
                pytest.fail("there is no free connection")
            # Before a session there is no SQLSTATE: the server's own words are all that is known.
            assert (caught.value.code, caught.value.retryable) == ("E_DB_AWAY", True)
            assert "too many connections for role" in caught.value.message
            worker = world.worker()
            world.store._database = database
            threading.Timer(1.0, close_all, taken).start()
            assert worker.run(until_empty=True).outcomes == {AttemptOutcome.DONE: 1}
    finally:
        other.execute(sql.SQL("DROP OWNED BY {}").format(role))
        other.execute(sql.SQL("DROP ROLE {}").format(role))
    check_all_done_once(world, volume)


def close_all(*connections: psycopg.Connection[Any]) -> None:
    for connection in connections:
        connection.close()


class TestRollback:
    def test_a_block_that_raises_changes_nothing(self, database: Database, sql: Sql) -> None:
        def change_and_raise() -> None:
            with database.transaction("change") as connection:
                connection.execute("CREATE TABLE half (id integer)")
                raise KeyError("odd")

        with pytest.raises(KeyError):
            change_and_raise()
        assert sql("SELECT to_regclass('half') AS half") == [{"half": None}]

    def test_an_aborted_transaction_does_no_harm_to_the_next_on_its_connection(self, conninfo: str) -> None:
        with Database(conninfo, connections=1) as database:

            def go_on_after_an_error() -> None:
                with database.transaction("go on") as connection:
                    connection.execute("CREATE TABLE half (id integer)")
                    with suppress(psycopg.Error):
                        connection.execute("SELECT 1 / 0")
                    connection.execute("SELECT 1")

            with pytest.raises(DatabaseError, match="aborted"):
                go_on_after_an_error()
            with database.transaction("look") as connection:
                assert connection.execute("SELECT to_regclass('half') AS half").fetchone() == {"half": None}
