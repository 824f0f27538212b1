"""Where things stand, in counts and lists."""

from collections.abc import Callable, Iterator
from functools import partial
from uuid import uuid4

import pytest

from bec_orch.core.records.backlog import RedriveFilter, VolumeStanding
from bec_orch.core.records.overview import TaskFilter, WorkerCondition, WorkerTask
from bec_orch.core.tasks import Claim, Failure, Job, TaskActivity, TaskResult, TaskState, WorkerInfo
from bec_orch.core.volumes import PageCounts, VolumeRef
from bec_orch.errors import ConfigError
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.overview import PgOverview
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver, RedriveReport
from bec_orch.orch.overview.standing import job_stats, queue_check
from tests.integration.conftest import SOURCE, Sql

COUNTERS = {"lines": 7, "E_IMAGE_EMPTY": 1}
VOLUMES = tuple(VolumeRef("W1", f"I{n}", SOURCE) for n in range(6))


@pytest.fixture
def queues(database: Database) -> Iterator[PgQueues]:
    queues = PgQueues(database)
    yield queues
    queues.close()


@pytest.fixture
def overview(database: Database) -> PgOverview:
    return PgOverview(database)


@pytest.fixture
def enqueuer(database: Database, queues: PgQueues) -> Enqueuer:
    return Enqueuer(PgBacklog(database), queues)


@pytest.fixture
def redriver(database: Database, queues: PgQueues) -> Redriver:
    return Redriver(PgBacklog(database), queues)


def claim(store: PgTasks, job: Job, volume: VolumeRef) -> Claim:
    taken = store.claim(job, volume, worker_id="w", token=uuid4(), lease=60)
    assert isinstance(taken, Claim), taken
    return taken


def finish(store: PgTasks, job: Job, volume: VolumeRef, pages: PageCounts, config_hash: str = "hash1") -> None:
    taken = claim(store, job, volume)
    store.stamp_manifest(taken, "aaa", pages.total)
    store.commit(taken, TaskResult("aaa", config_hash, "1", (), pages, (), COUNTERS))


def give_up(
    store: PgTasks, queues: PgQueues, job: Job, volume: VolumeRef, code: str = "E_MANIFEST", fingerprint: str = "fff"
) -> None:
    """Fail a task for good as a worker does: its row, and its message."""
    message = next(m for m in queues(job.name).receive(limit=100, wait=0, visibility=0) if f'"{volume.i_id}"' in m.body)
    store.fail(claim(store, job, volume), Failure(code, "manifest", f"{volume} is bad", fingerprint, retryable=False))
    queues(job.name).dead_letter(message.receipt, {"code": code, "fingerprint": fingerprint})


class TestStats:
    def test_pages_of_volumes_that_failed_because_of_them_are_counted(
        self, overview: PgOverview, enqueuer: Enqueuer, store: PgTasks, job: Job
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:3])
        counters = {"lines": 9, "E_IMAGE_EMPTY": 2, "E_IMAGE_FORMAT": 1}
        for volume, pages in zip(VOLUMES[:2], (PageCounts(5, 1, 3), None), strict=True):
            told = Failure("E_IMAGE_EMPTY", "run", "empty", "f", retryable=False, pages=pages, counters=counters)
            store.fail(claim(store, job, volume), told)
        finish(store, job, VOLUMES[2], PageCounts(8, 0, 1))
        stats = job_stats(overview, "lines")
        assert (stats.pages, stats.failed_pages) == (PageCounts(8, 0, 1), PageCounts(5, 1, 3))
        assert stats.pages_with_errors == 4
        assert (stats.page_errors["E_IMAGE_EMPTY"], stats.page_errors["E_IMAGE_FORMAT"]) == (2 + 1, 1)
        listed = overview.tasks("lines", TaskFilter(code="E_IMAGE_FORMAT"))
        assert [(task.volume, task.pages, task.failed_pages) for task in listed] == [
            (VOLUMES[0], None, PageCounts(5, 1, 3))
        ]

    def test_counts_tasks_volumes_and_pages(
        self, overview: PgOverview, enqueuer: Enqueuer, store: PgTasks, job: Job
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:4])
        finish(store, job, VOLUMES[0], PageCounts(8, 1, 1))
        finish(store, job, VOLUMES[1], PageCounts(10), config_hash="other")
        enqueuer.enqueue("lines", VOLUMES[:1], force=True)
        taken = claim(store, job, VOLUMES[2])
        store.stamp_manifest(taken, "aaa", 30)
        stats = job_stats(overview, "lines")
        assert stats.tasks == {TaskState.DONE: 2, TaskState.QUEUED: 2, TaskState.RUNNING: 1}
        assert stats.volumes == {TaskState.DONE: 1, TaskState.QUEUED: 2, TaskState.RUNNING: 1}
        assert (stats.pages, stats.stale) == (PageCounts(10), 1)
        # 30 of the running one, 10 of the forced one, and the average of the three known ones for the other.
        assert stats.pages_left == 30 + 10 + 17
        assert stats.pages_per_second_1h is not None
        assert stats.pages_per_second_5min is not None
        assert stats.eta_seconds == pytest.approx(57 / stats.pages_per_second_1h)

    def test_volumes_that_wait_for_a_job_that_failed_take_no_time(
        self, overview: PgOverview, enqueuer: Enqueuer, store: PgTasks, job: Job, add_job: Callable[..., Job]
    ) -> None:
        add_job("text", needs=("lines",))
        add_job("rates", needs=("text",))
        done, failed, to_do = VOLUMES[:3]

        def fail(volume: VolumeRef) -> None:
            taken = claim(store, job, volume)
            store.stamp_manifest(taken, "aaa", 40)
            store.fail(taken, Failure("E_X", "run", "It cannot be done.", "f", retryable=False))

        for name in ("lines", "text", "rates"):
            enqueuer.enqueue(name, [done, failed, to_do])
        finish(store, job, done, PageCounts(10))
        fail(failed)
        for name in ("text", "rates"):
            stats = job_stats(overview, name)
            # 10 of the first, and as many of the last one, of which nothing is known.
            assert (stats.pages_left, stats.stuck) == (10 + 10, 1), name
        assert job_stats(overview, "lines").stuck == 0

        # What was done for this version is there, though it failed when it was done again.
        enqueuer.enqueue("lines", [done], force=True)
        fail(done)
        assert job_stats(overview, "rates").stuck == 1

    def test_nothing_yet(self, overview: PgOverview, job: Job, enqueuer: Enqueuer) -> None:
        stats = job_stats(overview, "lines")
        assert (stats.tasks, stats.pages, stats.pages_left, stats.eta_seconds) == ({}, PageCounts(), 0, 0.0)
        enqueuer.enqueue("lines", VOLUMES)
        stats = job_stats(overview, "lines")
        assert (stats.pages_left, stats.pages_per_second_1h, stats.eta_seconds) == (None, None, None)

    def test_pace_of_older_work_is_not_of_now(
        self, overview: PgOverview, enqueuer: Enqueuer, store: PgTasks, job: Job, sql: Sql
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1])
        finish(store, job, VOLUMES[0], PageCounts(1200))
        sql("UPDATE tasks SET started_at = now() - interval '20 min', finished_at = now() - interval '10 min'")
        stats = job_stats(overview, "lines")
        assert stats.pages_per_second_5min is None
        assert stats.pages_per_second_1h == pytest.approx(1.0, rel=0.05)

        sql("UPDATE task_attempts SET outcome = 'adopted'")
        assert job_stats(overview, "lines").pages_per_second_1h is None, "what was taken over tells nothing of the pace"

    def test_unknown_job(self, overview: PgOverview, queues: PgQueues) -> None:
        for use in (
            partial(job_stats, overview),
            overview.tasks,
            overview.workers,
            overview.errors,
            partial(queue_check, overview, queues),
        ):
            with pytest.raises(ConfigError):
                use("'; DROP TABLE jobs; --\0")


class TestLists:
    def test_tasks_by_filter(
        self, overview: PgOverview, enqueuer: Enqueuer, store: PgTasks, queues: PgQueues, job: Job
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:3])
        finish(store, job, VOLUMES[0], PageCounts(8, 1, 1))
        give_up(store, queues, job, VOLUMES[1])
        [done] = overview.tasks("lines", TaskFilter(state=TaskState.DONE))
        assert (done.volume, done.pages, done.counters) == (VOLUMES[0], PageCounts(8, 1, 1), COUNTERS)
        assert overview.tasks("lines", TaskFilter(code="E_IMAGE_EMPTY")) == [done]
        assert job_stats(overview, "lines").page_errors == {"E_IMAGE_EMPTY": 1}
        [failed] = overview.tasks("lines", TaskFilter(code="E_MANIFEST", fingerprint="fff"))
        assert (failed.volume, failed.pages, failed.failure_message) == (VOLUMES[1], None, "W1/I1 is bad")
        [queued] = overview.tasks("lines", TaskFilter(w_id="W1", i_id="I2"))
        assert (queued.volume, queued.state, queued.attempt) == (VOLUMES[2], TaskState.QUEUED, 0)
        assert len(overview.tasks("lines")) == 3
        assert len(overview.tasks("lines", limit=2)) == 2
        assert overview.tasks("lines", TaskFilter(w_id="' OR true --\0")) == []

    def test_workers_by_condition(
        self, overview: PgOverview, enqueuer: Enqueuer, store: PgTasks, job: Job, sql: Sql
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1])
        taken = claim(store, job, VOLUMES[0])
        for name in ("working", "idle", "lost", "stopped"):
            store.register_worker(WorkerInfo(name, job.id, "host", 1, "1"))
        store.heartbeat("working", [TaskActivity(taken.task_id, 3, 10)])
        store.stop_worker("stopped", "empty")
        sql("UPDATE workers SET heartbeat_at = now() - interval '2 min' WHERE id = 'lost'")
        found = {worker.id: worker for worker in overview.workers("lines")}
        assert {name: worker.condition for name, worker in found.items()} == {
            name: WorkerCondition(name) for name in ("working", "idle", "lost", "stopped")
        }
        (begun,) = sql("SELECT started_at FROM tasks")
        assert found["working"].doing == (WorkerTask(taken.task_id, "W1", "I0", 3, 10, begun["started_at"]),)
        assert found["stopped"].stop_reason == "empty"
        assert found["lost"].silent_seconds > 100
        assert {worker.id for worker in overview.workers(stopped=False)} == {"working", "idle", "lost"}
        sql("UPDATE workers SET heartbeat_at = now() - interval '25 hours' WHERE id = 'lost'")
        assert {worker.id for worker in overview.workers(stopped=False)} == {"working", "idle"}

    def test_errors_by_fingerprint(
        self, overview: PgOverview, enqueuer: Enqueuer, store: PgTasks, queues: PgQueues, job: Job, sql: Sql
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES)
        for _ in range(2):
            store.fail(claim(store, job, VOLUMES[0]), Failure("E_STORAGE", "run", "away", "sss", retryable=True))
            sql("UPDATE tasks SET not_before = clock_timestamp() WHERE state = 'retryable_failed'")
        for volume in VOLUMES[1:4]:
            give_up(store, queues, job, volume)
        store.record_rejected(job, "no JSON", Failure("E_MESSAGE_NOT_JSON", "resolve", "bad", "mmm", retryable=False))
        first, second, third = overview.errors()
        assert (first.code, first.count, first.tasks, first.terminal) == ("E_MANIFEST", 3, 3, 3)
        assert (first.message, first.example) == ("W1/I3 is bad", "W1/I3")
        assert first.first_at < first.last_at
        assert (second.code, second.count, second.tasks, second.terminal) == ("E_STORAGE", 2, 1, 0)
        assert (third.code, third.count, third.example) == ("E_MESSAGE_NOT_JSON", 1, "no JSON")
        assert overview.errors("lines", limit=1) == [first]

    def test_queue_beside_the_tasks(
        self, overview: PgOverview, enqueuer: Enqueuer, queues: PgQueues, store: PgTasks, job: Job, sql: Sql
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES)
        check = queue_check(overview, queues, "lines")
        assert (check.expected.dispatched, check.expected.undispatched, check.missing_messages) == (6, 0, 0)
        queues("lines").purge()
        sql("UPDATE tasks SET dispatched_at = NULL WHERE id = (SELECT min(id) FROM tasks)")
        check = queue_check(overview, queues, "lines")
        assert (check.expected.dispatched, check.expected.undispatched, check.missing_messages) == (5, 1, 5)


class TestRedrive:
    def test_failed_tasks_and_their_messages_come_back_together(
        self, redriver: Redriver, enqueuer: Enqueuer, queues: PgQueues, store: PgTasks, job: Job, sql: Sql
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:3])
        for volume in VOLUMES[:2]:
            give_up(store, queues, job, volume)
        assert redriver.redrive("lines") == RedriveReport(reset=2, moved=2, sent=0, refused=())
        assert sql("SELECT DISTINCT state, charged FROM tasks") == [{"state": "queued", "charged": 0}]
        assert queues("lines").stats().visible == 3
        assert queues("lines").stats().dead == 0
        assert claim(store, job, VOLUMES[0]).attempt == 2
        assert redriver.redrive("lines") == RedriveReport(reset=0, moved=0, sent=0, refused=())

    def test_by_code_fingerprint_and_volume(
        self, redriver: Redriver, enqueuer: Enqueuer, queues: PgQueues, store: PgTasks, job: Job
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES)
        give_up(store, queues, job, VOLUMES[0], code="E_A", fingerprint="aaa")
        give_up(store, queues, job, VOLUMES[1], code="E_B", fingerprint="bbb")
        give_up(store, queues, job, VOLUMES[2], code="E_B", fingerprint="ccc")
        assert redriver.redrive("lines", RedriveFilter(code="E_NONE")).reset == 0
        assert redriver.redrive("lines", RedriveFilter(code="E_A")) == RedriveReport(1, 1, 0, ())
        assert redriver.redrive("lines", RedriveFilter(code="E_B", fingerprint="bbb")) == RedriveReport(1, 1, 0, ())
        assert redriver.redrive("lines", RedriveFilter(volume=("W1", "I2"))) == RedriveReport(1, 1, 0, ())

    def test_exhausted_task_is_found_by_its_last_code_too(
        self, redriver: Redriver, enqueuer: Enqueuer, store: PgTasks, add_job: Callable[..., Job]
    ) -> None:
        job = add_job("lines", max_attempts=1)
        enqueuer.enqueue("lines", VOLUMES[:1])
        for code in ("E_HUNG", "E_ATTEMPTS_EXHAUSTED"):
            store.fail(claim(store, job, VOLUMES[0]), Failure("E_HUNG", "run", "hung", "hhh", retryable=True))
            assert redriver.redrive("lines", RedriveFilter(code=code)).reset == 1

    def test_lost_dead_letter_is_sent_anew(
        self, redriver: Redriver, enqueuer: Enqueuer, queues: PgQueues, store: PgTasks, job: Job
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:2])
        for volume in VOLUMES[:2]:
            give_up(store, queues, job, volume)
        queues("lines").purge(dead=True)
        assert redriver.redrive("lines") == RedriveReport(reset=2, moved=0, sent=2, refused=())
        assert queues("lines").stats().visible == 2

    def test_finished_volume_is_refused_by_name(
        self, redriver: Redriver, enqueuer: Enqueuer, queues: PgQueues, store: PgTasks, job: Job
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1])
        [message] = queues("lines").receive(limit=1, wait=0, visibility=60)
        finish(store, job, VOLUMES[0], PageCounts(3))
        refused = (VolumeStanding(VOLUMES[0], TaskState.DONE),)
        assert redriver.redrive("lines", RedriveFilter(volume=("W1", "I0"))).refused == refused
        queues("lines").dead_letter(message.receipt, {"code": "maxReceiveCount"})
        assert redriver.redrive("lines") == RedriveReport(reset=0, moved=0, sent=0, refused=refused)
        assert redriver.redrive("lines", RedriveFilter(code="E_OTHER")).refused == ()

    def test_dead_letter_that_never_had_a_task(self, redriver: Redriver, queues: PgQueues, sql: Sql, job: Job) -> None:
        for body in ("no JSON", "[]", "[" * 100_000, '{"w_id": 1}', '{"w_id": "W7", "i_id": "I7"}'):
            sql("INSERT INTO queue_messages (queue, body) VALUES ('lines', %s)", body)
        for message in queues("lines").receive(limit=10, wait=0, visibility=60):
            queues("lines").dead_letter(message.receipt, {"code": "E_SOURCE_UNKNOWN"})
        assert redriver.redrive("lines", RedriveFilter(code="E_OTHER")).moved == 0
        assert redriver.redrive("lines", RedriveFilter(code="E_SOURCE_UNKNOWN")).moved == 5

    def test_only_so_many_are_reset_and_no_other_letter_is_moved(
        self, redriver: Redriver, enqueuer: Enqueuer, queues: PgQueues, store: PgTasks, job: Job
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:3])
        for volume in VOLUMES[:3]:
            give_up(store, queues, job, volume)
        assert redriver.redrive("lines", limit=2, dry_run=True) == RedriveReport(2, 2, 0, ())
        assert queues.admin("lines").stats().dead == 3
        assert redriver.redrive("lines", limit=2) == RedriveReport(2, 2, 0, ())
        assert queues.admin("lines").stats().dead == 1
        assert redriver.redrive("lines", dry_run=True) == RedriveReport(1, 1, 0, ())
        assert queues.admin("lines").stats().dead == 1
        assert redriver.redrive("lines") == RedriveReport(1, 1, 0, ())

    def test_volume_that_has_a_newer_task_stays(
        self, redriver: Redriver, enqueuer: Enqueuer, queues: PgQueues, store: PgTasks, job: Job
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1])
        give_up(store, queues, job, VOLUMES[0])
        enqueuer.enqueue("lines", VOLUMES[:1], force=True)
        assert redriver.redrive("lines").reset == 0

    def test_dependency_of_others_is_shown_again(
        self,
        redriver: Redriver,
        enqueuer: Enqueuer,
        queues: PgQueues,
        store: PgTasks,
        add_job: Callable[..., Job],
        sql: Sql,
    ) -> None:
        lines = add_job("lines")
        add_job("ocr", needs=("lines",))
        enqueuer.enqueue("lines", VOLUMES[:1])
        enqueuer.enqueue("ocr", VOLUMES[:1])
        give_up(store, queues, lines, VOLUMES[0])
        reason = "SELECT reason FROM missing_dependencies"
        assert sql(reason) == [{"reason": "lines failed: E_MANIFEST"}]
        redriver.redrive("lines")
        assert sql(reason) == [{"reason": "needs lines"}]
