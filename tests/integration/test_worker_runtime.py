"""The life of a task, over a real database and queue and a folder of artefacts, with a job whose answer is known."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.failures import failure_of
from bec_orch.core.life.flight import Flight, FlightRecorder
from bec_orch.core.life.observing import Observed
from bec_orch.core.life.standings import Standings, TaskEnd
from bec_orch.core.life.stop import StopReason
from bec_orch.core.life.worker_options import Outside, WorkerOptions, Workplace
from bec_orch.core.life.worker_runtime import BECWorker, WorkerReport
from bec_orch.core.messages import TaskMessage
from bec_orch.core.metrics import Metrics
from bec_orch.core.ports.job_worker import JobContext, JobWorker
from bec_orch.core.retries import RetryPolicy
from bec_orch.core.tasks import AttemptOutcome, Claim, Job, TaskResult, WorkerInfo
from bec_orch.core.volumes import Manifest, Page, VolumeRef
from bec_orch.errors import ConfigError, DatabaseRefused, LeaseLost, StorageError, TaskFault, VolumeStalled
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.deaths import PgDeaths
from bec_orch.io.postgres.identity import owner_of
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.io.sources.sources import Sources, source_name
from bec_orch.io.stores.storage import Stores
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver
from tests.support.jobs.toy_job import ToyConfig, ToyJob, nothing

AtPage = Callable[[JobContext, Page], None]
PAGES = 4


class Watching:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.ends: list[TaskEnd] = []
        self.started: list[Claim] = []
        self.progress: list[tuple[int, int]] = []

    def task_started(self, claim: Claim, _manifest: Manifest) -> None:
        self.started.append(claim)

    def pages_done(self, _claim: Claim, done: int, total: int) -> None:
        self.progress.append((done, total))

    def task_ended(self, end: TaskEnd) -> None:
        self.ends.append(end)

    @property
    def outcomes(self) -> list[AttemptOutcome]:
        return [end.outcome for end in self.ends]


@dataclass
class World:
    """One database, one folder of scans, one folder of artefacts; workers are made as they are wanted.

    They use the database as whoever is connected by `of_workers`.
    """

    home: Path
    database: Database
    of_workers: Database | None = None
    at_page: AtPage = nothing
    config: ToyConfig = field(default_factory=ToyConfig)
    watching: Watching = field(default_factory=Watching)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scans = self.home / "scans"
        self.work = self.home / "work"
        self.scans.mkdir()
        self.work.mkdir()
        self.source = source_name("folder", self.scans.as_uri())
        stores = Stores()
        self.sources = Sources(stores)
        self.artefacts = StoredArtefacts(
            stores.open((self.home / "out").as_uri(), create=True), self.work, owner_of(self.database)
        )
        theirs = self.of_workers or self.database
        self.store = PgTasks(theirs, default_source=self.source, retry=RetryPolicy(base=0.02, cap=0.05))
        self.queues = PgQueues(theirs)

    def volume(self, i_id: str = "I1", pages: int = PAGES) -> VolumeRef:
        folder = self.scans / "W1" / i_id
        folder.mkdir(parents=True)
        for number in range(1, pages + 1):
            (folder / f"{number:04}.jpg").write_bytes(b"x" * number)
        return VolumeRef("W1", i_id, self.source)

    def create_job(self, **values: Any) -> Job:
        row = {"name": "toy", "max_attempts": 3, "max_page_error_rate": 0.5, **values}
        with self.database.transaction("create a job") as connection:
            connection.execute(
                "INSERT INTO jobs (name, type, config_hash, max_attempts, max_page_error_rate)"
                " VALUES (%s, 'toy', %s, %s, %s)",
                (row["name"], self.config.output_hash(), row["max_attempts"], row["max_page_error_rate"]),
            )
        return self.store.job(row["name"])

    def send(self, *volumes: VolumeRef) -> None:
        self.queues("toy").send([TaskMessage(v.w_id, v.i_id) for v in volumes])

    @contextmanager
    def job_workers(self, _job: Job) -> Iterator[JobWorker]:
        yield ToyJob(self.config, self.at_page)

    def worker(self, name: str = "worker-1", job: str = "toy", **changes: Any) -> BECWorker:
        taken = self.store.job(job)
        options = WorkerOptions(
            **{
                "work_dir": self.work,
                "default_source": self.source,
                "lease": 30.0,
                "grace": 0.0,
                "heartbeat_every": 0.05,
                "maintenance_every": 60.0,
                "outage_patience": 5.0,
                **self.options,
                **changes,
            }
        )
        standings = Standings()
        FlightRecorder(self.work, standings)
        standings.subscribe(Observed(self.watching))
        outside = Outside(self.store, self.queues, self.sources, self.artefacts)
        info = WorkerInfo(name, taken.id, "host", 1, "0")
        return BECWorker(Workplace(taken, info, outside, self.job_workers, standings, options))

    def run(self, **changes: Any) -> WorkerReport:
        return self.worker(**changes).run(until_empty=True)

    def tasks(self, columns: str = "state") -> list[dict[str, Any]]:
        with self.database.transaction("look") as connection:
            statement = f"SELECT {columns} FROM tasks ORDER BY id"  # noqa: S608  (columns are this file's own)
            return connection.execute(statement.encode()).fetchall()

    def attempts(self) -> list[str]:
        with self.database.transaction("look") as connection:
            found = connection.execute(b"SELECT outcome FROM task_attempts ORDER BY task_id, attempt").fetchall()
        return [row["outcome"] for row in found]

    def success(self, volume: VolumeRef, job: str = "toy") -> Success | None:
        manifest = self.sources(volume.source).read_manifest(volume)
        return self.artefacts.success(ArtefactLocation(job, volume, manifest.version))

    def lengths(self, volume: VolumeRef) -> list[int | None]:
        found = self.success(volume)
        assert found
        return list(self.artefacts.read_rows(found)["length"].to_pylist())


@pytest.fixture
def world(database: Database, worker_database: Database, tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, database, worker_database)
    world.create_job()
    yield world
    world.queues.close()


def test_a_message_becomes_an_artefact_and_every_page_a_row(world: World) -> None:
    volume = world.volume()
    world.send(volume)
    report = world.run()
    assert report.outcomes == {AttemptOutcome.DONE: 1}
    assert report.stop_reason == "empty"
    assert world.lengths(volume) == [1, 2, 3, 4]
    (task,) = world.tasks("state, pages_ok, pages_skipped, pages_error, counters, attempt, artefact_key")
    assert (task["state"], task["pages_ok"], task["counters"]) == ("done", PAGES, {"bytes": 10})
    found = world.success(volume)
    assert found
    assert found.content
    assert found.files[0].key == task["artefact_key"]
    assert found.content["pages"] == {"total": 4, "ok": 4, "skipped": 0, "error": 0}
    assert found.content["models"] == [{"name": "scales", "digest": "5ca1e5"}]
    assert world.queues("toy").stats().visible == 0
    assert world.watching.progress[-1] == (PAGES, PAGES)


def test_two_messages_for_one_volume_are_one_artefact(world: World) -> None:
    volume = world.volume()
    world.send(volume, volume, volume)
    assert world.run(slots=2).outcomes == {AttemptOutcome.DONE: 1}
    assert world.attempts() == ["done"]


@pytest.mark.parametrize("recorded", [False, True])
def test_a_message_sent_by_hand_finds_a_volume_in_another_form_of_its_name(world: World, *, recorded: bool) -> None:
    apart = world.volume("Cafe\u0301")
    if recorded:
        world.store.ensure_task(world.store.job("toy"), apart)
    world.send(VolumeRef("W1", "Caf\u00e9", world.source))
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert world.tasks("(SELECT i_id FROM volumes v WHERE v.id = volume_id), state") == [
        {"i_id": "Cafe\u0301", "state": "done"}
    ]


def test_a_message_sent_by_hand_for_a_source_that_is_not_known_opens_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = world.volume("\u00e9")
    world.queues("toy").send([TaskMessage(volume.w_id, volume.i_id, source="folder+file:///etc")])
    monkeypatch.setattr(Sources, "__call__", lambda _self, source: pytest.fail(f"{source} was opened"))
    world.run()
    (letter,) = world.queues("toy").peek(limit=10, dead=True)
    assert letter.reason["code"] == "E_SOURCE_UNKNOWN"  # type: ignore[union-attr]


def test_a_slot_that_finds_nothing_left_to_do_ends_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Event()
    unfinished, ensure_task = world.store.unfinished, world.store.ensure_task

    def look(job: Job) -> int:
        found = unfinished(job)
        looked.set()
        return found

    def wait_for_a_look(*given: Any, **more: Any) -> Any:
        # The other slot finds an empty queue and no task, as this one has the message, and no task for it yet.
        assert looked.wait(60)
        return ensure_task(*given, **more)

    monkeypatch.setattr(world.store, "unfinished", look)
    monkeypatch.setattr(world.store, "ensure_task", wait_for_a_look)
    world.send(world.volume())
    report = world.run(slots=2)
    assert (report.outcomes, report.stop_reason) == ({AttemptOutcome.DONE: 1}, "empty")


def test_malformed_messages_are_dead_lettered_with_a_reason_and_the_queue_flows(world: World) -> None:
    volume = world.volume()
    with world.database.transaction("send by hand") as connection:
        for body in (
            "hello",
            "[]",
            '{"w_id": "../x", "i_id": "I1"}',
            '{"w_id":"W1","i_id":"I1","source":"folder+file:///etc"}',
        ):
            connection.execute("INSERT INTO queue_messages (queue, body) VALUES ('toy', %s)", (body,))
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    reasons = {letter.reason["code"] for letter in world.queues("toy").peek(limit=10, dead=True)}  # type: ignore[union-attr]
    assert {"E_MESSAGE_NOT_JSON", "E_MESSAGE_FIELDS", "E_NAME_UNSAFE"} < reasons
    assert len(reasons) == 4


def test_a_missing_volume_is_terminal_when_it_is_missed_twice_and_its_message_is_dead(world: World) -> None:
    world.volume("I1")
    world.send(VolumeRef("W1", "I404", world.source))
    report = world.run()
    assert report.outcomes == {AttemptOutcome.RETRYABLE_FAILED: 1, AttemptOutcome.TERMINAL_FAILED: 1}
    (task,) = world.tasks("state, failure_code, failure_message, attempt")
    assert (task["state"], task["failure_code"], task["attempt"]) == ("terminal_failed", "E_MANIFEST_MISSING", 2)
    assert "I404" in task["failure_message"]
    assert world.queues("toy").stats().dead == 1


def fail_times(error: Exception, times: int) -> AtPage:
    left = [times]

    def at_page(context: JobContext, page: Page) -> None:
        if page.index == 2 and left[0]:
            left[0] -= 1
            raise error

    return at_page


def test_a_passing_fault_is_tried_again_and_not_charged(world: World) -> None:
    volume = world.volume()
    world.at_page = fail_times(StorageError("The store is away."), 2)
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.RETRYABLE_FAILED: 2, AttemptOutcome.DONE: 1}
    assert world.lengths(volume) == [1, 2, 3, 4]
    assert world.tasks("attempt, charged") == [{"attempt": 3, "charged": 0}]


def test_a_fault_of_the_task_ends_it_when_its_attempts_are_used_up(world: World) -> None:
    world.at_page = fail_times(TaskFault("It hung."), 99)
    world.send(world.volume())
    report = world.run()
    assert report.outcomes == {AttemptOutcome.RETRYABLE_FAILED: 2, AttemptOutcome.TERMINAL_FAILED: 1}
    (task,) = world.tasks("state, failure_code, failure_message")
    assert (task["state"], task["failure_code"]) == ("terminal_failed", "E_ATTEMPTS_EXHAUSTED")
    assert "It hung." in task["failure_message"]
    assert (report.failed, report.last_failure and report.last_failure.code) == (1, "E_TASK_FAULT")


def test_an_unforeseen_exception_is_recorded_with_its_type(world: World) -> None:
    world.at_page = fail_times(ZeroDivisionError("oops"), 1)
    world.send(world.volume())
    assert world.run().outcomes == {AttemptOutcome.RETRYABLE_FAILED: 1, AttemptOutcome.DONE: 1}
    with world.database.transaction("look") as connection:
        failed = connection.execute(
            b"SELECT code, stage, message, charged FROM task_attempts WHERE attempt = 1"
        ).fetchone()
    assert failed == {"code": "E_UNEXPECTED", "stage": "run", "message": "ZeroDivisionError: oops.", "charged": True}


def test_a_worker_stops_trying_a_task_that_it_cannot_do_but_does_not_end_it(world: World) -> None:
    world.at_page = fail_times(StorageError("Denied.", code="E_STORAGE_DENIED"), 99)
    world.send(world.volume())
    report = world.run()
    assert report.outcomes == {AttemptOutcome.RETRYABLE_FAILED: 3}
    assert world.tasks() == [{"state": "retryable_failed"}]


def test_a_worker_that_only_fails_stops_itself_and_says_why(world: World) -> None:
    volumes = [world.volume(f"I{number}") for number in range(5)]
    world.at_page = fail_times(StorageError("No credentials.", code="E_STORAGE_DENIED"), 99)
    world.send(*volumes)
    report = world.run(failures_in_a_row=3)
    assert report.stop_reason == "failing: E_STORAGE_DENIED"
    assert "terminal_failed" not in {task["state"] for task in world.tasks()}


def test_page_errors_within_the_rate_are_rows_and_above_it_the_end(world: World) -> None:
    good, bad = world.volume("I1"), world.volume("I2")
    (world.scans / "W1/I1/0002.jpg").write_bytes(b"")
    for number in (1, 2, 3):
        (world.scans / f"W1/I2/000{number}.jpg").write_bytes(b"")
    world.send(good, bad)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1, AttemptOutcome.TERMINAL_FAILED: 1}
    found = world.success(good)
    assert found
    table = world.artefacts.read_rows(found)
    assert table["ok"].to_pylist() == [True, False, True, True]
    assert table["error_type"].to_pylist()[1] == "E_IMAGE_EMPTY"
    assert world.success(bad) is None
    failure = world.tasks("failure_code, failure_message")[1]
    assert failure["failure_code"] == "E_IMAGE_EMPTY"
    assert "3 of 4 pages failed" in failure["failure_message"]


def test_a_volume_that_fails_for_its_pages_leaves_a_partial_artefact_until_it_is_done(world: World) -> None:
    volume = world.volume()
    for number in (1, 2, 3):
        (world.scans / f"W1/I1/000{number}.jpg").write_bytes(b"")
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.TERMINAL_FAILED: 1}
    marked = partial(world)
    content = json.loads(marked.read_bytes())
    assert (content["partial"], content["attempt"], content["failure"]["code"]) == (True, 1, "E_IMAGE_EMPTY")
    assert content["pages"] == {"total": 4, "ok": 1, "skipped": 0, "error": 3}
    table = pq.read_table(world.home / "out" / content["files"][0]["key"])
    assert table["ok"].to_pylist() == [False, False, False, True]
    assert world.success(volume) is None

    redrive(world)
    assert world.run().outcomes == {AttemptOutcome.TERMINAL_FAILED: 1}
    assert json.loads(partial(world).read_bytes())["attempt"] == 2
    assert len(list(marked.parent.glob("*.parquet"))) == 1

    allow_page_errors(world, 1)
    redrive(world)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    found = world.success(volume)
    assert found
    assert found.attempt == 3
    beside = {path.relative_to(world.home / "out").as_posix() for path in marked.parent.iterdir()}
    assert beside == {
        found.files[0].key,
        f"{found.location.prefix}/success.json",
        f"{found.location.prefix}/{found.location.stem}.parquet",
    }


def test_beside_an_artefact_that_holds_on_nothing_partial_is_left(world: World) -> None:
    volume = world.volume()
    (world.scans / "W1/I1/0002.jpg").write_bytes(b"")
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    allow_page_errors(world, 0)
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", [volume], force=True)
    before = sorted((world.home / "out").rglob("*.*"))
    assert world.run().outcomes == {AttemptOutcome.TERMINAL_FAILED: 1}
    assert [path for path in sorted((world.home / "out").rglob("*.*")) if path.parent.name != "parts"] == before


def partial(world: World) -> Path:
    (found,) = (world.home / "out").rglob("*.partial.json")
    return found


def allow_page_errors(world: World, rate: float) -> None:
    with world.database.transaction("set the rate") as connection:
        connection.execute(b"UPDATE jobs SET max_page_error_rate = %s", (rate,))


def redrive(world: World) -> None:
    Redriver(PgBacklog(world.database), PgQueues(world.database)).redrive("toy")


def test_a_job_that_leaves_a_page_out_publishes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(ToyJob):
        def run(self, context: JobContext) -> Metrics:
            pages = context.manifest.pages[:-1]
            return super().run(replace(context, manifest=replace(context.manifest, pages=pages)))

    @contextmanager
    def job_workers(_job: Job) -> Iterator[JobWorker]:
        yield Forgetful(ToyConfig())

    monkeypatch.setattr(world, "job_workers", job_workers)
    world.send(world.volume())
    assert world.run().outcomes == {AttemptOutcome.RETRYABLE_FAILED: 2, AttemptOutcome.TERMINAL_FAILED: 1}
    (task,) = world.tasks("failure_code, failure_message")
    assert task["failure_code"] == "E_ATTEMPTS_EXHAUSTED"
    assert "E_PAGES_UNACCOUNTED" in task["failure_message"]
    assert list((world.home / "out").rglob("*.parquet")) == list((world.home / "out").rglob("parts/*.parquet"))
    assert list((world.home / "out").rglob("success.json")) == []


def test_a_stop_keeps_finished_pages_gives_the_task_back_and_the_next_attempt_goes_on(world: World) -> None:
    volume = world.volume()
    seen: list[int] = []
    worker = world.worker()

    def stop_at_page_2(context: JobContext, page: Page) -> None:
        seen.append(page.index)
        if page.index == 1 and len(seen) == 2:
            worker.stop(StopReason.SHUTDOWN)

    world.at_page = stop_at_page_2
    world.send(volume)
    report = worker.run()
    assert report.outcomes == {AttemptOutcome.INTERRUPTED: 1}
    assert report.stop_reason == "shutdown"
    assert world.tasks("state, charged") == [{"state": "queued", "charged": 0}]
    assert world.queues("toy").stats().visible == 1
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert seen == [0, 1, 2, 3]
    assert world.lengths(volume) == [1, 2, 3, 4]
    assert world.attempts() == ["interrupted", "done"]


def test_a_valid_artefact_is_adopted_when_the_database_forgot_it(world: World) -> None:
    volume = world.volume()
    world.send(volume)
    world.run()
    with world.database.transaction("forget") as connection:
        connection.execute(b"DELETE FROM task_attempts")
        connection.execute(b"DELETE FROM tasks")
    world.at_page = fail_times(TaskFault("must not run"), 99)
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.ADOPTED: 1}
    assert world.tasks("state, pages_ok, counters") == [{"state": "done", "pages_ok": 4, "counters": {"bytes": 10}}]


def test_an_artefact_with_a_broken_file_is_not_adopted_but_made_again(world: World) -> None:
    volume = world.volume()
    world.send(volume)
    world.run()
    found = world.success(volume)
    assert found
    (world.home / "out" / found.files[0].key).write_bytes(b"cut")
    with world.database.transaction("forget") as connection:
        connection.execute(b"UPDATE tasks SET state = 'canceled'")
        connection.execute(
            b"INSERT INTO tasks (job_id, volume_id, state, attempt) SELECT job_id, volume_id, 'queued', 1 FROM tasks"
        )
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert world.lengths(volume) == [1, 2, 3, 4]


def requeue(world: World, *, force: bool) -> None:
    with world.database.transaction("enqueue again") as connection:
        connection.execute(
            "INSERT INTO tasks (job_id, volume_id, state, attempt, force)"
            " SELECT job_id, volume_id, 'queued', attempt, %s FROM tasks ORDER BY id DESC LIMIT 1",
            (force,),
        )


def test_force_replaces_an_artefact_and_leaves_no_litter(world: World) -> None:
    volume = world.volume()
    world.send(volume)
    world.run()
    first = world.success(volume)
    requeue(world, force=True)
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    second = world.success(volume)
    assert first
    assert second
    assert (first.attempt, second.attempt) == (1, 2)
    names = sorted(p.name for p in (world.home / "out" / second.location.prefix).rglob("*") if p.is_file())
    assert names == [second.files[0].key.rpartition("/")[2], f"{second.location.stem}.parquet", "success.json"]


def test_another_config_replaces_an_artefact_and_never_mixes(world: World) -> None:
    volume = world.volume()
    world.send(volume)
    world.run()
    world.config = ToyConfig(factor=10)
    with world.database.transaction("edit the job") as connection:
        connection.execute(
            "UPDATE jobs SET config = %s, config_hash = %s", (json.dumps({"factor": 10}), world.config.output_hash())
        )
    requeue(world, force=False)
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert world.lengths(volume) == [10, 20, 30, 40]


def test_a_manifest_that_changes_during_the_run_makes_a_new_task_and_no_old_artefact(world: World) -> None:
    volume = world.volume()
    changed: list[int] = []

    def add_a_page(context: JobContext, page: Page) -> None:
        if page.index == 3 and not changed:
            changed.append(1)
            (world.scans / "W1/I1/0005.jpg").write_bytes(b"xxxxx")

    world.at_page = add_a_page
    world.send(volume)
    assert world.run().outcomes == {AttemptOutcome.SUPERSEDED: 1, AttemptOutcome.DONE: 1}
    assert [task["state"] for task in world.tasks()] == ["canceled", "done"]
    assert world.lengths(volume) == [1, 2, 3, 4, 5]
    assert len(list((world.home / "out").rglob("success.json"))) == 1


def test_a_zombie_commits_nothing_when_its_task_was_taken_over(world: World) -> None:
    volume = world.volume()
    taken_over = threading.Event()
    zombie_at_work = threading.Event()
    calls: list[int] = []

    def sleep_once(context: JobContext, page: Page) -> None:
        if page.index == 3 and not calls:
            calls.append(1)
            zombie_at_work.set()
            assert taken_over.wait(20)

    world.at_page = sleep_once
    world.send(volume)
    zombie = world.worker("zombie")
    reports: list[WorkerReport] = []
    thread = threading.Thread(target=lambda: reports.append(zombie.run(until_empty=True)))
    thread.start()
    assert zombie_at_work.wait(20)
    with world.database.transaction("let the lease run out") as connection:
        connection.execute(b"UPDATE tasks SET lease_expires_at = now() - interval '1 second'")
    assert world.worker("heir").run(until_empty=True).outcomes == {AttemptOutcome.DONE: 1}
    heirs = world.success(volume)
    taken_over.set()
    thread.join(20)
    assert reports[0].outcomes == {AttemptOutcome.LEASE_LOST: 1}
    assert world.success(volume) == heirs
    assert heirs
    assert heirs.content
    assert heirs.content["worker"] == "heir"
    assert world.attempts() == ["lease_lost", "done"]


def test_lost_messages_are_sent_again(world: World) -> None:
    volume = world.volume()
    world.store.ensure_task(world.store.job("toy"), volume)
    with world.database.transaction("age the dispatch") as connection:
        connection.execute(b"UPDATE tasks SET dispatched_at = now() - interval '1 hour'")
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}


def test_maintenance_makes_a_lost_artefact_again(world: World) -> None:
    volume = world.volume()
    world.send(volume)
    world.run()
    found = world.success(volume)
    assert found
    (world.home / "out" / found.location.prefix / "success.json").unlink()
    world.worker()._maintenance.verify()
    assert [task["state"] for task in world.tasks()] == ["canceled", "queued"]
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert world.success(volume)


def test_an_artefact_whose_every_worker_died_before_it_was_recorded_is_found_by_maintenance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = world.volume()
    world.send(volume)

    def die(_claim: Claim, _result: TaskResult) -> None:
        with world.database.transaction("let the lease run out, for the last time") as connection:
            connection.execute(b"UPDATE tasks SET charged = 2, lease_expires_at = now() - interval '1 second'")
        world.store.undispatched(world.store.job("toy"), limit=1, redispatch_after=60)
        raise LeaseLost("The process died.")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "commit", die)
        assert world.run().outcomes == {AttemptOutcome.LEASE_LOST: 1}
    assert world.tasks("state, failure_code") == [{"state": "terminal_failed", "failure_code": "E_ATTEMPTS_EXHAUSTED"}]
    published = world.success(volume)
    assert published

    world.worker()._maintenance.record_published()
    assert world.tasks("state, failure_code, pages_ok, artefact_key") == [
        {"state": "done", "failure_code": None, "pages_ok": PAGES, "artefact_key": published.files[0].key}
    ]
    assert world.attempts() == ["lease_lost"]


def test_a_failed_task_without_a_whole_artefact_of_its_own_stays_failed(world: World) -> None:
    volume = world.volume()
    world.send(volume)
    world.run()
    published = world.success(volume)
    assert published
    with world.database.transaction("fail") as connection:
        connection.execute(
            b"UPDATE tasks SET state = 'terminal_failed', failure_code = 'E_ATTEMPTS_EXHAUSTED',"
            b" uid = gen_random_uuid()"
        )
    maintenance = world.worker()._maintenance
    maintenance.record_published()
    assert world.tasks() == [{"state": "terminal_failed"}], "it is another task's"
    with world.database.transaction("own it") as connection:
        connection.execute("UPDATE tasks SET uid = %s", (published.task_uid,))
    (world.home / "out" / published.files[0].key).write_bytes(b"cut")
    maintenance.record_published()
    assert world.tasks() == [{"state": "terminal_failed"}], "it is broken"
    (world.home / "out" / published.location.prefix / "success.json").write_bytes(b"{")
    maintenance.record_published()
    assert world.tasks() == [{"state": "terminal_failed"}], "it cannot be read"


def test_the_worker_is_known_while_it_runs_and_recorded_with_why_it_stopped(world: World) -> None:
    beats: list[Any] = []

    def look(context: JobContext, page: Page) -> None:
        if page.index == 2:
            with world.database.transaction("look") as connection:
                beats.append(connection.execute(b"SELECT stopped_at FROM workers").fetchone())

    world.at_page = look
    world.send(world.volume())
    world.run()
    assert beats == [{"stopped_at": None}]
    with world.database.transaction("look") as connection:
        assert connection.execute(b"SELECT stop_reason FROM workers").fetchone() == {"stop_reason": "empty"}


def test_two_slots_and_two_workers_share_the_volumes_and_do_each_once(world: World) -> None:
    volumes = [world.volume(f"I{number}") for number in range(12)]
    world.send(*volumes)
    reports: list[WorkerReport] = []
    workers = [world.worker(f"worker-{number}", slots=2) for number in range(2)]
    threads = [threading.Thread(target=lambda w=w: reports.append(w.run(until_empty=True))) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(report.outcomes[AttemptOutcome.DONE] for report in reports) == 12
    assert world.attempts() == ["done"] * 12


def test_a_bug_outside_of_tasks_ends_the_worker_loudly(world: World) -> None:
    world.watching = cast("Watching", None)
    worker = world.worker()
    world.send(world.volume())
    with pytest.raises(AttributeError):
        worker.run(until_empty=True)


def test_intro_pages_are_skipped_with_their_reason(world: World) -> None:
    volume = world.volume()
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", [volume], intro_pages=2)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    found = world.success(volume)
    assert found
    table = world.artefacts.read_rows(found)
    assert table["skip_reason"].to_pylist() == ["intro", "intro", None, None]
    assert world.tasks("pages_ok, pages_skipped") == [{"pages_ok": 2, "pages_skipped": 2}]


def test_a_database_that_refuses_ends_the_worker_instead_of_being_waited_for(world: World) -> None:
    def lose_the_right(context: JobContext, page: Page) -> None:
        if page.index == 3:
            with world.database.transaction("break the schema") as connection:
                connection.execute(b"ALTER TABLE queue_messages RENAME COLUMN receive_count TO received")

    world.at_page = lose_the_right
    world.send(world.volume())
    with pytest.raises(DatabaseRefused) as caught:
        world.run()
    assert caught.value.code == "E_DB_SCHEMA"


def test_a_worker_whose_job_was_deleted_ends_and_takes_nothing_of_the_next_of_its_name(world: World) -> None:
    with world.database.transaction("delete the job") as connection:
        worker = world.worker()
        connection.execute(b"UPDATE jobs SET deleted_at = clock_timestamp()")
    world.create_job()
    with pytest.raises(ConfigError) as caught:
        worker.run()
    assert caught.value.code == "E_JOB_DELETED"
    with world.database.transaction("look") as connection:
        assert connection.execute(b"SELECT stop_reason FROM workers").fetchone() == {
            "stop_reason": "refused: E_JOB_DELETED"
        }
    world.send(world.volume())
    assert world.worker("worker-2").run(until_empty=True).outcomes == {AttemptOutcome.DONE: 1}


def test_a_message_whose_claim_is_refused_is_given_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Claim:
        raise DatabaseRefused("The disk is full.", code="E_DISK_FULL")

    monkeypatch.setattr(world.store, "claim", refuse)
    world.send(world.volume())
    with pytest.raises(DatabaseRefused):
        world.run()
    assert world.queues("toy").stats().visible == 1


def test_a_volume_that_stands_still_ends_the_worker_and_is_reported_by_its_page(world: World) -> None:
    hung = threading.Event()

    def hang(context: JobContext, page: Page) -> None:
        if page.index == 2:
            with context.working(page):
                hung.wait(60)

    volume = world.volume()
    world.at_page = hang
    world.send(volume)
    with pytest.raises(VolumeStalled, match=r"No page of .* was finished for 0.5 s: it hangs at page 3"):
        world.run(stall_timeout=0.5)
    hung.set()


def test_a_slow_volume_is_not_stalled(world: World) -> None:
    world.at_page = lambda _context, _page: time.sleep(0.6)
    world.send(world.volume())
    assert world.run(stall_timeout=2.0).outcomes == {AttemptOutcome.DONE: 1}


def test_a_page_that_killed_all_workers_before_is_left_out(world: World) -> None:
    seen: list[int] = []
    world.at_page = lambda _context, page: seen.append(page.index)
    volume = world.volume()
    world.send(volume)
    with world.database.transaction("tell of deaths") as connection:
        connection.execute("UPDATE jobs SET max_attempts = 2, max_page_error_rate = 0.5")
    for _ in range(2):
        world.store.ensure_task(world.store.job("toy"), volume)
        claim = world.store.claim(world.store.job("toy"), volume, worker_id="w", token=uuid4(), lease=60)
        assert isinstance(claim, Claim)
        world.store.stamp_manifest(claim, "etag", 100)
        flight = Flight(claim.task_id, claim.attempt, str(claim.token), str(volume), (1,))
        assert PgDeaths(world.of_workers or world.database).record(
            flight, failure_of(TaskFault("It died.", code="E_WORKER_OOM"), "run")
        )
        with world.database.transaction("forget the version") as connection:
            connection.execute("UPDATE tasks SET manifest_etag = NULL")
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert seen == [0, 2, 3]
    assert world.lengths(volume) == [1, None, 3, 4]
    found = world.success(volume)
    assert found
    errors = world.artefacts.read_rows(found, ["error_type"])["error_type"].to_pylist()
    assert errors[1] == "E_PAGE_KILLS_WORKER"


def test_a_worker_that_ends_with_its_work_soon_sends_lost_messages_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = world.volume()
    world.store.ensure_task(world.store.job("toy"), volume)
    world.store.mark_dispatched([TaskMessage("W1", "I1", "toy", world.source)])
    monkeypatch.setattr("bec_orch.core.life.worker_runtime._MISSED_AFTER", 0.0)
    assert world.run(redispatch_after=3600.0).outcomes == {AttemptOutcome.DONE: 1}
    assert world.success(volume)
