"""Three jobs, each of which needs the one before, over a hundred volumes, while one attempt in four fails."""

import queue
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.life.stop import StopReason
from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.records.backlog import RedriveFilter
from bec_orch.core.tasks import AttemptOutcome, TaskState
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import StorageError, TaskFault, TerminalError
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.overview import PgOverview
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.orch.overview import standing
from tests.integration.test_worker_runtime import Watching, World
from tests.support.jobs.plugin import install

JOBS = ("first", "second", "third")
VOLUMES = 100
WORKERS = 3
SEED = 20
FAULTS = (
    StorageError("The store is away."),
    TaskFault("It hung."),
    ValueError("a bug"),
    TerminalError("It is broken."),
)
PASSING, BREAKING = 0.25, 0.04
# Far more than it takes: what waits for ever fails the test here.
PATIENCE = 50.0


class Telling(Watching):
    """An observer that hands every end of an attempt to the test."""

    def __init__(self) -> None:
        super().__init__()
        self.told: queue.SimpleQueue[TaskEnd] = queue.SimpleQueue()

    def task_ended(self, end: TaskEnd) -> None:
        self.told.put(end)


class Dice:
    """Fails an attempt or not, the same ways for the same seed, whichever thread comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tries: Counter[tuple[str, str]] = Counter()
        self.read: list[tuple[str, str]] = []

    def at_page(self, context: JobContext, page: Page) -> None:
        """Read what the job needs, and then maybe fail."""
        for name, rows in context.dependencies.items():
            assert rows()["length"].to_pylist() == [1, 2], name
            self.read.append((context.job, name))
        if page.index == 1:
            self._throw(context.job, context.volume.i_id)

    def _throw(self, job: str, i_id: str) -> None:
        with self._lock:
            self._tries[job, i_id] += 1
            throw = f"{SEED} {job} {i_id} {self._tries[job, i_id]}"
        thrown = random.Random(throw).random()
        if thrown < PASSING:
            raise FAULTS[3 if thrown < BREAKING else int(thrown * 1000) % 3]


@pytest.fixture
def world(
    database: Database, worker_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.syspath_prepend(str(install(tmp_path / "plugins", {"toy": "tests.support.jobs.toy_job:ToyJob"})))
    world = World(tmp_path, database, worker_database, watching=Telling())
    admin = JobAdmin(PgJobs(database))
    for name, needs in zip(JOBS, ((), JOBS[:1], JOBS[:2]), strict=True):
        admin.create(name, "toy", {}, depends_on=needs, max_attempts=3)
    yield world
    world.queues.close()


@contextmanager
def working(world: World) -> Iterator[None]:
    """Let the workers of all jobs run until the block ends."""
    options = {"heartbeat_every": 5.0, "poll_wait": 0.5, "failures_in_a_row": 1000}
    workers = [world.worker(f"{job}-{number}", job=job, **options) for number in range(WORKERS) for job in JOBS]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop(StopReason.SHUTDOWN)
        for thread in threads:
            thread.join()


def look_after(world: World, told: "queue.SimpleQueue[TaskEnd]") -> Counter[AttemptOutcome]:
    """Redrive whatever fails for good, as an operator would, until every volume of every job is done."""
    redriver = Redriver(PgBacklog(world.database), PgQueues(world.database))  # an operator's, not a worker's
    ends: Counter[AttemptOutcome] = Counter()
    while ends[AttemptOutcome.DONE] < VOLUMES * len(JOBS):
        end = told.get(timeout=PATIENCE)
        ends[end.outcome] += 1
        if end.outcome is AttemptOutcome.TERMINAL_FAILED:
            volume = end.claim.volume
            assert redriver.redrive(end.claim.job.name, RedriveFilter(volume=(volume.w_id, volume.i_id))).reset == 1
    return ends


def look(world: World, statement: str) -> list[dict[str, Any]]:
    with world.database.transaction("look") as connection:
        return connection.execute(statement.encode()).fetchall()


EARLY = """
SELECT j.name, v.i_id FROM task_attempts a
JOIN tasks t ON t.id = a.task_id JOIN volumes v ON v.id = t.volume_id JOIN jobs j ON j.id = t.job_id
JOIN job_dependencies d ON d.job_id = t.job_id
WHERE NOT EXISTS (SELECT 1 FROM tasks needed WHERE needed.job_id = d.depends_on_id AND needed.volume_id = t.volume_id
                  AND needed.state = 'done' AND needed.finished_at <= a.started_at)
"""


@pytest.mark.timeout(90)
def test_everything_converges_and_no_dependant_starts_before_what_it_needs(world: World) -> None:
    dice = Dice()
    world.at_page = dice.at_page
    volumes = [world.volume(f"I{number:03}", pages=2) for number in range(VOLUMES)]
    assert isinstance(world.watching, Telling)
    with working(world):
        reports = [enqueue(world, job, volumes) for job in reversed(JOBS)]
        ends = look_after(world, world.watching.told)

    assert [(report.queued, report.waiting) for report in reports] == [(0, VOLUMES), (0, VOLUMES), (VOLUMES, 0)]
    graph = standing.graph(PgOverview(world.database))
    assert [(node.name, node.tasks) for node in graph] == [(job, {TaskState.DONE: VOLUMES}) for job in JOBS]
    assert look(world, EARLY) == []
    assert ends[AttemptOutcome.RETRYABLE_FAILED] > VOLUMES / 4
    assert ends[AttemptOutcome.TERMINAL_FAILED] > 0
    assert set(dice.read) == {("second", "first"), ("third", "first"), ("third", "second")}
    assert look(world, "SELECT count(*) AS n FROM task_attempts WHERE outcome = 'done'") == [{"n": VOLUMES * 3}]


def enqueue(world: World, job: str, volumes: list[VolumeRef]) -> Any:
    return Enqueuer(PgBacklog(world.database), world.queues).enqueue(job, volumes)
