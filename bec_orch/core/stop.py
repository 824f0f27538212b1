"""Stopping: why a task should end early, and when."""

import threading
import time
from collections.abc import Callable

from bec_orch.core.lease import Lease
from bec_orch.errors import Interrupted, LeaseLost

LEASE_LOST = "lease_lost"

# A task may finish if it would be done in this share of what is left of the grace period: the commit needs the rest.
_COMMIT_SHARE = 0.8


class WorkerStop:
    """Whether the whole worker should end. Set once, from a signal handler or another thread; read by everybody.

    `grace` is in seconds from the moment of the request; a second request takes the grace away.
    """

    def __init__(self, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._event = threading.Event()
        self._deadline = float("inf")
        self.reason: str | None = None

    def request(self, reason: str) -> None:
        """Ask for the end, with a reason for the log; asked again, ends the grace period."""
        now = self._clock()
        self._deadline = now if self.reason else now + self._grace
        self.reason = self.reason or reason
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether an end was asked for."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`, or until an end is asked for; tells whether it is."""
        return self._event.wait(seconds)

    def time_left(self) -> float:
        """Give the seconds until the grace period ends; infinite while no end was asked for."""
        return self._deadline - self._clock()

    @property
    def over(self) -> bool:
        """Whether an end was asked for and its grace period is over: nothing is waited for any more."""
        return self.time_left() <= 0


class TaskStop:
    """The stop signal of one task: its lease, and the worker's end as far as the task would not finish in time."""

    def __init__(self, lease: Lease, worker: WorkerStop, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._worker = worker
        self._clock = clock
        self._begun = clock()
        self._done_at_begin: int | None = None
        self._done = 0
        self._total = 0
        self._told: str | None = None

    def progress(self, done: int, total: int) -> None:
        """Take note of the pages that have a row; the first note counts what earlier attempts had done."""
        if self._done_at_begin is None:
            self._done_at_begin = done
        self._done, self._total = done, total

    def reason(self) -> str | None:
        """Give None to go on, or why to stop at the next page boundary.

        Once told it stays so, also where the lease is renewed after all, or the last pages were quicker than those
        before them: the job has begun to stop, and leaves pages undone.
        """
        self._told = self._told or self._reason_now()
        return self._told

    def _reason_now(self) -> str | None:
        if self._lease.lost:
            return LEASE_LOST
        if self._worker.requested and not self._fits_grace():
            return self._worker.reason
        return None

    @property
    def over(self) -> bool:
        """Whether the worker must end now, and waits for nothing any more."""
        return self._worker.over

    def check(self) -> None:
        """Raise what the reason calls for."""
        reason = self.reason()
        if reason == LEASE_LOST:
            raise LeaseLost("The lease was lost: another worker may have the task.")
        if reason:
            raise Interrupted(f"Stopped at a page boundary: {reason}.")

    def _fits_grace(self) -> bool:
        done_here = self._done - (self._done_at_begin or 0)
        if done_here == 0:
            return False
        seconds_per_page = (self._clock() - self._begun) / done_here
        return seconds_per_page * (self._total - self._done) < self._worker.time_left() * _COMMIT_SHARE
