"""The task store: every transition of a task, with stale tokens, lost acknowledgements and many claimers."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from bec_orch.core.artefacts import ArtefactFile, ModelInfo
from bec_orch.core.messages import TaskMessage
from bec_orch.core.tasks import (
    Claim,
    ClaimRefused,
    Failure,
    Job,
    Refusal,
    TaskActivity,
    TaskResult,
    TaskState,
    WorkerInfo,
)
from bec_orch.core.volumes import PageCounts, VolumeRef
from bec_orch.errors import ConfigError, LeaseLost, TerminalError
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.tasks import SUPERSEDED, PgTasks
from tests.integration.conftest import SOURCE, Sql

VOLUME = VolumeRef("W1", "I1", SOURCE)
MESSAGE = TaskMessage("W1", "I1", "lines", SOURCE)
WAITING_FOR = "SELECT reason FROM missing_dependencies"


def failure(*, retryable: bool = True, charged: bool = True, message: str = "the store is away") -> Failure:
    return Failure("E_STORAGE", "fetch", message, "f1f2f3", retryable, charged, "Check the network.")


def result(etag: str = "aaa", **changes: Any) -> TaskResult:
    values: dict[str, Any] = {
        "manifest_etag": etag,
        "config_hash": "hash1",
        "code_version": "1",
        "models": (ModelInfo("det", "00ff"),),
        "pages": PageCounts(ok=8, skipped=1, error=1),
        "files": (ArtefactFile("lines/W1/I1/aaa000/W1-I1-aaa000.a1.parquet", 10, "ab", 10),),
        "counters": {"lines": 40},
        "metrics": {"stages": {}},
    }
    return TaskResult(**{**values, **changes})


def take(store: PgTasks, job: Job, *, lease: float = 60.0, token: UUID | None = None) -> Claim:
    store.ensure_task(job, VOLUME)
    claim = store.claim(job, VOLUME, worker_id="w1", token=token or uuid4(), lease=lease)
    assert isinstance(claim, Claim), claim
    return claim


def refused(store: PgTasks, job: Job) -> ClaimRefused:
    answer = store.claim(job, VOLUME, worker_id="w2", token=uuid4(), lease=60)
    assert isinstance(answer, ClaimRefused), answer
    return answer


@pytest.fixture
def patient(worker_database: Database) -> PgTasks:
    """A store that gives live workers a minute to come back after an outage."""
    return PgTasks(worker_database, default_source=SOURCE, outage_grace=60.0)


@pytest.fixture
def worker(store: PgTasks, job: Job) -> str:
    store.register_worker(WorkerInfo("w1", job.id, "host", 4711, "1"))
    return "w1"


class TestJobsAndWorkers:
    def test_reads_a_job_with_its_dependencies(self, add_job: Callable[..., Job]) -> None:
        add_job("lines")
        add_job("pages")
        ocr = add_job("ocr", needs=("pages", "lines"))
        assert ocr.depends_on == ("lines", "pages")
        assert (ocr.type, ocr.config, ocr.max_attempts) == ("ldv1", {"side": 960}, 3)

    @pytest.mark.parametrize("name", ["nothing", "", "'; DROP TABLE jobs; --", "a\0b", "\ud800", "%s"])
    def test_unknown_job_is_reported(self, store: PgTasks, name: str) -> None:
        with pytest.raises(ConfigError, match="no job") as caught:
            store.job(name)
        assert caught.value.code == "E_JOB_UNKNOWN"

    def test_worker_lives_and_stops(self, store: PgTasks, job: Job, sql: Sql) -> None:
        worker = WorkerInfo("host-1", job.id, "host", 4711, "1")
        store.register_worker(worker)
        store.register_worker(worker)
        store.heartbeat("host-1", [TaskActivity(3, 10, 20)])
        [row] = sql("SELECT * FROM workers")
        assert row["activities"] == [{"task_id": 3, "pages_done": 10, "pages_total": 20}]
        store.stop_worker("host-1", "no more tasks")
        store.stop_worker("host-1", "again")
        [row] = sql("SELECT * FROM workers")
        assert (row["stop_reason"], row["activities"]) == ("no more tasks", [])

    def test_clock_is_the_databases(self, store: PgTasks, sql: Sql) -> None:
        before = sql("SELECT clock_timestamp() AS now")[0]["now"]
        assert before <= store.now() <= sql("SELECT clock_timestamp() AS now")[0]["now"]


class TestEnsureTask:
    def test_makes_one_task_and_only_one(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.ensure_task(job, VOLUME)
        store.ensure_task(job, VOLUME)
        assert [row["state"] for row in sql("SELECT state FROM tasks")] == ["queued"]

    def test_many_at_once_make_one(self, store: PgTasks, job: Job, sql: Sql) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: store.ensure_task(job, VOLUME), range(16)))
        assert sql("SELECT count(*) AS n FROM tasks")[0]["n"] == 1

    def test_volume_that_was_done_gets_no_new_task(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.commit(take(store, job), result())
        store.ensure_task(job, VOLUME)
        assert [row["state"] for row in sql("SELECT state FROM tasks")] == ["done"]

    def test_unknown_source_is_refused(self, store: PgTasks, job: Job) -> None:
        with pytest.raises(TerminalError) as caught:
            store.ensure_task(job, VolumeRef("W1", "I1", "bdrc+s3://elsewhere"))
        assert caught.value.code == "E_SOURCE_UNKNOWN"

    def test_source_that_the_database_knows_is_taken(self, store: PgTasks, job: Job, sql: Sql) -> None:
        sql("INSERT INTO volumes (w_id, i_id, source) VALUES ('W9', 'I9', 'bdrc+s3://elsewhere')")
        store.ensure_task(job, VolumeRef("W1", "I1", "bdrc+s3://elsewhere"))
        assert store.unfinished(job) == 1

    def test_waits_for_a_dependency(self, store: PgTasks, add_job: Callable[..., Job]) -> None:
        add_job("lines")
        ocr = add_job("ocr", needs=("lines",))
        store.ensure_task(ocr, VOLUME)
        assert refused(store, ocr) == ClaimRefused(Refusal.WAITING, TaskState.WAITING, 300.0)


class TestClaim:
    def test_takes_a_queued_task(self, store: PgTasks, job: Job, sql: Sql) -> None:
        claim = take(store, job)
        assert (claim.attempt, claim.charged, claim.force, claim.manifest_etag) == (1, 0, False, None)
        assert claim.job == job
        [attempt] = sql("SELECT * FROM task_attempts")
        assert (attempt["config"], attempt["config_hash"], attempt["worker_id"]) == ({"side": 960}, "hash1", "w1")

    def test_of_twenty_claimers_one_wins(self, store: PgTasks, job: Job, sql: Sql) -> None:
        for round_ in range(5):
            volume = VolumeRef("W1", f"I{round_}", SOURCE)
            store.ensure_task(job, volume)
            barrier = threading.Barrier(20)

            def claim(n: int, volume: VolumeRef = volume, barrier: threading.Barrier = barrier) -> object:
                barrier.wait()
                return store.claim(job, volume, worker_id=f"w{n}", token=uuid4(), lease=60)

            with ThreadPoolExecutor(20) as pool:
                answers = list(pool.map(claim, range(20)))
            assert sum(isinstance(answer, Claim) for answer in answers) == 1
            losers = [answer for answer in answers if isinstance(answer, ClaimRefused)]
            assert {answer.refusal for answer in losers} == {Refusal.BUSY}
        assert sql("SELECT count(*) AS n FROM task_attempts")[0]["n"] == 5

    def test_lost_acknowledgement_is_the_same_claim(self, store: PgTasks, job: Job, sql: Sql) -> None:
        token = uuid4()
        first = take(store, job, token=token)
        sql("UPDATE jobs SET config = '{}', config_hash = 'hash2'")
        assert take(store, job, token=token) == first
        assert sql("SELECT count(*) AS n FROM task_attempts")[0]["n"] == 1

    def test_lost_acknowledgement_after_the_lease_ran_out(self, store: PgTasks, job: Job) -> None:
        token = uuid4()
        first = take(store, job, token=token, lease=-1)
        assert take(store, job, token=token) == first

    def test_unknown_volume(self, store: PgTasks, job: Job) -> None:
        assert refused(store, job) == ClaimRefused(Refusal.UNKNOWN)

    def test_live_lease_elsewhere(self, store: PgTasks, job: Job) -> None:
        take(store, job, lease=60)
        answer = refused(store, job)
        assert answer.refusal is Refusal.BUSY
        assert answer.retry_after is not None
        assert 50 < answer.retry_after <= 60

    def test_row_held_by_a_commit_is_busy(self, store: PgTasks, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bec_orch.io.postgres.tasks._CLAIM_LOCK_WAIT", "100ms")
        with store.fence(take(store, job), 60):
            assert refused(store, job) == ClaimRefused(Refusal.BUSY, TaskState.RUNNING, 5.0)

    def test_backoff(self, store: PgTasks, job: Job) -> None:
        failed = store.fail(take(store, job), failure())
        answer = refused(store, job)
        assert answer.refusal is Refusal.BACKOFF
        assert answer.retry_after is not None
        assert 0 < answer.retry_after <= failed.retry_after

    def test_after_the_backoff(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.fail(take(store, job), failure())
        sql("UPDATE tasks SET not_before = clock_timestamp()")
        claim = take(store, job)
        assert (claim.attempt, claim.charged) == (2, 1)

    @pytest.mark.parametrize("state", [TaskState.DONE, TaskState.TERMINAL_FAILED])
    def test_final_state(self, store: PgTasks, job: Job, state: TaskState) -> None:
        claim = take(store, job)
        if state is TaskState.DONE:
            store.commit(claim, result())
        else:
            store.fail(claim, failure(retryable=False))
        assert refused(store, job) == ClaimRefused(Refusal.FINAL, state)

    def test_task_of_a_deleted_job_is_canceled(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.ensure_task(job, VOLUME)
        sql("UPDATE jobs SET deleted_at = clock_timestamp()")
        assert refused(store, job) == ClaimRefused(Refusal.FINAL, TaskState.CANCELED)
        assert sql("SELECT cancel_reason FROM tasks")[0]["cancel_reason"] == "the job was deleted"

    def test_expired_lease_is_taken_over_and_charged(self, store: PgTasks, job: Job, sql: Sql) -> None:
        stale = take(store, job, lease=-1)
        claim = take(store, job)
        assert (claim.attempt, claim.charged) == (2, 1)
        [old, new] = sql("SELECT * FROM task_attempts ORDER BY attempt")
        assert (old["outcome"], old["charged"], old["code"]) == ("lease_lost", True, "E_LEASE_LOST")
        assert new["outcome"] is None
        assert store.renew(stale, 60) is False

    def test_task_that_kills_its_workers_comes_to_an_end(self, store: PgTasks, job: Job, sql: Sql) -> None:
        for _ in range(3):
            take(store, job, lease=-1)
        assert refused(store, job) == ClaimRefused(Refusal.FINAL, TaskState.TERMINAL_FAILED)
        [task] = sql("SELECT * FROM tasks")
        assert (task["failure_code"], task["charged"]) == ("E_ATTEMPTS_EXHAUSTED", 3)
        assert "E_LEASE_LOST" in task["failure_message"]

    def test_config_is_that_of_the_moment_of_the_claim(self, store: PgTasks, job: Job, sql: Sql) -> None:
        sql("UPDATE jobs SET config = '{\"side\": 1280}', config_hash = 'hash2'")
        claim = take(store, job)
        assert (claim.job.config, claim.job.config_hash) == ({"side": 1280}, "hash2")

    def test_attempts_go_on_in_a_new_task(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.fail(take(store, job), failure(retryable=False))
        sql("UPDATE jobs SET deleted_at = clock_timestamp()")
        sql("INSERT INTO jobs (name, type, config_hash) VALUES ('lines', 'ldv1', 'hash1')")
        assert take(store, store.job("lines")).attempt == 2


class TestRenewAndFence:
    def test_renew_keeps_the_task(self, store: PgTasks, job: Job) -> None:
        claim = take(store, job, lease=0.05)
        assert store.renew(claim, 60)
        time.sleep(0.06)
        assert refused(store, job).refusal is Refusal.BUSY

    def test_renew_works_late_when_nobody_took_over(self, store: PgTasks, job: Job) -> None:
        claim = take(store, job, lease=-1)
        assert store.renew(claim, 60)
        assert refused(store, job).refusal is Refusal.BUSY

    def test_renew_notices_a_cancel(self, store: PgTasks, job: Job, sql: Sql) -> None:
        claim = take(store, job)
        sql("UPDATE tasks SET state = 'canceled', lease_expires_at = NULL, finished_at = clock_timestamp()")
        assert store.renew(claim, 60) is False

    def test_fence_renews(self, store: PgTasks, job: Job) -> None:
        claim = take(store, job, lease=-1)
        with store.fence(claim, 60):
            pass
        assert refused(store, job).refusal is Refusal.BUSY

    def test_fence_refuses_a_stale_claim(self, store: PgTasks, job: Job) -> None:
        stale = take(store, job, lease=-1)
        take(store, job)
        with pytest.raises(LeaseLost), store.fence(stale, 60):
            pytest.fail("the block must not run")

    def test_nobody_takes_the_task_while_the_fence_holds(self, store: PgTasks, job: Job) -> None:
        claim = take(store, job)
        with ThreadPoolExecutor(1) as pool:
            with store.fence(claim, -1):
                waiting = pool.submit(store.claim, job, VOLUME, worker_id="w2", token=uuid4(), lease=60)
                time.sleep(0.2)
                assert not waiting.done()
            assert isinstance(waiting.result(), Claim)

    def test_error_in_the_block_comes_out(self, store: PgTasks, job: Job) -> None:
        claim = take(store, job)
        with pytest.raises(ValueError, match="disk"), store.fence(claim, 60):
            raise ValueError("disk")
        assert store.renew(claim, 60)


class TestStampManifest:
    def test_first_stamp_is_the_version(self, store: PgTasks, job: Job, sql: Sql) -> None:
        claim = take(store, job)
        assert store.stamp_manifest(claim, "aaa", 10)
        assert store.stamp_manifest(claim, "aaa", 10)
        assert sql("SELECT manifest_etag FROM tasks") == [{"manifest_etag": "aaa"}]
        assert sql("SELECT manifest_etag, nb_pages FROM volumes") == [{"manifest_etag": "aaa", "nb_pages": 10}]

    def test_other_version_supersedes_the_task(self, store: PgTasks, job: Job, sql: Sql) -> None:
        first = take(store, job)
        store.stamp_manifest(first, "aaa", 10)
        store.release(first, "interrupted", "stop")
        claim = take(store, job)
        assert store.stamp_manifest(claim, "bbb", 11) is False
        assert store.stamp_manifest(claim, "bbb", 11) is False
        old, new = sql("SELECT * FROM tasks ORDER BY id")
        assert (old["state"], old["cancel_reason"]) == ("canceled", SUPERSEDED)
        assert (new["state"], new["manifest_etag"], new["attempt"]) == ("queued", "bbb", 2)
        outcomes = sql("SELECT outcome, charged FROM task_attempts ORDER BY attempt")
        assert [(o["outcome"], o["charged"]) for o in outcomes] == [("interrupted", False), ("superseded", False)]
        assert store.undispatched(job, limit=10, redispatch_after=60) == [MESSAGE]
        assert take(store, job).attempt == 3

    def test_stale_claim_stamps_nothing(self, store: PgTasks, job: Job, sql: Sql) -> None:
        stale = take(store, job, lease=-1)
        take(store, job)
        with pytest.raises(LeaseLost):
            store.stamp_manifest(stale, "aaa", 10)
        assert sql("SELECT manifest_etag FROM tasks") == [{"manifest_etag": None}]

    def test_released_claim_stamps_nothing(self, store: PgTasks, job: Job) -> None:
        claim = take(store, job)
        store.release(claim, "interrupted", "stop")
        with pytest.raises(LeaseLost):
            store.stamp_manifest(claim, "aaa", 10)

    def test_dependency_done_for_another_version_only(
        self, store: PgTasks, add_job: Callable[..., Job], sql: Sql
    ) -> None:
        lines, ocr = add_job("lines"), None
        ocr = add_job("ocr", needs=("lines",))
        store.commit(take(store, lines), result("aaa"))
        claim = take(store, ocr)
        assert store.stamp_manifest(claim, "bbb", 10) is False
        assert store.stamp_manifest(claim, "bbb", 10) is False
        [task] = sql("SELECT state FROM tasks WHERE job_id = %s", ocr.id)
        assert task == {"state": "waiting"}
        assert sql(WAITING_FOR) == [{"reason": "needs lines"}]
        made_anew = "SELECT state, manifest_etag, attempt FROM tasks WHERE job_id = %s ORDER BY id DESC LIMIT 1"
        assert sql(made_anew, lines.id) == [{"state": "queued", "manifest_etag": "bbb", "attempt": 1}]


class TestCommit:
    def test_task_is_done_with_its_result(self, store: PgTasks, job: Job, sql: Sql) -> None:
        claim = take(store, job)
        assert store.commit(claim, result()) == ()
        [task] = sql("SELECT * FROM tasks")
        assert (task["state"], task["pages_ok"], task["pages_skipped"], task["pages_error"]) == ("done", 8, 1, 1)
        assert task["artefact_key"] == "lines/W1/I1/aaa000/W1-I1-aaa000.a1.parquet"
        assert (task["models"], task["counters"]) == ([{"name": "det", "digest": "00ff"}], {"lines": 40})
        [attempt] = sql("SELECT outcome, charged, metrics FROM task_attempts")
        assert attempt == {"outcome": "done", "charged": False, "metrics": {"stages": {}}}

    def test_adopted_is_reported(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.commit(take(store, job), result(adopted=True, files=()))
        assert sql("SELECT outcome FROM task_attempts") == [{"outcome": "adopted"}]

    def test_numbers_that_json_does_not_know(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.commit(take(store, job), result(counters={"a\0b": float("nan"), "c": float("inf")}))
        assert sql("SELECT counters FROM tasks") == [{"counters": {"a\\x00b": None, "c": None}}]

    def test_twice_is_once(self, store: PgTasks, job: Job, sql: Sql) -> None:
        claim = take(store, job)
        store.commit(claim, result())
        first = sql("SELECT finished_at FROM tasks")
        assert store.commit(claim, result()) == ()
        assert sql("SELECT finished_at FROM tasks") == first

    def test_stale_claim_commits_nothing(self, store: PgTasks, job: Job, sql: Sql) -> None:
        stale = take(store, job, lease=-1)
        take(store, job)
        with pytest.raises(LeaseLost):
            store.commit(stale, result())
        assert sql("SELECT state FROM tasks") == [{"state": "running"}]

    def test_other_token_commits_nothing(self, store: PgTasks, job: Job) -> None:
        claim = take(store, job)
        forged = Claim(claim.task_id, claim.attempt, uuid4(), job, VOLUME, None, force=False, charged=0)
        with pytest.raises(LeaseLost):
            store.commit(forged, result())

    def test_released_claim_commits_nothing(self, store: PgTasks, job: Job) -> None:
        claim = take(store, job)
        store.release(claim, "interrupted", "stop")
        with pytest.raises(LeaseLost):
            store.commit(claim, result())

    def test_last_dependency_releases_the_dependant(self, store: PgTasks, add_job: Callable[..., Job]) -> None:
        lines, pages = add_job("lines"), add_job("pages")
        ocr = add_job("ocr", needs=("lines", "pages"))
        store.ensure_task(ocr, VOLUME)
        assert store.commit(take(store, lines), result()) == ()
        claim = take(store, pages)
        message = TaskMessage("W1", "I1", "ocr", SOURCE)
        assert store.commit(claim, result()) == (message,)
        assert store.commit(claim, result()) == (message,)
        store.mark_dispatched([message])
        assert store.commit(claim, result()) == ()
        assert take(store, ocr).attempt == 1

    def test_dependencies_of_two_versions_do_not_release(
        self, store: PgTasks, add_job: Callable[..., Job], sql: Sql
    ) -> None:
        lines = add_job("lines")
        ocr = add_job("ocr", needs=("lines",))
        store.ensure_task(ocr, VOLUME)
        sql("UPDATE volumes SET manifest_etag = 'bbb'")
        assert store.commit(take(store, lines), result("aaa")) == ()
        assert store.unfinished(ocr) == 0


class TestFail:
    def test_retryable_failure_waits_for_its_backoff(self, store: PgTasks, job: Job, sql: Sql) -> None:
        failed = store.fail(take(store, job), failure())
        assert failed.state is TaskState.RETRYABLE_FAILED
        assert 0.05 < failed.retry_after <= 0.2
        [task] = sql("SELECT * FROM tasks")
        assert (task["failure_code"], task["failure_stage"], task["charged"]) == ("E_STORAGE", "fetch", 1)
        [attempt] = sql("SELECT * FROM task_attempts")
        assert (attempt["outcome"], attempt["charged"], attempt["fingerprint"]) == ("retryable_failed", True, "f1f2f3")

    def test_backoff_doubles_up_to_its_cap(self, store: PgTasks, job: Job, sql: Sql) -> None:
        for floor, ceiling in ((0.09, 0.2), (0.19, 0.4), (0.19, 0.4)):
            assert floor < store.fail(take(store, job), failure(charged=False)).retry_after <= ceiling
            sql("UPDATE tasks SET not_before = clock_timestamp()")

    def test_failure_that_is_not_charged_never_ends_the_task(self, store: PgTasks, job: Job, sql: Sql) -> None:
        for _ in range(5):
            assert store.fail(take(store, job), failure(charged=False)).state is TaskState.RETRYABLE_FAILED
            sql("UPDATE tasks SET not_before = clock_timestamp()")
        assert sql("SELECT charged FROM tasks") == [{"charged": 0}]

    def test_budget_is_used_up(self, store: PgTasks, job: Job, sql: Sql) -> None:
        for _ in range(2):
            store.fail(take(store, job), failure())
            sql("UPDATE tasks SET not_before = clock_timestamp()")
        failed = store.fail(take(store, job), failure(message="no route to the store"))
        assert (failed.state, failed.retry_after) == (TaskState.TERMINAL_FAILED, 0.0)
        [task] = sql("SELECT * FROM tasks")
        assert task["failure_code"] == "E_ATTEMPTS_EXHAUSTED"
        assert task["failure_message"] == (
            "Gave up after 3 attempts; the last failed with E_STORAGE: no route to the store"
        )
        assert task["failure_fingerprint"] == "f1f2f3"

    def test_terminal_failure_ends_at_once(self, store: PgTasks, job: Job, sql: Sql) -> None:
        assert store.fail(take(store, job), failure(retryable=False)).state is TaskState.TERMINAL_FAILED
        assert sql("SELECT failure_code, failure_hint FROM tasks") == [
            {"failure_code": "E_STORAGE", "failure_hint": "Check the network."}
        ]

    def test_twice_is_once(self, store: PgTasks, job: Job, sql: Sql) -> None:
        claim = take(store, job)
        first = store.fail(claim, failure())
        second = store.fail(claim, failure())
        assert second.state is first.state
        assert second.retry_after <= first.retry_after
        assert sql("SELECT charged FROM tasks") == [{"charged": 1}]

    def test_stale_claim_fails_nothing(self, store: PgTasks, job: Job, sql: Sql) -> None:
        stale = take(store, job, lease=-1)
        take(store, job)
        with pytest.raises(LeaseLost):
            store.fail(stale, failure())
        assert sql("SELECT state FROM tasks") == [{"state": "running"}]

    def test_hostile_message_is_kept_harmless(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.fail(take(store, job), failure(message="'; DROP TABLE tasks; -- %s \0 \ud800"))
        assert sql("SELECT failure_message AS m FROM tasks")[0]["m"] == ("'; DROP TABLE tasks; -- %s \\x00 \\ud800")

    def test_dependant_says_why_it_waits(self, store: PgTasks, add_job: Callable[..., Job], sql: Sql) -> None:
        lines = add_job("lines")
        ocr = add_job("ocr", needs=("lines",))
        store.ensure_task(ocr, VOLUME)
        assert sql(WAITING_FOR) == [{"reason": "needs lines, which is not enqueued"}]
        claim = take(store, lines)
        assert sql(WAITING_FOR) == [{"reason": "needs lines"}]
        store.fail(claim, failure(retryable=False))
        assert sql(WAITING_FOR) == [{"reason": "lines failed: E_STORAGE"}]


class TestRelease:
    def test_task_is_there_for_others_at_once(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.release(take(store, job), "interrupted", "the worker was stopped")
        claim = take(store, job)
        assert (claim.attempt, claim.charged) == (2, 0)
        [attempt] = sql("SELECT * FROM task_attempts WHERE attempt = 1")
        assert (attempt["outcome"], attempt["charged"], attempt["code"]) == ("interrupted", False, "E_INTERRUPTED")

    def test_twice_or_stale_does_nothing(self, store: PgTasks, job: Job, sql: Sql) -> None:
        claim = take(store, job)
        store.release(claim, "interrupted", "stop")
        store.release(claim, "interrupted", "stop")
        take(store, job)
        store.release(claim, "lease_lost", "late")
        assert sql("SELECT state FROM tasks") == [{"state": "running"}]


class TestMaintenance:
    def test_never_dispatched_is_returned_until_marked(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.ensure_task(job, VOLUME)
        sql("UPDATE tasks SET dispatched_at = NULL")
        assert store.undispatched(job, limit=10, redispatch_after=60) == [MESSAGE]
        store.mark_dispatched([MESSAGE, TaskMessage("W1", "I1")])
        assert store.undispatched(job, limit=10, redispatch_after=60) == []

    def test_dispatched_long_ago_is_returned_again(self, store: PgTasks, job: Job) -> None:
        store.ensure_task(job, VOLUME)
        assert store.undispatched(job, limit=10, redispatch_after=60) == []
        assert store.undispatched(job, limit=10, redispatch_after=0) == [MESSAGE]

    def test_backoff_that_is_over(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.fail(take(store, job), failure())
        assert store.undispatched(job, limit=10, redispatch_after=0) == []
        sql("UPDATE tasks SET not_before = clock_timestamp()")
        assert store.undispatched(job, limit=10, redispatch_after=0) == [MESSAGE]

    def test_expired_lease_is_set_back(self, store: PgTasks, job: Job, sql: Sql) -> None:
        take(store, job, lease=-1)
        assert store.undispatched(job, limit=10, redispatch_after=60) == [MESSAGE]
        assert sql("SELECT state, charged FROM tasks") == [{"state": "queued", "charged": 1}]
        assert sql("SELECT outcome, charged FROM task_attempts") == [{"outcome": "lease_lost", "charged": True}]

    def test_a_lease_that_ran_out_in_an_outage_waits_for_its_worker(
        self, patient: PgTasks, job: Job, worker: str, sql: Sql
    ) -> None:
        take(patient, job, lease=-1)
        sql("UPDATE workers SET heartbeat_at = clock_timestamp() - interval '200 s', heard_since = started_at")
        # Before its first heartbeat after the outage, and after it: nobody is known to be dead yet.
        for _ in range(2):
            assert patient.undispatched(job, limit=10, redispatch_after=60) == []
            assert refused(patient, job) == ClaimRefused(Refusal.BUSY, TaskState.RUNNING, 5.0)
            patient.heartbeat(worker, [])
        assert sql("SELECT state, charged FROM tasks") == [{"state": "running", "charged": 0}]
        # A minute later all that live are back.
        sql("UPDATE workers SET heard_since = heard_since - interval '61 s'")
        assert patient.undispatched(job, limit=10, redispatch_after=60) == [MESSAGE]
        assert sql("SELECT state, charged FROM tasks") == [{"state": "queued", "charged": 1}]

    def test_a_dead_workers_lease_is_set_back_at_once_where_others_were_heard_of(
        self, patient: PgTasks, job: Job, worker: str, sql: Sql
    ) -> None:
        take(patient, job, lease=-1)
        sql("UPDATE workers SET heard_since = clock_timestamp() - interval '61 s'")
        patient.heartbeat(worker, [])
        assert take(patient, job).charged == 1

    def test_live_lease_is_left_alone(self, store: PgTasks, job: Job, sql: Sql) -> None:
        take(store, job)
        assert store.undispatched(job, limit=10, redispatch_after=0) == []
        assert sql("SELECT state FROM tasks") == [{"state": "running"}]

    def test_waiting_task_is_released(self, store: PgTasks, add_job: Callable[..., Job], sql: Sql) -> None:
        lines = add_job("lines")
        ocr = add_job("ocr", needs=("lines",))
        store.commit(take(store, lines), result())
        store.ensure_task(ocr, VOLUME)
        sql("UPDATE tasks SET state = 'waiting' WHERE job_id = %s", ocr.id)
        assert store.undispatched(ocr, limit=10, redispatch_after=60) == [TaskMessage("W1", "I1", "ocr", SOURCE)]

    def test_limit(self, store: PgTasks, job: Job) -> None:
        for n in range(5):
            store.ensure_task(job, VolumeRef("W1", f"I{n}", SOURCE))
        assert len(store.undispatched(job, limit=3, redispatch_after=0)) == 3

    def test_returns_nothing_while_another_is_at_it(self, store: PgTasks, job: Job, conninfo: str) -> None:
        store.ensure_task(job, VOLUME)
        with psycopg.connect(conninfo) as other:
            other.execute("SELECT pg_advisory_xact_lock(6448484, %s)", (job.id,))
            assert store.undispatched(job, limit=10, redispatch_after=0) == []
        assert store.undispatched(job, limit=10, redispatch_after=0) == [MESSAGE]

    def test_unfinished_counts_what_a_worker_could_do(self, store: PgTasks, job: Job) -> None:
        assert store.unfinished(job) == 0
        claim = take(store, job)
        assert store.unfinished(job) == 1
        store.commit(claim, result())
        assert store.unfinished(job) == 0

    def test_finished_artefacts_are_looked_at_in_turn(self, store: PgTasks, job: Job) -> None:
        volumes = [VolumeRef("W1", f"I{n}", SOURCE) for n in range(3)]
        for volume in volumes:
            store.ensure_task(job, volume)
            claim = store.claim(job, volume, worker_id="w1", token=uuid4(), lease=60)
            assert isinstance(claim, Claim)
            store.commit(claim, result('"abc-2"'))
        [first, second] = store.done_to_verify(job, limit=2)
        [third, again] = sorted(store.done_to_verify(job, limit=2), key=lambda done: done.task_id == first.task_id)
        assert [done.location.volume for done in (first, second, third)] == volumes
        assert again == first
        assert (first.location.prefix, first.nb_pages) == ("lines/W1/I0/abc200", 10)

    def test_task_whose_artefact_is_gone_is_queued_anew(self, store: PgTasks, job: Job, sql: Sql) -> None:
        claim = take(store, job)
        store.commit(claim, result())
        store.reopen(claim.task_id, "its success.json is gone")
        store.reopen(claim.task_id, "its success.json is gone")
        old, new = sql("SELECT state, cancel_reason, manifest_etag, attempt FROM tasks ORDER BY id")
        assert (old["state"], old["cancel_reason"]) == ("canceled", "its success.json is gone")
        assert (new["state"], new["manifest_etag"], new["attempt"]) == ("queued", "aaa", 1)
        assert store.undispatched(job, limit=10, redispatch_after=60) == [MESSAGE]

    def test_unfinished_task_is_not_reopened(self, store: PgTasks, job: Job, sql: Sql) -> None:
        store.reopen(take(store, job).task_id, "why")
        assert sql("SELECT state FROM tasks") == [{"state": "running"}]

    def test_rejected_message_is_recorded_once(self, store: PgTasks, job: Job, sql: Sql) -> None:
        for _ in range(2):
            store.record_rejected(job, "no \0 JSON", failure(retryable=False))
        [row] = sql("SELECT body, code, hint FROM rejected_messages")
        assert row == {"body": "no \\x00 JSON", "code": "E_STORAGE", "hint": "Check the network."}
