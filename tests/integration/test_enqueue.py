"""Enqueueing: what gets a task, what is passed over and why, and that being killed half-way does no harm."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from bec_orch.core.messages import TaskMessage
from bec_orch.core.records.backlog import EnqueueReport
from bec_orch.core.tasks import Claim, Failure, Job, TaskResult
from bec_orch.core.volumes import PageCounts, VolumeRef
from bec_orch.errors import ConfigError, ManifestError, QueueError, StorageError
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.postgres.tasks import SUPERSEDED, PgTasks
from bec_orch.orch.backlog.enqueue import Enqueuer, read_versions
from tests.integration.conftest import SOURCE, Sql

VOLUMES = tuple(VolumeRef("W1", f"I{n}", SOURCE) for n in range(5))


@pytest.fixture
def queues(database: Database) -> Iterator[PgQueues]:
    queues = PgQueues(database)
    yield queues
    queues.close()


@pytest.fixture
def enqueuer(database: Database, queues: PgQueues) -> Enqueuer:
    return Enqueuer(PgBacklog(database), queues)


def claim(store: PgTasks, job: Job, volume: VolumeRef) -> Claim:
    taken = store.claim(job, volume, worker_id="w", token=uuid4(), lease=60)
    assert isinstance(taken, Claim), taken
    return taken


def finish(store: PgTasks, job: Job, volume: VolumeRef, etag: str = "aaa", config_hash: str = "hash1") -> None:
    taken = claim(store, job, volume)
    assert store.stamp_manifest(taken, etag, 3)
    store.commit(taken, TaskResult(etag, config_hash, "1", (), PageCounts(3), ()))


def give_up(store: PgTasks, job: Job, volume: VolumeRef, etag: str | None = None) -> None:
    taken = claim(store, job, volume)
    assert etag is None or store.stamp_manifest(taken, etag, 3)
    store.fail(taken, Failure("E_MANIFEST", "manifest", "no pages", "fff", retryable=False))


class Source:
    """A source that knows ETags, or raises what it was given."""

    name = SOURCE

    def __init__(self, etags: Mapping[str, str | Exception | None]) -> None:
        self._etags = etags

    def __call__(self, source: str) -> "Any":
        assert source == SOURCE
        return self

    def manifest_etag(self, volume: VolumeRef) -> str | None:
        answer = self._etags[volume.i_id]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def missing(self, volume: VolumeRef) -> str:
        return f"{volume} is missing."


class TestWhatGetsATask:
    def test_new_volumes_are_queued_and_sent(self, enqueuer: Enqueuer, job: Job, queues: PgQueues, sql: Sql) -> None:
        assert enqueuer.enqueue("lines", [*VOLUMES, VOLUMES[0]]) == EnqueueReport(volumes=5, queued=5, sent=5)
        assert queues("lines").stats().visible == 5
        assert sql("SELECT count(*) AS n FROM tasks WHERE state = 'queued' AND dispatched_at IS NOT NULL") == [{"n": 5}]

    def test_twice_is_once(self, enqueuer: Enqueuer, job: Job, queues: PgQueues) -> None:
        enqueuer.enqueue("lines", VOLUMES)
        assert enqueuer.enqueue("lines", VOLUMES) == EnqueueReport(volumes=5, already_unfinished=5)
        assert queues("lines").stats().visible == 5

    def test_done_is_skipped(self, enqueuer: Enqueuer, job: Job, store: PgTasks) -> None:
        enqueuer.enqueue("lines", VOLUMES)
        finish(store, job, VOLUMES[0])
        report = enqueuer.enqueue("lines", VOLUMES)
        assert (report.skipped_done, report.already_unfinished, report.sent) == (1, 4, 0)

    def test_done_under_another_config_is_stale(self, enqueuer: Enqueuer, job: Job, store: PgTasks) -> None:
        enqueuer.enqueue("lines", VOLUMES[:2])
        finish(store, job, VOLUMES[0], config_hash="other")
        finish(store, job, VOLUMES[1])
        assert enqueuer.enqueue("lines", VOLUMES[:2]) == EnqueueReport(volumes=2, skipped_done=1, skipped_stale=1)
        report = enqueuer.enqueue("lines", VOLUMES[:2], stale=True)
        assert report == EnqueueReport(volumes=2, queued=1, skipped_done=1, sent=1)

    def test_adopted_from_the_older_layout_is_done(self, enqueuer: Enqueuer, job: Job, store: PgTasks) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1])
        finish(store, job, VOLUMES[0], config_hash="")
        assert enqueuer.enqueue("lines", VOLUMES[:1]).skipped_done == 1

    def test_force_does_it_again(self, enqueuer: Enqueuer, job: Job, store: PgTasks, sql: Sql) -> None:
        enqueuer.enqueue("lines", VOLUMES[:3])
        finish(store, job, VOLUMES[0])
        claim(store, job, VOLUMES[1])
        report = enqueuer.enqueue("lines", VOLUMES[:3], force=True)
        assert report == EnqueueReport(volumes=3, queued=1, already_unfinished=2, sent=1)
        found = sql("SELECT v.i_id, t.state, t.force, t.attempt FROM tasks t JOIN volumes v ON v.id = t.volume_id")
        assert sorted((r["i_id"], r["state"], r["force"], r["attempt"]) for r in found) == [
            ("I0", "done", False, 1),
            ("I0", "queued", True, 1),
            ("I1", "running", False, 1),
            ("I2", "queued", True, 0),
        ]

    def test_failed_is_skipped_until_something_changes(
        self, enqueuer: Enqueuer, job: Job, store: PgTasks, sql: Sql
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1])
        give_up(store, job, VOLUMES[0])
        assert enqueuer.enqueue("lines", VOLUMES[:1]) == EnqueueReport(volumes=1, skipped_failed=1)
        assert enqueuer.enqueue("lines", VOLUMES[:1], dry_run=True, force=True).queued == 1
        assert enqueuer.enqueue("lines", VOLUMES[:1], dry_run=True, refresh=Source({"I0": "bbb"})).queued == 1
        sql("UPDATE jobs SET config_hash = 'hash2'")
        assert enqueuer.enqueue("lines", VOLUMES[:1]).queued == 1

    def test_what_failed_to_be_done_again_is_not_done(
        self, enqueuer: Enqueuer, job: Job, store: PgTasks, sql: Sql
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1])
        finish(store, job, VOLUMES[0])
        assert enqueuer.enqueue("lines", VOLUMES[:1], force=True).queued == 1
        give_up(store, job, VOLUMES[0], "aaa")
        assert enqueuer.enqueue("lines", VOLUMES[:1]) == EnqueueReport(volumes=1, skipped_failed=1)
        sql("UPDATE tasks SET force = false")
        assert enqueuer.enqueue("lines", VOLUMES[:1]) == EnqueueReport(volumes=1, skipped_done=1)

    def test_waits_for_what_the_job_needs(
        self, enqueuer: Enqueuer, add_job: Callable[..., Job], store: PgTasks, sql: Sql
    ) -> None:
        lines = add_job("lines")
        add_job("ocr", needs=("lines",))
        enqueuer.enqueue("lines", VOLUMES[:1])
        finish(store, lines, VOLUMES[0])
        assert enqueuer.enqueue("ocr", VOLUMES[:3]) == EnqueueReport(volumes=3, queued=1, waiting=2, sent=1)
        waiting = sql("SELECT m.reason FROM missing_dependencies m JOIN tasks t ON t.id = m.task_id")
        assert waiting == 2 * [{"reason": "needs lines, which is not enqueued"}]

    def test_dry_run_changes_nothing(self, enqueuer: Enqueuer, job: Job, queues: PgQueues, sql: Sql) -> None:
        assert enqueuer.enqueue("lines", VOLUMES, dry_run=True) == EnqueueReport(volumes=5, queued=5)
        assert sql("SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM volumes) AS n") == [{"n": 0}]
        assert queues("lines").stats().visible == 0

    def test_unknown_job(self, enqueuer: Enqueuer) -> None:
        with pytest.raises(ConfigError):
            enqueuer.enqueue("lines", VOLUMES)

    def test_nothing_is_nothing(self, enqueuer: Enqueuer, job: Job) -> None:
        assert enqueuer.enqueue("lines", []) == EnqueueReport()

    def test_names_that_look_like_sql_or_copy(self, enqueuer: Enqueuer, job: Job, sql: Sql) -> None:
        names = ["'; DROP TABLE tasks; --", "%s", "$1", '"', "ཀ ཁ", "a,b", "N"]
        volumes = [VolumeRef("W1", name, SOURCE) for name in names]
        assert enqueuer.enqueue("lines", volumes).queued == len(names)
        assert {row["i_id"] for row in sql("SELECT i_id FROM volumes")} == set(names)


class TestRefresh:
    def test_changed_volume_is_found(self, enqueuer: Enqueuer, job: Job, store: PgTasks, sql: Sql) -> None:
        enqueuer.enqueue("lines", VOLUMES[:2])
        finish(store, job, VOLUMES[0])
        finish(store, job, VOLUMES[1])
        report = enqueuer.enqueue("lines", VOLUMES[:2], refresh=Source({"I0": "aaa", "I1": "bbb"}))
        assert report == EnqueueReport(volumes=2, queued=1, skipped_done=1, sent=1)
        assert claim(store, job, VOLUMES[1]).manifest_etag == "bbb"
        assert enqueuer.enqueue("lines", VOLUMES[:2], refresh=Source({"I0": "aaa", "I1": "aaa"})).skipped_done == 1

    def test_unfinished_task_of_an_older_version_makes_room(self, enqueuer: Enqueuer, job: Job, sql: Sql) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1], refresh=Source({"I0": "aaa"}))
        report = enqueuer.enqueue("lines", VOLUMES[:1], refresh=Source({"I0": "bbb"}))
        assert report == EnqueueReport(volumes=1, queued=1, superseded=1, sent=1)
        old, new = sql("SELECT state, cancel_reason, manifest_etag FROM tasks ORDER BY id")
        assert (old["state"], old["cancel_reason"]) == ("canceled", SUPERSEDED)
        assert (new["state"], new["manifest_etag"]) == ("queued", "bbb")

    def test_running_task_is_left_to_find_out_itself(self, enqueuer: Enqueuer, job: Job, store: PgTasks) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1], refresh=Source({"I0": "aaa"}))
        claim(store, job, VOLUMES[0])
        report = enqueuer.enqueue("lines", VOLUMES[:1], refresh=Source({"I0": "bbb"}))
        assert report == EnqueueReport(volumes=1, already_unfinished=1)

    def test_volumes_without_a_version_are_left_out_and_reported(self, enqueuer: Enqueuer, job: Job) -> None:
        answers = {
            "I0": None,
            "I1": ManifestError("The list of I1 is broken."),
            "I2": StorageError("away"),
            "I3": "aaa",
        }
        report = enqueuer.enqueue("lines", VOLUMES[:4], refresh=Source(answers))
        assert (report.volumes, report.queued) == (4, 1)
        assert {(fault.volume.i_id, fault.code) for fault in report.faults} == {
            ("I0", "E_MANIFEST_MISSING"),
            ("I1", "E_MANIFEST"),
            ("I2", "E_STORAGE"),
        }

    def test_versions_are_read_many_at_a_time(self) -> None:
        barrier = threading.Barrier(8, timeout=10)

        class Slow(Source):
            def manifest_etag(self, volume: VolumeRef) -> str | None:
                barrier.wait()
                return super().manifest_etag(volume)

        volumes = [VolumeRef("W1", f"I{n}", SOURCE) for n in range(8)]
        assert len(read_versions(volumes, Slow({v.i_id: "aaa" for v in volumes})).etags) == 8


class TestOutbox:
    def test_killed_before_sending_it_sends_later(self, database: Database, job: Job, queues: PgQueues) -> None:
        class Away:
            def send(self, messages: Sequence[TaskMessage]) -> None:
                raise QueueError("The queue is away.")

        def away(job: str) -> Any:
            return Away()

        with pytest.raises(QueueError):
            Enqueuer(PgBacklog(database), away).enqueue("lines", VOLUMES)
        report = Enqueuer(PgBacklog(database), queues).enqueue("lines", VOLUMES)
        assert report == EnqueueReport(volumes=5, already_unfinished=5, sent=5)

    def test_killed_between_two_batches(
        self, database: Database, job: Job, queues: PgQueues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bec_orch.orch.backlog.enqueue._MESSAGES_AT_ONCE", 2)
        sent: list[TaskMessage] = []

        class Dies:
            def send(self, messages: Sequence[TaskMessage]) -> None:
                if sent:
                    raise QueueError("The queue is away.")
                sent.extend(messages)

        def dies(job: str) -> Any:
            return Dies()

        with pytest.raises(QueueError):
            Enqueuer(PgBacklog(database), dies).enqueue("lines", VOLUMES)
        assert len(sent) == 2
        assert Enqueuer(PgBacklog(database), queues).enqueue("lines", VOLUMES).sent == 3

    def test_many_at_once_make_each_task_once(self, enqueuer: Enqueuer, job: Job, sql: Sql) -> None:
        volumes = [VolumeRef("W1", f"I{n}", SOURCE) for n in range(200)]
        barrier = threading.Barrier(4)

        def enqueue(_: int) -> int:
            barrier.wait()
            return enqueuer.enqueue("lines", volumes).queued

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(enqueue, range(4))) == 200
        assert sql("SELECT count(*) AS n FROM tasks") == [{"n": 200}]

    def test_killed_between_two_portions_the_next_makes_the_rest(
        self, enqueuer: Enqueuer, job: Job, sql: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bec_orch.orch.backlog.enqueue._VOLUMES_AT_ONCE", 2)
        with monkeypatch.context() as dying:

            def die(_point: object) -> None:
                raise KeyboardInterrupt

            dying.setattr("bec_orch.orch.backlog.enqueue.reached", die)
            with pytest.raises(KeyboardInterrupt):
                enqueuer.enqueue("lines", VOLUMES)
        assert sql("SELECT count(*) AS n FROM tasks") == [{"n": 2}]
        assert enqueuer.enqueue("lines", VOLUMES) == EnqueueReport(volumes=5, queued=3, already_unfinished=2, sent=5)
        assert sql("SELECT count(*) AS n FROM tasks") == [{"n": 5}]

    def test_portions_count_as_one_would(
        self, enqueuer: Enqueuer, add_job: Callable[..., Job], store: PgTasks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines = add_job("lines")
        add_job("ocr", needs=("lines",))
        monkeypatch.setattr("bec_orch.orch.backlog.enqueue._VOLUMES_AT_ONCE", 2)
        assert enqueuer.enqueue("lines", VOLUMES, dry_run=True) == EnqueueReport(volumes=5, queued=5)
        assert enqueuer.enqueue("lines", VOLUMES) == EnqueueReport(volumes=5, queued=5, sent=5)
        finish(store, lines, VOLUMES[0])
        finish(store, lines, VOLUMES[4])
        assert enqueuer.enqueue("ocr", VOLUMES) == EnqueueReport(volumes=5, queued=2, waiting=3, sent=2)

    def test_the_planner_learns_of_many_tasks(
        self, enqueuer: Enqueuer, job: Job, sql: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bec_orch.orch.backlog.enqueue._MANY_TASKS", 3)
        known = "SELECT attname FROM pg_stats WHERE tablename = 'tasks' AND attname = 'volume_id'"
        enqueuer.enqueue("lines", VOLUMES[:2])
        assert sql(known) == []
        enqueuer.enqueue("lines", VOLUMES)
        assert sql(known) == [{"attname": "volume_id"}]

    def test_those_who_meet_neither_lock_each_other_nor_do_anything_twice(
        self, enqueuer: Enqueuer, job: Job, sql: Sql, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Lists in opposite orders, with versions to be stamped: the rows of volumes and tasks are wanted crosswise."""
        monkeypatch.setattr("bec_orch.orch.backlog.enqueue._VOLUMES_AT_ONCE", 50)
        volumes = [VolumeRef("W1", f"I{n}", SOURCE) for n in range(200)]
        enqueuer.enqueue("lines", volumes[::2], refresh=Source({v.i_id: "aaa" for v in volumes}))
        barrier = threading.Barrier(4)

        def enqueue(number: int) -> EnqueueReport:
            barrier.wait()
            listed = volumes if number % 2 else volumes[::-1]
            return enqueuer.enqueue("lines", listed, refresh=Source({v.i_id: f"bbb{number}" for v in volumes}))

        with ThreadPoolExecutor(4) as pool:
            reports = list(pool.map(enqueue, range(4)))
        assert sum(report.queued - report.superseded for report in reports) == 100
        unfinished = "SELECT count(*) AS n, count(DISTINCT volume_id) AS v FROM tasks WHERE finished_at IS NULL"
        assert sql(unfinished) == [{"n": 200, "v": 200}]
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert sql(deadlocks) == [{"deadlocks": 0}]

    def test_a_volume_whose_task_is_just_being_finished_is_judged_when_that_is_over(
        self, enqueuer: Enqueuer, job: Job, database: Database, sql: Sql
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES[:1])
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with ThreadPoolExecutor(1) as pool:
            with database.transaction("commit as a worker does") as connection:
                connection.execute("SELECT 1 FROM volumes FOR NO KEY UPDATE")
                connection.execute(
                    "UPDATE tasks SET state = 'done', finished_at = clock_timestamp(), manifest_etag = 'aaa', "
                    "config_hash = 'hash1', pages_ok = 1, pages_skipped = 0, pages_error = 0"
                )
                enqueued = pool.submit(enqueuer.enqueue, "lines", VOLUMES[:1])
                while not sql(waiting):
                    assert not enqueued.done()
            assert enqueued.result() == EnqueueReport(volumes=1, skipped_done=1)

    def test_an_enqueueing_locks_its_own_volumes_and_no_others(
        self, enqueuer: Enqueuer, job: Job, database: Database
    ) -> None:
        enqueuer.enqueue("lines", VOLUMES)
        with database.transaction("hold a volume") as connection:
            connection.execute("SELECT 1 FROM volumes WHERE i_id = 'I0' FOR UPDATE")
            assert enqueuer.enqueue("lines", VOLUMES[1:]).already_unfinished == 4

    def test_thousands_are_sent_in_batches(self, enqueuer: Enqueuer, job: Job, queues: PgQueues) -> None:
        volumes = [VolumeRef(f"W{n}", "I1", SOURCE) for n in range(6000)]
        assert enqueuer.enqueue("lines", volumes).sent == 6000
        assert queues("lines").stats().visible == 6000
