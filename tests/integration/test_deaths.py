"""Workers that die: their attempts end at once, with the cause, and a page that kills each of them is left out."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from bec_orch.core.life.flight import FlightRecorder
from bec_orch.core.life.standings import Standings
from bec_orch.core.tasks import Claim, Job, TaskActivity, WorkerInfo
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import DatabaseRefused
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.deaths import PgDeaths
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.orch.runs.post_mortem import LATE, cause_of, record_deaths
from tests.integration.conftest import SOURCE, Sql

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

VOLUME = VolumeRef("W1", "I1", SOURCE)
PAGES = 100


@pytest.fixture
def claim(store: PgTasks, job: Job) -> Callable[[], Claim]:
    store.ensure_task(job, VOLUME)

    def again() -> Claim:
        taken = store.claim(job, VOLUME, worker_id="worker-1", token=uuid4(), lease=60)
        assert isinstance(taken, Claim)
        store.stamp_manifest(taken, "etag", PAGES)
        return taken

    return again


def die(
    worker_database: Database,
    folder: Path,
    claim: Claim,
    *indices: int,
    code: int = -9,
    oom: bool = False,
    late: bool = False,
    by_itself: bool = False,
) -> None:
    """Leave the record of a process that dies at some pages, and have it found."""
    standings = Standings()
    recorder = FlightRecorder(folder, standings)
    never_ended: list[AbstractContextManager[None]] = [standings.attempt(claim)]
    never_ended += [standings.working(claim)(Page(index, f"{index}.jpg", "e", 1)) for index in indices]
    for block in never_ended:
        block.__enter__()
    if by_itself:
        recorder.note_late()
    recorder.close()
    causes = {os.getpid(): LATE if late else cause_of(code, out_of_memory=oom)}
    (left,) = record_deaths(folder, PgDeaths(worker_database), causes)
    assert [flight.pages for flight in left.flights] == [indices]
    assert list(folder.iterdir()) == []


def task_of(sql: Sql) -> dict[str, Any]:
    (task,) = sql("SELECT state, charged, failure_code, failure_message FROM tasks")
    return task


def test_an_attempt_ends_with_its_worker_and_the_task_is_free_at_once(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], store: PgTasks, sql: Sql
) -> None:
    died = claim()
    die(worker_database, tmp_path, died, 4, 6, oom=True)
    assert task_of(sql) == {
        "state": "queued",
        "charged": 1,
        "failure_code": "E_WORKER_OOM",
        "failure_message": "Its worker was killed by the system because memory ran out at page 5, 7.",
    }
    (attempt,) = sql("SELECT outcome, code, charged, died_at FROM task_attempts")
    assert attempt == {"outcome": "died", "code": "E_WORKER_OOM", "charged": True, "died_at": [4, 6]}
    again = claim()
    assert again.attempt == died.attempt + 1
    assert again.suspect_pages == {4, 6}
    assert again.deadly_pages == set()
    assert not store.renew(died, 5)


@pytest.mark.parametrize(("code", "told"), [(-9, "E_WORKER_KILLED"), (-11, "E_WORKER_CRASHED"), (1, "E_WORKER_GONE")])
def test_the_cause_is_kept(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], sql: Sql, code: int, told: str
) -> None:
    die(worker_database, tmp_path, claim(), 1, code=code)
    assert task_of(sql)["failure_code"] == told


@pytest.mark.parametrize("by_itself", [False, True], ids=["by its parent", "by itself"])
def test_who_is_killed_because_it_did_not_stop_in_time_is_charged_to_nobody(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], job: Job, sql: Sql, *, by_itself: bool
) -> None:
    for _ in range(job.max_attempts):
        die(worker_database, tmp_path, claim(), 7, late=not by_itself, by_itself=by_itself)
    assert task_of(sql) == {
        "state": "queued",
        "charged": 0,
        "failure_code": "E_WORKER_LATE",
        "failure_message": "Its worker did not stop within its grace, and was killed at page 8.",
    }
    assert claim().deadly_pages == set()


def test_deaths_that_nobody_is_charged_for_leave_no_page_out(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], job: Job, sql: Sql
) -> None:
    for _ in range(job.max_attempts - 1):
        die(worker_database, tmp_path, claim(), 7, late=True)
    for index in range(job.max_attempts):
        die(worker_database, tmp_path, claim(), 7 if index == job.max_attempts - 1 else index + 20)
    assert task_of(sql)["state"] == "terminal_failed"


def test_an_end_that_the_database_refused_is_recorded_later_and_charged_to_nobody(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], sql: Sql
) -> None:
    standings = Standings()
    recorder = FlightRecorder(tmp_path, standings)
    with pytest.raises(DatabaseRefused), standings.attempt(claim()):
        raise DatabaseRefused("The disk is full.", code="E_DISK_FULL")
    recorder.close()
    record_deaths(tmp_path, PgDeaths(worker_database), {})
    assert task_of(sql) == {
        "state": "queued",
        "charged": 0,
        "failure_code": "E_WORKER_ENDED",
        "failure_message": "The worker of W1/I1 ended, and the database did not take the attempt's end.",
    }


def test_a_record_of_an_attempt_that_is_somebody_elses_changes_nothing(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], store: PgTasks, sql: Sql
) -> None:
    late = claim()
    store.release(late, "interrupted", "given back")
    now = claim()
    die(worker_database, tmp_path, late, 1)
    assert store.renew(now, 60)
    assert task_of(sql)["charged"] == 0


def test_the_page_that_kills_each_worker_is_left_out_when_the_budget_is_used_up(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], job: Job, sql: Sql
) -> None:
    die(worker_database, tmp_path, claim(), 6, 7, 8)
    for _ in range(job.max_attempts - 1):
        die(worker_database, tmp_path, claim(), 7)
    assert task_of(sql)["state"] == "queued", "one page of a hundred is no reason to give the volume up"
    assert task_of(sql)["charged"] == 0, "the budget begins anew without that page"
    freed = claim()
    assert freed.deadly_pages == {7}
    assert freed.suspect_pages == {6, 8}


def test_a_volume_that_kills_workers_at_ever_other_pages_is_given_up(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], job: Job, sql: Sql
) -> None:
    for index in range(job.max_attempts):
        die(worker_database, tmp_path, claim(), index)
    assert task_of(sql)["state"] == "terminal_failed"
    assert task_of(sql)["failure_code"] == "E_ATTEMPTS_EXHAUSTED"


def test_no_more_pages_are_left_out_than_may_be_errors(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], job: Job, sql: Sql
) -> None:
    sql("UPDATE jobs SET max_page_error_rate = 0.01")
    for index in (3, 4):
        for _ in range(job.max_attempts):
            die(worker_database, tmp_path, claim(), index)
    assert task_of(sql)["state"] == "terminal_failed"


def test_a_stalled_volume_is_distinguished_from_one_that_ran_beside_it(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], sql: Sql
) -> None:
    now = [0.0]
    standings = Standings(clock=lambda: now[0])
    recorder = FlightRecorder(tmp_path, standings)
    taken = claim()
    never_ended = [standings.attempt(taken), standings.working(taken)(Page(6, "6.jpg", "e", 1))]
    for block in never_ended:
        block.__enter__()
    now[0] = 100.0
    assert standings.mark_stalled(99.0)
    recorder.close()
    record_deaths(tmp_path, PgDeaths(worker_database), {})
    assert task_of(sql) == {
        "state": "queued",
        "charged": 1,
        "failure_code": "E_VOLUME_STALLED",
        "failure_message": "No page of W1/I1 was finished for too long: it hung at page 7.",
    }


def test_a_worker_that_died_is_at_nothing_any_more_and_one_that_signed_off_stays_so(
    worker_database: Database, tmp_path: Path, claim: Callable[[], Claim], store: PgTasks, job: Job, sql: Sql
) -> None:
    taken = claim()
    for name in ("worker-1", "other"):
        store.register_worker(WorkerInfo(name, job.id, "host", os.getpid(), "1"))
        store.heartbeat(name, [TaskActivity(taken.task_id, 3, PAGES)])
    store.stop_worker("other", "shutdown")
    for name in ("worker-1", "other"):
        recorder = FlightRecorder(tmp_path, Standings(), name)
        os.close(recorder._file)
    record_deaths(tmp_path, PgDeaths(worker_database), {os.getpid(): cause_of(-9, out_of_memory=False)})
    ended = sql("SELECT id, stop_reason, activities FROM workers WHERE stopped_at IS NOT NULL ORDER BY id DESC")
    assert [tuple(each.values()) for each in ended] == [
        ("worker-1", "died: E_WORKER_KILLED", []),
        ("other", "shutdown", []),
    ]
