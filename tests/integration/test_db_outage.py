"""A database that goes away: workers wait, keep what they have, and every volume is done once and computed once."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from bec_orch.core.life.stop import StopReason
from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.tasks import AttemptOutcome, Claim, WorkerInfo
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import DatabaseError
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.orch.backlog.enqueue import Enqueuer
from tests.integration.test_worker_runtime import PAGES, World, fail_times
from tests.support.servers.tcp_faults import TcpFaults, tcp_faults

OUTAGE = 2.0
CLAIM = b"INSERT INTO task_attempts"
RENEWAL = b"SET lease_expires_at"
DONE = b"SET state = 'done'"
FAILED = b"SET state = $1, charged = $2"
GIVEN_BACK = b"SET state = 'queued', lease_expires_at = NULL, dispatched_at"


@pytest.fixture
def network(conninfo: str) -> Iterator[TcpFaults]:
    folder = psycopg.conninfo.conninfo_to_dict(conninfo)["host"]
    with tcp_faults(f"{folder}/.s.PGSQL.5432") as network:
        yield network


@pytest.fixture
def remote(network: TcpFaults, conninfo: str) -> Iterator[Database]:
    """The database as it is seen through the network."""
    through = psycopg.conninfo.make_conninfo(conninfo, host="127.0.0.1", port=network.port)
    with Database(through, wait=1.0, answer_within=1.0) as database:
        yield database


@pytest.fixture
def world(remote: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("bec_orch.core.life.worker_runtime._OUTAGE_PAUSE", 0.5)
    world = World(tmp_path, remote, options={"outage_patience": 30.0})
    world.create_job()
    yield world
    world.queues.close()


def outage(network: TcpFaults, kind: str) -> threading.Timer:
    """Begin an outage; returns the timer that ends it."""
    getattr(network, kind)()
    end = threading.Timer(OUTAGE, network.restore)
    end.start()
    return end


class Seen:
    """Notes the pages that are computed, and calls `then` at one of them, once."""

    def __init__(self, index: int, then: Callable[[], object]) -> None:
        self.pages: list[int] = []
        self._index = index
        self._then = then
        self._called = False

    def __call__(self, _context: JobContext, page: Page) -> None:
        self.pages.append(page.index)
        if page.index == self._index and not self._called:
            self._called = True
            self._then()


def check_done_once(world: World, volume: VolumeRef) -> None:
    assert world.tasks("state, attempt, charged") == [{"state": "done", "attempt": 1, "charged": 0}]
    assert world.attempts() == ["done"]
    assert world.lengths(volume) == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["refuse", "reset", "swallow"])
class TestOutage:
    def test_while_a_volume_is_computed(self, world: World, network: TcpFaults, kind: str) -> None:
        volume = world.volume()

        def away() -> None:
            outage(network, kind).join()

        world.at_page = seen = Seen(1, away)
        world.send(volume)
        assert world.run().outcomes == {AttemptOutcome.DONE: 1}
        assert seen.pages == [0, 1, 2, 3]
        check_done_once(world, volume)

    def test_when_a_volume_is_finished(self, world: World, network: TcpFaults, kind: str) -> None:
        volume = world.volume()
        world.at_page = seen = Seen(PAGES - 1, lambda: outage(network, kind))
        world.send(volume)
        assert world.run().outcomes == {AttemptOutcome.DONE: 1}
        assert seen.pages == [0, 1, 2, 3]
        check_done_once(world, volume)

    def test_while_a_worker_looks_for_work(self, world: World, network: TcpFaults, kind: str) -> None:
        volume = world.volume()
        worker = world.worker(poll_wait=0.2)
        thread = threading.Thread(target=worker.run)
        thread.start()
        outage(network, kind).join()
        restored = time.monotonic()
        world.send(volume)
        while not world.watching.ends:
            time.sleep(0.01)
            assert time.monotonic() - restored < 10
        worker.stop(StopReason.SHUTDOWN)
        thread.join(10)
        check_done_once(world, volume)

    def test_before_the_first_word(self, world: World, network: TcpFaults, kind: str) -> None:
        volume = world.volume()
        world.send(volume)
        worker = world.worker()
        outage(network, kind)
        assert worker.run(until_empty=True).outcomes == {AttemptOutcome.DONE: 1}
        check_done_once(world, volume)


@pytest.mark.parametrize("after", [CLAIM, DONE], ids=["claim", "done"])
def test_a_commit_whose_acknowledgement_is_lost_is_made_once(world: World, network: TcpFaults, after: bytes) -> None:
    volume = world.volume()
    world.send(volume)
    network.lose_commit_after = after
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert network.lost.is_set()
    check_done_once(world, volume)


def test_a_failure_whose_acknowledgement_is_lost_is_charged_once(world: World, network: TcpFaults) -> None:
    world.at_page = fail_times(OSError("odd"), 1)
    world.send(world.volume())
    network.lose_commit_after = FAILED
    assert world.run().outcomes == {AttemptOutcome.RETRYABLE_FAILED: 1, AttemptOutcome.DONE: 1}
    assert network.lost.is_set()
    assert world.attempts() == ["retryable_failed", "done"]
    assert world.tasks("charged") == [{"charged": 1}]


def test_a_stop_whose_acknowledgement_is_lost_gives_the_task_back_once(world: World, network: TcpFaults) -> None:
    volume, worker = world.volume(), world.worker()

    def stop() -> None:
        network.lose_commit_after = GIVEN_BACK
        worker.stop(StopReason.SHUTDOWN)

    world.at_page = Seen(1, stop)
    world.send(volume)
    assert worker.run().outcomes == {AttemptOutcome.INTERRUPTED: 1}
    assert network.lost.is_set()
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert world.attempts() == ["interrupted", "done"]
    assert world.tasks("charged") == [{"charged": 0}]


def test_a_renewal_whose_acknowledgement_is_lost_does_no_harm(world: World, network: TcpFaults) -> None:
    volume = world.volume()

    def lose() -> None:
        network.lose_commit_after = RENEWAL
        assert network.lost.wait(10)

    world.at_page = Seen(1, lose)
    world.send(volume)
    assert world.run(lease=4.0).outcomes == {AttemptOutcome.DONE: 1}
    check_done_once(world, volume)


def test_an_enqueueing_whose_acknowledgement_is_lost_is_done_again_to_the_same_end(
    world: World, network: TcpFaults
) -> None:
    volumes = [world.volume(f"I{n}") for n in range(5)]
    enqueuer = Enqueuer(PgBacklog(world.database), world.queues)
    network.lose_commit_after = b"INSERT INTO tasks"
    with pytest.raises(DatabaseError):
        enqueuer.enqueue("toy", volumes)
    assert network.lost.is_set()
    report = enqueuer.enqueue("toy", volumes)
    assert (report.already_unfinished, report.sent) == (5, 5)
    assert world.run().outcomes == {AttemptOutcome.DONE: 5}


def test_a_worker_that_should_stop_does_not_wait_for_the_database(world: World, network: TcpFaults) -> None:
    world.send(world.volume())
    worker = world.worker(outage_patience=2.0, poll_wait=0.2)
    thread = threading.Thread(target=worker.run)
    thread.start()
    while not world.watching.ends:
        time.sleep(0.01)
    network.refuse()
    begun = time.monotonic()
    worker.stop(StopReason.SHUTDOWN)
    thread.join(20)
    assert time.monotonic() - begun < 10


def test_a_worker_that_should_stop_does_not_wait_with_its_result_either(world: World, network: TcpFaults) -> None:
    volume, worker = world.volume(), world.worker()
    begun = []

    def away() -> None:
        network.refuse()
        begun.append(time.monotonic())
        threading.Timer(1.0, worker.stop, ["SIGTERM"]).start()

    world.at_page = Seen(PAGES - 1, away)
    world.send(volume)
    worker.run()
    assert 1.0 <= time.monotonic() - begun[0] < 15, "its patience is 30 s"
    assert world.watching.outcomes == [AttemptOutcome.INTERRUPTED]
    network.restore()
    assert world.tasks() == [{"state": "running"}], "until its lease runs out"


def test_a_worker_that_should_stop_waits_as_long_as_its_grace(world: World, network: TcpFaults) -> None:
    volume, worker = world.volume(), world.worker(grace=20.0)

    def away() -> None:
        outage(network, "refuse")
        worker.stop(StopReason.SHUTDOWN)

    world.at_page = Seen(PAGES - 1, away)
    world.send(volume)
    assert worker.run().outcomes == {AttemptOutcome.DONE: 1}
    check_done_once(world, volume)


class Fleet:
    """Two workers, each with a network of its own to the one database, and leases of a few seconds."""

    LEASE = 8.0

    def __init__(self, here: World, there: World, networks: tuple[TcpFaults, TcpFaults], conninfo: str) -> None:
        self.first, self.second = here, there
        self.networks = networks
        self._conninfo = conninfo
        for world in (here, there):
            world.store = PgTasks(world.database, default_source=here.source, outage_grace=self.LEASE / 2)
            world.options |= {"lease": self.LEASE, "heartbeat_every": 0.1, "maintenance_every": 0.2, "poll_wait": 0.2}
            world.artefacts, world.source = here.artefacts, here.source

    def ask(self, question: bytes, *values: object) -> Any:
        """Ask the database itself, past the networks."""
        with psycopg.connect(self._conninfo) as connection:
            row = connection.execute(question, values).fetchone()
        return row[0] if row else None

    def until(self, question: bytes, *values: object) -> None:
        give_up = time.monotonic() + 60
        while not self.ask(question, *values):
            assert time.monotonic() < give_up, question
            time.sleep(0.05)


@pytest.fixture
def fleet(
    world: World, network: TcpFaults, conninfo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    monkeypatch.setattr("bec_orch.core.life.worker_runtime._OUTAGE_PAUSE", 0.2)
    folder = psycopg.conninfo.conninfo_to_dict(conninfo)["host"]
    (tmp_path / "there").mkdir()
    with tcp_faults(f"{folder}/.s.PGSQL.5432") as other:
        through = psycopg.conninfo.make_conninfo(conninfo, host="127.0.0.1", port=other.port)
        with Database(through, wait=1.0, answer_within=1.0) as database:
            there = World(tmp_path / "there", database, options=dict(world.options))
            yield Fleet(world, there, (network, other), conninfo)
            there.queues.close()


def test_who_is_back_first_after_a_long_outage_does_not_take_the_others_for_dead(fleet: Fleet) -> None:
    volume = fleet.first.volume()
    busy, back = threading.Event(), threading.Event()

    def hold(_context: JobContext, page: Page) -> None:
        if page.index == 1 and not busy.is_set():
            busy.set()
            assert back.wait(60)

    fleet.first.at_page = hold
    owner, other = fleet.first.worker("owner"), fleet.second.worker("other")
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in (owner, other)]
    fleet.first.send(volume)
    threads[0].start()
    assert busy.wait(30)
    threads[1].start()
    fleet.until(b"SELECT count(*) = 2 FROM workers WHERE heartbeat_at > started_at")

    for network in fleet.networks:
        network.refuse()
    fleet.until(b"SELECT lease_expires_at < clock_timestamp() FROM tasks")
    fleet.until(b"SELECT max(heartbeat_at) < clock_timestamp() - interval '5 s' FROM workers")
    restored = fleet.ask(b"SELECT clock_timestamp()")
    fleet.networks[1].restore()
    fleet.until(b"SELECT heard_since > %s FROM workers WHERE id = 'other'", restored)
    assert fleet.second.store.undispatched(fleet.second.store.job("toy"), limit=9, redispatch_after=900) == []
    assert fleet.ask(b"SELECT state || charged FROM tasks") == "running0"
    fleet.networks[0].restore()
    back.set()
    fleet.until(b"SELECT state = 'done' FROM tasks")
    for worker, thread in zip((owner, other), threads, strict=True):
        worker.stop(StopReason.SHUTDOWN)
        thread.join(30)
    assert fleet.ask(b"SELECT charged FROM tasks") == 0
    assert fleet.ask(b"SELECT count(*) FROM task_attempts WHERE charged") == 0
    assert fleet.first.lengths(volume) == [1, 2, 3, 4]


def test_who_does_not_come_back_after_an_outage_is_taken_for_dead(fleet: Fleet) -> None:
    volume = fleet.first.volume()
    job = fleet.first.store.job("toy")
    fleet.first.send(volume)
    fleet.first.store.register_worker(WorkerInfo("dead", job.id, "host", 1, "0"))
    fleet.first.store.ensure_task(job, volume)
    claim = fleet.first.store.claim(job, volume, worker_id="dead", token=uuid4(), lease=0.1)
    assert isinstance(claim, Claim)
    worker = fleet.second.worker("other")
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    fleet.until(b"SELECT state = 'done' FROM tasks")
    worker.stop(StopReason.SHUTDOWN)
    thread.join(30)
    assert fleet.ask(b"SELECT charged FROM tasks") == 1
    waited = b"SELECT extract(epoch FROM a.ended_at - w.started_at) FROM task_attempts a, workers w "
    assert fleet.ask(waited + b"WHERE a.outcome = 'lease_lost' AND w.id = 'other'") >= fleet.LEASE / 2


def test_an_answer_that_never_comes_is_not_waited_for(network: TcpFaults, remote: Database) -> None:
    with remote.transaction("begin") as connection:
        connection.execute("SELECT 1")
    network.swallow()
    begun = time.monotonic()
    with pytest.raises(DatabaseError) as caught, remote.transaction("ask") as connection:
        connection.execute("SELECT 1")
    assert caught.value.code == "E_DB_AWAY"
    assert time.monotonic() - begun < 15


def test_an_answer_that_stays_out_within_a_transaction_ends_it(network: TcpFaults, remote: Database) -> None:
    def ask() -> None:
        with remote.transaction("ask") as connection:
            connection.execute("SELECT 1")
            network.swallow()
            connection.execute("SELECT 1")

    begun = time.monotonic()
    with pytest.raises(DatabaseError, match="no answer within 1 s"):
        ask()
    assert time.monotonic() - begun < 5
    network.restore()
    with remote.transaction("ask again") as connection:
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
