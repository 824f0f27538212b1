"""The worker: polls the queue of one job, and takes each message through the life of a task (core/life/task_run.py)."""

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial

from bec_orch.core.life.housekeeping import Housekeeper, maintenance
from bec_orch.core.life.patience import Patience
from bec_orch.core.life.standings import Standing, TaskEnd
from bec_orch.core.life.stop import StopReason, WorkerStop
from bec_orch.core.life.task_run import task_runner
from bec_orch.core.life.worker_options import Workplace
from bec_orch.core.tasks import AttemptOutcome, Failure, WorkerInfo
from bec_orch.errors import (
    NOT_THERE,
    BecError,
    ConfigError,
    DatabaseRefused,
    QueueRefused,
    RetryableError,
    VolumeStalled,
)

logger = logging.getLogger(__name__)

# The pause after the queue or the database was found away: short enough to be back within 10 s of the outage's end.
_OUTAGE_PAUSE = 5.0
# Seconds between two looks whether the slots are done, or one has stalled.
_LOOK_EVERY = 0.5
# A worker that ends when all is done looks often whether the others are done, too.
_POLL_UNTIL_EMPTY = 1.0
# When its queue has had nothing for as long, what is queued has lost its messages.
_MISSED_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker did: attempts by outcome, why it stopped, how many tasks it left failed, and the last failure.

    Of the same size after five tasks and after five million: which tasks failed, and why, is in the database.
    """

    outcomes: Counter[AttemptOutcome] = field(default_factory=Counter)
    stop_reason: str = ""
    failed: int = 0
    last_failure: Failure | None = None


class Tally:
    """Counts the ends of tasks, and notices when a worker does nothing but fail. Thread-safe.

    Of a task that is at its end, nothing is kept but the count.
    """

    def __init__(self, failures_in_a_row: int) -> None:
        self._limit = failures_in_a_row
        self._lock = threading.Lock()
        self._outcomes: Counter[AttemptOutcome] = Counter()
        self._last_failure: Failure | None = None
        self._retries: Counter[int] = Counter()
        self._given_up: set[int] = set()
        self._failing: set[int] = set()

    def add(self, end: TaskEnd) -> None:
        """Count the end of an attempt."""
        task = end.claim.task_id
        with self._lock:
            self._outcomes[end.outcome] += 1
            self._last_failure = end.failure or self._last_failure
            if end.failure and end.failure.code in NOT_THERE:
                self._failing.add(task)
            elif end.outcome in {AttemptOutcome.DONE, AttemptOutcome.ADOPTED, AttemptOutcome.TERMINAL_FAILED}:
                self._failing.clear()
            if end.failure is None or end.outcome is AttemptOutcome.TERMINAL_FAILED:
                self._retries.pop(task, None)
                self._given_up.discard(task)
            else:
                self._note_retry(end)

    def _note_retry(self, end: TaskEnd) -> None:
        task, again = end.claim.task_id, end.outcome is AttemptOutcome.RETRYABLE_FAILED
        self._retries[task] += again
        if again:
            self._failing.add(task)
        if again and self._retries[task] >= end.claim.job.max_attempts:
            self._given_up.add(task)

    def black_hole(self) -> Failure | None:
        """Return the last failure when the last different tasks all failed for reasons that are not their own.

        That nothing is where it should be is one of them, though it may have ended the tasks: not of that many at once.
        """
        with self._lock:
            return self._last_failure if len(self._failing) >= self._limit else None

    def given_up(self) -> int:
        """Count the tasks that failed here as often as their job allows, and are not at their end yet."""
        with self._lock:
            return len(self._given_up)

    def report(self, stop_reason: str) -> WorkerReport:
        """Return what was counted."""
        with self._lock:
            failed = self._outcomes[AttemptOutcome.TERMINAL_FAILED] + len(self._retries)
            return WorkerReport(Counter(self._outcomes), stop_reason, failed, self._last_failure)


class BECWorker:
    """Takes tasks of one job and runs them, `slots` at a time, until it is stopped.

    Args:
        workplace: the job, who works for it, and with what.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._job, self._info, self._options = workplace.job, workplace.info, workplace.options
        self._store = workplace.outside.store
        self._job_workers = workplace.job_workers
        self._stop = WorkerStop(self._options.grace)
        self._queue = workplace.outside.queues(self._job.name)
        self._runner = task_runner(workplace, self._queue, self._stop)
        self._maintenance = maintenance(self._job, workplace.outside, self._options)
        self._housekeeper = Housekeeper(workplace, self._maintenance, self._end_stalled, self._end_deleted)
        self._tally = Tally(self._options.failures_in_a_row)
        self._crash: BaseException | None = None
        self._refused_since: float | None = None
        self._empty_since: float | None = None
        self._stalled = False

    def stop(self, reason: StopReason) -> None:
        """Ask for a graceful stop, from a signal handler or another thread. Asked twice, there is no grace."""
        self._stop.request(reason)

    def run(self, *, until_empty: bool = False) -> WorkerReport:
        """Work until stopped, or, `until_empty`, until the job has nothing left that this worker could do.

        Raises:
            ConfigError: the job's type, config or model cannot be loaded on this machine, or the job was deleted.
            StorageError: the destination is not there, or lacks all that was finished.
            VolumeStalled: no page of a volume was finished for too long; its thread is left behind.
        """
        with self._job_workers(self._job) as job_worker:
            # Loaded before the first claim, and kept: a machine that cannot run the job charges no task for it.
            info = replace(self._info, models=job_worker.models, code_version=job_worker.code_version)
            self._begin(info)
            with self._housekeeper:
                self._run_slots(until_empty=until_empty)
        self._sign_off()
        if self._crash:
            raise self._crash
        return self._tally.report(self._stop.words)

    def _begin(self, info: WorkerInfo) -> None:
        def begin() -> None:
            self._maintenance.check_destination()
            self._store.register_worker(info)

        Patience(self._options.outage_patience, lambda: self._stop.requested)(begin)

    def _run_slots(self, *, until_empty: bool) -> None:
        slots = [
            # Daemons: one that hangs in native code cannot be ended, and keeps no process from ending.
            threading.Thread(target=partial(self._slot, until_empty=until_empty), name=f"slot-{number}", daemon=True)
            for number in range(self._options.slots)
        ]
        for slot in slots:
            slot.start()
        while not self._stalled and any(slot.is_alive() for slot in slots):
            for slot in slots:
                slot.join(_LOOK_EVERY)
        if not self._stop.requested:
            self._stop.request(StopReason.EMPTY)

    def _end_stalled(self, stalled: list[Standing]) -> None:
        """End the worker because of tasks that stand still: nothing less ends a call that hangs."""
        volume, pages = str(stalled[0].claim.volume), stalled[0].in_work
        logger.error("worker.stalled", extra={"volume": volume, "pages": pages})
        self._crash = self._crash or VolumeStalled(volume, pages, self._options.stall_timeout)
        self._stalled = True
        self._stop.request(StopReason.STALLED)

    def _end_deleted(self) -> None:
        """End the worker because its job was deleted: another one of the name would lose its messages to this one."""
        if self._stop.requested:
            return
        logger.error("worker.job_deleted", extra={"job": self._job.name})
        self._crash = self._crash or ConfigError(
            f"The job {self._job.name} was deleted while this worker worked for it.",
            code="E_JOB_DELETED",
            hint="`bec jobs list` shows the jobs. A worker that is started now works for the one that has its name.",
        )
        self._stop.request(StopReason.REFUSED, "E_JOB_DELETED")

    def _slot(self, *, until_empty: bool) -> None:
        try:
            # Each slot ends by itself: another one may have received the last message, whose task is not there yet.
            while not self._stop.requested and self._turn(until_empty=until_empty):
                pass
        except BaseException as error:  # noqa: BLE001  (a bug in one slot must end the whole worker, and be seen)
            self._crash = error
            if isinstance(error, BecError):
                self._stop.request(StopReason.REFUSED, error.code)
            else:
                self._stop.request(StopReason.CRASH)

    def _turn(self, *, until_empty: bool) -> bool:
        """Take a message, if there is one, and return whether there may be more to do."""
        try:
            if not until_empty:
                self._poll(self._options.poll_wait)
            elif not self._poll(0) or self._tally.given_up():
                return self._waited_for_more()
        except DatabaseRefused:
            # Somebody must see to it: a worker that waited would look alive, and do nothing.
            raise
        except QueueRefused as error:
            if self._refusal_lasts():
                raise
            self._pause(error)
        except RetryableError as error:
            self._pause(error)
        return True

    def _refusal_lasts(self) -> bool:
        now = time.monotonic()
        since = self._refused_since = self._refused_since or now
        return now - since >= self._options.refusal_patience

    def _pause(self, error: RetryableError) -> None:
        logger.warning("worker.outage", extra={"code": error.code, "why": error.message})
        self._stop.wait(_OUTAGE_PAUSE)

    def _poll(self, wait: float) -> bool:
        received = self._queue.receive(limit=1, wait=wait, visibility=self._options.lease)
        self._refused_since = None
        self._empty_since = None if received else self._empty_since or time.monotonic()
        for message in received:
            if self._stop.requested:
                self._queue.change_visibility(message.receipt, 0)
                continue
            end = self._runner.handle(message)
            if end:
                self._count(end)
        return bool(received)

    def _count(self, end: TaskEnd) -> None:
        self._tally.add(end)
        last = self._tally.black_hole()
        if last:
            told = {"code": last.code, "why": last.message, "hint": last.hint}
            logger.error("worker.black_hole", extra=told)
            self._stop.request(StopReason.FAILING, last.code)

    def _waited_for_more(self) -> bool:
        """Wait for messages of what is left to do; return False when nothing is."""
        now = time.monotonic()
        missed = now - (self._empty_since or now) >= _MISSED_AFTER
        dispatched = self._maintenance.dispatch(_MISSED_AFTER if missed else None)
        if not dispatched and self._store.unfinished(self._job) <= self._tally.given_up():
            return False
        self._poll(_POLL_UNTIL_EMPTY)
        return True

    def _sign_off(self) -> None:
        try:
            self._store.stop_worker(self._info.id, self._stop.words)
        except RetryableError as error:
            logger.warning("worker.sign_off_failed", extra={"code": error.code})
