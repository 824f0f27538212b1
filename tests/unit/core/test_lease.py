"""The lease keeps a task ours, and tells in time when it is not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from bec_orch.core.life.lease import Lease
from bec_orch.core.life.standings import Standings
from bec_orch.core.life.stop import StopReason, TaskStop, WorkerStop
from bec_orch.core.tasks import Claim, Job
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import DatabaseError, Interrupted, LeaseLost, QueueError, ReceiptExpired

if TYPE_CHECKING:
    from bec_orch.core.ports.queues import TaskQueue
    from bec_orch.core.ports.task_store import TaskStore

CLAIM = Claim(
    task_id=7,
    attempt=1,
    token=uuid4(),
    job=Job(1, "ldv1", "ldv1", {}, "0" * 16),
    volume=VolumeRef("W1", "I1", "folder+memory:///"),
    manifest_etag=None,
    force=False,
    charged=0,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Answers each renewal with the next of the given answers; repeats the last one."""

    def __init__(self, *answers: bool | Exception) -> None:
        self._answers = list(answers)
        self.renewals = 0
        self.renewed = threading.Semaphore(0)

    def renew(self, claim: Claim, lease: float) -> bool:
        assert (claim, lease) == (CLAIM, LEASE)
        self.renewals += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.renewed.release()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Queue:
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.extended: list[tuple[str, float]] = []
        self.called = threading.Semaphore(0)

    def change_visibility(self, receipt: str, seconds: float) -> None:
        self.extended.append((receipt, seconds))
        self.called.release()
        if self._error:
            raise self._error


# Renewed every 10 ms: the tests wait for renewals, not for time.
LEASE = 0.04


def lease_of(store: Store, queue: Queue, clock: Any) -> Lease:
    return Lease(
        CLAIM,
        cast("TaskStore", store),
        cast("TaskQueue", queue),
        "receipt",
        seconds=LEASE,
        claimed_at=clock(),
        clock=clock,
    )


def wait_for(semaphore: threading.Semaphore, times: int) -> None:
    for _ in range(times):
        assert semaphore.acquire(timeout=5)


def test_a_renewed_lease_moves_its_deadline_and_hides_the_message() -> None:
    clock, store, queue = Clock(), Store(True), Queue()
    with lease_of(store, queue, clock) as lease:
        clock.now += LEASE / 2
        # Two more, so that the renewal after the clock moved is finished.
        wait_for(queue.called, 3)
        clock.now += LEASE / 2
        assert not lease.lost
    assert queue.extended[0] == ("receipt", LEASE)


def test_a_lease_is_lost_a_quarter_before_its_end_when_nothing_renews_it() -> None:
    clock = Clock()
    lease = lease_of(Store(True), Queue(), clock)
    clock.now += LEASE * 0.74
    assert not lease.lost
    clock.now += LEASE * 0.02
    assert lease.lost


def test_the_deadline_is_counted_from_before_the_renewal_was_sent() -> None:
    clock = Clock()

    class Slow(Store):
        def renew(self, claim: Claim, lease: float) -> bool:
            clock.now += LEASE / 2
            return super().renew(claim, lease)

    lease = lease_of(Slow(True), Queue(), clock)
    lease._renew()
    clock.now += LEASE * 0.24
    assert not lease.lost
    clock.now += LEASE * 0.02
    assert lease.lost


def test_a_superseded_attempt_is_lost_at_once_and_is_not_renewed_again() -> None:
    store = Store(False)
    with lease_of(store, Queue(), Clock()) as lease:
        wait_for(store.renewed, 1)
        lease._thread.join(timeout=5)
        assert lease.lost
    assert store.renewals == 1


def test_an_outage_is_survived_when_a_renewal_succeeds_before_anybody_took_the_task() -> None:
    clock, store, queue = Clock(), Store(DatabaseError("away"), DatabaseError("away"), True), Queue()
    with lease_of(store, queue, clock) as lease:
        clock.now += LEASE
        assert lease.lost
        wait_for(queue.called, 2)
        assert not lease.lost


@pytest.mark.parametrize("error", [ReceiptExpired("gone"), QueueError("away")])
def test_a_lost_message_does_not_lose_the_lease(error: Exception) -> None:
    clock, store, queue = Clock(), Store(True), Queue(error)
    with lease_of(store, queue, clock) as lease:
        wait_for(store.renewed, 3)
        assert not lease.lost
    expected = 1 if isinstance(error, ReceiptExpired) else 2
    assert len(queue.extended) >= expected
    assert isinstance(error, QueueError) or len(queue.extended) == 1


def test_the_task_stops_when_the_lease_is_lost() -> None:
    clock = Clock()
    lease = lease_of(Store(True), Queue(), clock)
    stop = TaskStop(CLAIM, lease, WorkerStop(10, clock), Standings(clock), clock)
    stop.check()
    clock.now += LEASE
    assert stop.reason() is StopReason.LEASE_LOST
    with pytest.raises(LeaseLost):
        stop.check()


def test_a_task_that_began_to_stop_has_stopped_whatever_is_renewed_then() -> None:
    clock = Clock()
    lease = lease_of(Store(True), Queue(), clock)
    stop = TaskStop(CLAIM, lease, WorkerStop(10, clock), Standings(clock), clock)
    clock.now += LEASE
    assert stop.reason() is StopReason.LEASE_LOST
    lease._renew()
    assert not lease.lost
    with pytest.raises(LeaseLost):
        stop.check()


class Held:
    lost = False


@contextmanager
def task_stop(worker: WorkerStop, clock: Clock) -> Iterator[tuple[TaskStop, Callable[[int, int], None]]]:
    """A task that runs: its stop signal, and what notes how many of its pages have a row."""
    standings = Standings(clock)
    with standings.attempt(CLAIM):
        yield TaskStop(CLAIM, cast("Lease", Held()), worker, standings, clock), partial(standings.progress, CLAIM)


def test_a_task_that_fits_the_grace_period_is_finished() -> None:
    clock = Clock()
    worker = WorkerStop(100, clock)
    with task_stop(worker, clock) as (stop, progress):
        progress(10, 40)
        clock.now += 30
        progress(20, 40)
        worker.request(StopReason.SHUTDOWN)
        # 10 pages took 30 s, so 20 more take 60 s: that is less than 80 of the 100 s.
        stop.check()
        assert stop.reason() is None


def test_a_task_that_does_not_fit_stops_at_the_page_boundary() -> None:
    clock = Clock()
    worker = WorkerStop(70, clock)
    with task_stop(worker, clock) as (stop, progress):
        progress(10, 40)
        clock.now += 30
        progress(20, 40)
        worker.request(StopReason.SHUTDOWN)
        with pytest.raises(Interrupted, match="shutdown"):
            stop.check()


def test_a_task_that_began_to_stop_has_stopped_however_quick_its_last_pages_are() -> None:
    clock = Clock()
    worker = WorkerStop(70, clock)
    with task_stop(worker, clock) as (stop, progress):
        progress(10, 40)
        clock.now += 30
        progress(20, 40)
        worker.request(StopReason.SHUTDOWN)
        assert stop.reason() is StopReason.SHUTDOWN
        progress(39, 40)
        with pytest.raises(Interrupted, match="shutdown"):
            stop.check()


def test_pages_of_earlier_attempts_do_not_make_a_task_look_fast() -> None:
    clock = Clock()
    worker = WorkerStop(100, clock)
    with task_stop(worker, clock) as (stop, progress):
        progress(39, 40)
        worker.request(StopReason.SHUTDOWN)
        assert stop.reason() is StopReason.SHUTDOWN


def test_a_second_request_takes_the_grace_away_and_keeps_the_first_reason() -> None:
    clock = Clock()
    worker = WorkerStop(100, clock)
    worker.request(StopReason.SHUTDOWN)
    assert worker.time_left() == 100
    worker.request(StopReason.SPOT)
    assert worker.time_left() == 0
    assert worker.reason is StopReason.SHUTDOWN
    assert worker.wait(0)
