"""SQL in every value that comes from outside is stored as text or refused, whatever command or message brings it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from bec_orch.core.failures import failure_of
from bec_orch.core.records.backlog import RedriveFilter
from bec_orch.core.records.overview import TaskFilter
from bec_orch.core.tasks import Claim, Job, WorkerInfo
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import BecError, NameUnsafeError, TaskFault
from bec_orch.io.postgres.adapters import clean_text
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.overview import PgOverview
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver
from bec_orch.orch.job_admin import JobAdmin
from tests.acceptance.conftest import Bec, ok, write_scans

INJECTIONS = (
    "'; DROP TABLE tasks; --",
    "'; CREATE TABLE pwned (); --",
    "' OR '1'='1",
    "' OR 1=1 --",
    '" OR ""="',
    "') ; DELETE FROM volumes; --",
    "x' UNION SELECT NULL, version() --",
    "'||(SELECT pg_sleep(60))||'",
    "$$; DROP TABLE jobs; $$",
    "$1",
    "%s",
    "%(job_id)s",
    "%%' %",
    "{} {0} {job_id}",
    "\\",
    "\\'; DROP TABLE tasks; --",
    "\x00'; DROP TABLE tasks; --",
    "E'\\x27; DROP TABLE tasks; --",
    "\u02bc; DROP TABLE tasks; --",
    "/**/;COMMIT;DROP TABLE tasks;--",
)
assert len(set(INJECTIONS)) == 20


def shape_of(conninfo: str) -> tuple[Any, ...]:
    """What an injection would change: the tables, and how many rows the real ones have."""
    with psycopg.connect(conninfo) as connection:
        tables = connection.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') ORDER BY 1").fetchall()
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM volumes WHERE w_id = 'W1'),"
            " (SELECT count(*) FROM tasks t JOIN volumes v ON v.id = t.volume_id WHERE w_id = 'W1')"
        ).fetchone()
    return tables, counts


@pytest.fixture
def home(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task of the job `toy`."""
    scans = write_scans(tmp_path / "scans", {"W1/I1": 1})
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_URL", scans.as_uri())
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    monkeypatch.setenv("BEC_LOG_LEVEL", "error")
    ok(bec("jobs", "create", "toy"))
    ok(bec("queue", "enqueue", "toy", "--volume", "W1/I1"))
    return tmp_path / "home"


# Commands that look something up or make it by the name in their last place: all refuse it.
_BY_NAME: tuple[tuple[str, ...], ...] = (
    ("jobs", "create"),
    ("jobs", "create", "other", "--type"),
    ("jobs", "create", "other", "--type", "toy", "--depends-on"),
    ("jobs", "update", "toy", "--depends-on"),
    ("jobs", "show"),
    ("jobs", "delete"),
    ("jobs", "stats"),
    ("jobs", "stale"),
    ("jobs", "tasks", "toy", "--state"),
    ("queue", "stats"),
    ("queue", "peek"),
    ("queue", "enqueue", "toy", "--volume", "W1/I1", "--source"),
    ("worker", "--until-empty", "--job"),
    ("workers", "--job"),
    ("errors", "--job"),
    ("run-volume", "toy", "W1", "I1", "--source"),
    ("audit",),
    ("eval", "report"),
)
# Commands that choose by the value in their last place: they choose nothing.
_BY_FILTER: tuple[tuple[str, ...], ...] = (
    ("jobs", "tasks", "toy", "--json", "--code"),
    ("jobs", "tasks", "toy", "--json", "--fingerprint"),
    ("queue", "redrive", "toy", "--json", "--code"),
    ("queue", "redrive", "toy", "--json", "--fingerprint"),
)
_NOTHING: tuple[object, ...] = ([], {"reset": 0, "moved": 0, "sent": 0, "refused": []})


def some(place: int) -> Iterator[str]:
    """A share of the strings, so that every command gets some and every string meets several commands."""
    return (INJECTIONS[(place + step) % len(INJECTIONS)] for step in range(0, len(INJECTIONS), 4))


@pytest.mark.parametrize("share", range(4))
def test_no_command_executes_what_it_is_given(bec: Bec, home: Path, conninfo: str, share: int) -> None:
    before = shape_of(conninfo)
    for place, command in list(enumerate((*_BY_NAME, *_BY_FILTER)))[share::4]:
        for hostile in some(place):
            ended = bec(*command, hostile)
            if command in _BY_NAME:
                assert ended.code == 2, (command, ended)
            else:
                assert ended.json in _NOTHING, (command, ended)
    for hostile in some(share):
        for command in (("jobs", "tasks"), ("queue", "redrive"), ("queue", "enqueue")):
            ended = bec(*command, "toy", "--volume", f"{hostile}/{hostile}")
            assert ended.code in {0, 1, 2}, (command, ended)
            assert "error E_DB" not in ended.err, (command, ended)
    assert shape_of(conninfo) == before


def test_no_call_of_the_stores_executes_what_it_is_given(database: Database, conninfo: str) -> None:
    queues = PgQueues(database)
    refused: set[str] = set()
    for number, hostile in enumerate(INJECTIONS):
        job = JobAdmin(PgJobs(database)).create(f"lines-{number}", "ldv1", {})
        volume = volume_named(hostile)
        Enqueuer(PgBacklog(database), queues).enqueue(job.name, [volume])
        before = shape_of(conninfo)
        refused |= give_to_the_stores(hostile, job, volume, database, queues)
        assert shape_of(conninfo) == before, hostile
    assert refused == {"E_JOB_UNKNOWN"}
    queues.close()


def volume_named(hostile: str) -> VolumeRef:
    try:
        return VolumeRef(f"W{hostile}", f"I{hostile}", f"folder+file:///{clean_text(hostile)}")
    except NameUnsafeError:
        return VolumeRef("W1", "I1", f"folder+file:///{clean_text(hostile)}")


def give_to_the_stores(hostile: str, job: Job, volume: VolumeRef, database: Database, queues: PgQueues) -> set[str]:
    """Pass a string to every call that takes text, and return the codes of those that refused."""
    store, queue, overview = PgTasks(database, default_source=hostile), queues(job.name), PgOverview(database)
    [message] = queue.receive(limit=1, wait=1, visibility=60)
    worker = clean_text(hostile)
    claim = store.claim(job, volume, worker_id=worker, token=uuid4(), lease=9)
    assert isinstance(claim, Claim)
    fault = TaskFault(hostile, code=hostile, hint=hostile)
    refused = {
        code_of(call)
        for call in (
            lambda: store.job(hostile),
            lambda: store.register_worker(WorkerInfo(hostile, job.id, hostile, 1, hostile)),
            lambda: store.heartbeat(hostile, []),
            lambda: store.stop_worker(hostile, hostile),
            lambda: store.stamp_manifest(claim, hostile, 1),
            lambda: store.fail(claim, failure_of(fault, hostile)),
            lambda: store.record_rejected(job, hostile, failure_of(fault, hostile)),
            lambda: store.reopen(claim.task_id, hostile),
            lambda: queue.dead_letter(message.receipt, {hostile: hostile}),
        )
    }
    assert overview.tasks(job.name, TaskFilter(None, hostile, hostile, hostile, hostile)) == []
    wanted = RedriveFilter(hostile, hostile, (hostile, hostile))
    assert Redriver(PgBacklog(database), queues).redrive(job.name, wanted).reset == 0
    [task] = overview.tasks(job.name)
    assert (task.volume, task.worker_id, task.state) == (volume, worker, "retryable_failed"), "stored as the text it is"
    return refused - {""}


def code_of(call: Callable[[], object]) -> str:
    try:
        call()
    except BecError as error:
        return error.code
    return ""


def test_no_message_executes_what_it_says_or_stops_a_worker(
    bec: Bec, home: Path, conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shape_of(conninfo)
    # The volumes that they name are missing, and a worker that misses many in a row looks for the fault in itself.
    monkeypatch.setenv("BEC_BLACK_HOLE_GUARD", "1000")
    hostile = (*INJECTIONS, "\ud800", "\u2028", "[" * 8000, "x" * 300_000)
    bodies = [
        *hostile,
        *(json.dumps({"w_id": text, "i_id": text}) for text in hostile),
        *(json.dumps({"w_id": "W1", "i_id": "I1", "source": text}) for text in hostile),
        *(json.dumps({"w_id": "W1", "i_id": "I1", "job": text}) for text in hostile),
        *('{"w_id": ' * 1000, "[" * 8000 + "]" * 8000, '{"w_id": {"a": []}, "i_id": 1e999}', "null", "NaN", "-0", '""'),
    ]
    with psycopg.connect(conninfo) as connection:
        connection.cursor().executemany(
            "INSERT INTO queue_messages (queue, body) VALUES ('toy', %s)", [(clean_text(body),) for body in bodies]
        )
    ended = bec("worker", "--job", "toy", "--until-empty")
    assert ended.code in {0, 1}, ended.err
    left = ok(bec("queue", "stats", "toy", "--json")).json
    assert (left["visible"], left["in_flight"]) == (0, 0)
    assert left["dead"] > 100
    assert ok(bec("jobs", "tasks", "toy", "--volume", "W1/I1", "--json")).json[0]["state"] == "done"
    assert shape_of(conninfo) == before
    assert bec("audit").code == 0
