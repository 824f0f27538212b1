"""Behind a pooler that gives each transaction another session, everything works as without it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from bec_orch.core.tasks import AttemptOutcome, Claim
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver
from tests.integration.test_worker_runtime import World, fail_times
from tests.support.servers.pooler import Pooler, pooler

VOLUMES = 8


@pytest.fixture
def pooled(conninfo: str) -> Iterator[Pooler]:
    folder = psycopg.conninfo.conninfo_to_dict(conninfo)["host"]
    with pooler(f"{folder}/.s.PGSQL.5432") as running:
        yield running


@pytest.fixture
def world(pooled: Pooler, conninfo: str, tmp_path: Path) -> Iterator[World]:
    through = psycopg.conninfo.make_conninfo(conninfo, host="127.0.0.1", port=pooled.port)
    with Database(through, connections=12) as database:
        world = World(tmp_path, database)
        world.create_job()
        yield world
        world.queues.close()


def test_two_transactions_of_one_connection_run_in_two_sessions(world: World, pooled: Pooler) -> None:
    pids = set()
    with world.database.connect("look") as connection:
        for _ in range(6):
            row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
            assert row
            pids.add(row["pid"])
    assert len(pids) == 3
    assert pooled.swaps >= 5


def test_volumes_are_enqueued_done_and_done_again(world: World, pooled: Pooler) -> None:
    volumes = [world.volume(f"I{n}", 2) for n in range(VOLUMES)]
    enqueuer = Enqueuer(PgBacklog(world.database), world.queues)
    assert enqueuer.enqueue("toy", volumes).sent == VOLUMES
    workers = [world.worker(f"worker-{n}", slots=2) for n in range(2)]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda worker: worker.run(until_empty=True), workers))
    assert sum(report.outcomes[AttemptOutcome.DONE] for report in reports) == VOLUMES
    assert world.attempts() == ["done"] * VOLUMES
    assert enqueuer.enqueue("toy", volumes).skipped_done == VOLUMES
    assert pooled.swaps > pooled.transactions / 3


def test_a_failed_volume_is_redriven(world: World) -> None:
    world.at_page = fail_times(KeyError("odd"), 3)
    volume = world.volume()
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", [volume])
    world.run()
    assert world.tasks() == [{"state": "terminal_failed"}]
    report = Redriver(PgBacklog(world.database), world.queues).redrive("toy")
    assert (report.reset, report.moved) == (1, 1)
    world.run()
    assert world.tasks() == [{"state": "done"}]


def test_of_many_claimers_one_wins(world: World) -> None:
    job, volume = world.store.job("toy"), world.volume()
    world.store.ensure_task(job, volume)

    def claim(number: int) -> object:
        return world.store.claim(job, volume, worker_id=f"w{number}", token=uuid4(), lease=60)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(claim, range(8)))
    assert sum(isinstance(answer, Claim) for answer in answers) == 1


def test_a_long_poll_ends_with_the_message_though_nobody_is_woken(world: World) -> None:
    queue = world.queues("toy")
    waiting: list[int] = []
    thread = threading.Thread(target=lambda: waiting.append(len(queue.receive(limit=1, wait=2.0, visibility=60))))
    thread.start()
    world.send(world.volume())
    thread.join(10)
    assert waiting == [1]
