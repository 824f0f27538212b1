"""Stopping: why a task should end early, and when."""

import threading
import time
from collections.abc import Callable
from enum import StrEnum

from typing_extensions import override

from bec_orch.core.life.lease import Lease
from bec_orch.core.life.standings import Standings
from bec_orch.core.ports.job_worker import StopSignal
from bec_orch.core.tasks import Claim
from bec_orch.errors import Interrupted, LeaseLost

# A task may finish if it would be done in this share of what is left of the grace period: the commit needs the rest.
_COMMIT_SHARE = 0.8


class StopReason(StrEnum):
    """Why a worker ends, or a task before it is done."""

    EMPTY = "empty"
    """Nothing is left that the worker could do."""
    SHUTDOWN = "shutdown"
    """A signal asked for it."""
    SPOT = "spot"
    """EC2 takes the machine back."""
    REBALANCE = "rebalance"
    """EC2 is likely to take the machine back."""
    SCALE_IN = "scale_in"
    """The machine's group does not need it any more."""
    FAILING = "failing"
    """Everything fails on this machine."""
    REFUSED = "refused"
    """Something refuses until somebody sees to it."""
    STALLED = "stalled"
    """No page of a volume is finished."""
    CRASH = "crash"
    """A bug of the worker itself."""
    LEASE_LOST = "lease_lost"
    """The task may be another worker's by now."""


class WorkerStop:
    """Whether the whole worker should end. Set once, from a signal handler or another thread; read by everybody.

    `grace` is in seconds from the moment of the request; a second request takes the grace away.
    """

    def __init__(self, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._event = threading.Event()
        self._deadline = float("inf")
        self.reason: StopReason | None = None
        self.words = ""

    def request(self, reason: StopReason, code: str = "") -> None:
        """Ask for the end, for a reason, and the code of the failure behind it; asked again, ends the grace period."""
        now = self._clock()
        self._deadline = now if self.reason else now + self._grace
        if self.reason is None:
            self.reason, self.words = reason, f"{reason}: {code}" if code else str(reason)
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether an end was asked for."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`, or until an end is asked for; return whether it is."""
        return self._event.wait(seconds)

    def time_left(self) -> float:
        """Return the seconds until the grace period ends; infinite while no end was asked for."""
        return self._deadline - self._clock()

    @property
    def over(self) -> bool:
        """Whether an end was asked for and its grace period is over: nothing is waited for any more."""
        return self.time_left() <= 0


class TaskStop(StopSignal):
    """The stop signal of one task: its lease, and the worker's end as far as the task would not finish in time."""

    def __init__(
        self,
        claim: Claim,
        lease: Lease,
        worker: WorkerStop,
        standings: Standings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claim = claim
        self._lease = lease
        self._worker = worker
        self._standings = standings
        self._clock = clock
        self._begun = clock()
        self._answer: StopReason | None = None

    @override
    def reason(self) -> StopReason | None:
        """Return None to go on, or why to stop at the next page boundary.

        Once given, the answer stays, even where the lease is renewed after all, or the last pages were quicker than
        those before them: the job has begun to stop, and leaves pages undone.
        """
        self._answer = self._answer or self._reason_now()
        return self._answer

    def _reason_now(self) -> StopReason | None:
        if self._lease.lost:
            return StopReason.LEASE_LOST
        if self._worker.requested and not self._fits_grace():
            return self._worker.reason
        return None

    @override
    def check(self) -> None:
        reason = self.reason()
        if reason is StopReason.LEASE_LOST:
            raise LeaseLost("The lease was lost: another worker may have the task.")
        if reason:
            raise Interrupted(f"Stopped at a page boundary: {self._worker.words}.")

    def _fits_grace(self) -> bool:
        standing = self._standings.of(self._claim)
        if standing is None or standing.done_here == 0:
            return False
        seconds_per_page = (self._clock() - self._begun) / standing.done_here
        left = standing.total - (standing.done or 0)
        return seconds_per_page * left < self._worker.time_left() * _COMMIT_SHARE
