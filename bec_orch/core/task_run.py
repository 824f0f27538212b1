"""One delivery of a message, taken through the life of a task: resolve, claim, attempt, acknowledge."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from bec_orch.core.attempt import Attempt
from bec_orch.core.failures import failure_of
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.lease import Lease
from bec_orch.core.messages import parse_message
from bec_orch.core.models import (
    AttemptOutcome,
    Claim,
    ClaimRefused,
    Failure,
    ReceivedMessage,
    Refusal,
    TaskMessage,
    TaskResult,
    TaskState,
    VolumeRef,
)
from bec_orch.core.patience import patiently
from bec_orch.core.queue_ports import TaskQueue
from bec_orch.core.runtime_parts import TaskEnd, WorkerParts
from bec_orch.core.stop import TaskStop, WorkerStop
from bec_orch.errors import (
    DatabaseError,
    DatabaseRefused,
    Interrupted,
    LeaseLost,
    QueueError,
    ReceiptExpired,
    Superseded,
    TerminalError,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How long a message is hidden when the database gives no better time: its task waits for another job.
_HIDDEN_WHILE_WAITING = 300.0


class TaskRunner:
    """Takes messages of one queue through the life of a task, one at a time."""

    def __init__(self, parts: WorkerParts, queue: TaskQueue, stop: WorkerStop) -> None:
        self._parts = parts
        self._queue = queue
        self._stop = stop

    def handle(self, message: ReceivedMessage) -> TaskEnd | None:
        """Do what the message hints at; None when there was no task to attempt.

        Raises:
            RetryableError: database or queue are away; the message becomes visible again, by itself at the latest.
        """
        reached(FaultPoint.TASK_RECEIVED)
        try:
            volume = parse_message(message.body, self._parts.job.name, self._parts.options.default_source)
            claimed_at, claim = self._claim(volume)
        except TerminalError as error:
            self._reject(message, error)
            return None
        except DatabaseError:
            self._hint("give_back", lambda: self._queue.change_visibility(message.receipt, 0))
            raise
        if isinstance(claim, ClaimRefused):
            self._refuse(message, claim)
            return None
        lease = Lease(
            claim,
            self._parts.store,
            self._queue,
            message.receipt,
            seconds=self._parts.options.lease,
            claimed_at=claimed_at,
        )
        return self._run(message, claim, lease)

    def _claim(self, volume: VolumeRef) -> tuple[float, Claim | ClaimRefused]:
        """Claim, and tell when the claim that was answered was sent.

        Repeated with the same token for as long as the database is away: a claim whose acknowledgement was lost is
        ours, and would otherwise stand in the way, and be charged, until its lease ends.
        """
        token = uuid4()

        def claim() -> tuple[float, Claim | ClaimRefused]:
            sent_at = time.monotonic()
            return sent_at, self._parts.store.claim(
                self._parts.job,
                volume,
                worker_id=self._parts.worker_id,
                token=token,
                lease=self._parts.options.lease,
            )

        def claim_patiently() -> tuple[float, Claim | ClaimRefused]:
            return patiently(claim, self._parts.options.outage_patience, in_vain=lambda: self._stop.requested)

        sent_at, answer = claim_patiently()
        if isinstance(answer, ClaimRefused) and answer.refusal is Refusal.UNKNOWN:
            self._parts.store.ensure_task(self._parts.job, volume)
            return claim_patiently()
        return sent_at, answer

    def _reject(self, message: ReceivedMessage, error: TerminalError) -> None:
        failure = failure_of(error, "resolve")
        logger.warning("message.rejected", extra={"code": failure.code, "message_id": message.message_id})
        self._parts.store.record_rejected(self._parts.job, message.body, failure)
        self._hint("dead_letter", lambda: self._queue.dead_letter(message.receipt, _reason(failure)))

    def _refuse(self, message: ReceivedMessage, refused: ClaimRefused) -> None:
        logger.info("task.refused", extra={"refusal": refused.refusal.value, "message_id": message.message_id})
        if refused.refusal is Refusal.FINAL:
            self._hint("delete", lambda: self._queue.delete(message.receipt))
            return
        seconds = _HIDDEN_WHILE_WAITING if refused.retry_after is None else refused.retry_after
        self._hint("hide", lambda: self._queue.change_visibility(message.receipt, seconds))

    def _run(self, message: ReceivedMessage, claim: Claim, lease: Lease) -> TaskEnd:
        logger.info("task.claimed", extra=claim.named())
        if claim.deaths:
            logger.warning("task.died_before", extra={**claim.named(), "deaths_by_page": dict(claim.deaths)})
        # The lease outlives the attempt and the writing of its end: it is let go last.
        with lease, self._parts.flights.attempt(claim):
            end = self._attempt(claim, TaskStop(lease, self._stop))
        self._parts.activities.remove(claim.task_id)
        self._acknowledge(message, end)
        reached(FaultPoint.TASK_ACKNOWLEDGED)
        self._parts.observer.task_ended(end)
        return end

    def _attempt(self, claim: Claim, stop: TaskStop) -> TaskEnd:
        attempt = Attempt(claim, stop, self._parts)
        try:
            reached(FaultPoint.TASK_CLAIMED)
            return self._committed(claim, attempt.run())
        except Superseded:
            return TaskEnd(claim, AttemptOutcome.SUPERSEDED)
        except LeaseLost as error:
            return self._released(claim, AttemptOutcome.LEASE_LOST, error.message)
        except Interrupted as error:
            return self._released(claim, AttemptOutcome.INTERRUPTED, error.message)
        except DatabaseError as error:
            # Waited out as far as it made sense; that the database is away is nothing that the task did.
            return self._released(claim, AttemptOutcome.INTERRUPTED, error.message)
        except Exception as error:  # noqa: BLE001  (the boundary: whatever a job does, the task's end is recorded)
            return self._failed(claim, error, attempt.stage)

    def _committed(self, claim: Claim, result: TaskResult) -> TaskEnd:
        released = self._patiently(lambda: self._parts.store.commit(claim, result))
        reached(FaultPoint.TASK_COMMITTED)
        self._dispatch(released)
        outcome = AttemptOutcome.ADOPTED if result.adopted else AttemptOutcome.DONE
        logger.info(
            "task.done",
            extra={**claim.named(), "pages": result.pages.total, "outcome": outcome},
        )
        return TaskEnd(claim, outcome, result=result)

    def _dispatch(self, messages: tuple[TaskMessage, ...]) -> None:
        for message in messages:
            self._hint("dispatch", partial(self._send, message))

    def _send(self, message: TaskMessage) -> None:
        self._parts.queues(message.job or self._parts.job.name).send([message])
        self._parts.store.mark_dispatched([message])

    def _released(self, claim: Claim, outcome: AttemptOutcome, message: str) -> TaskEnd:
        logger.info("task.released", extra={**self._where(claim), "outcome": outcome, "why": message})
        reached(FaultPoint.TASK_RELEASING)
        self._record(lambda: self._parts.store.release(claim, outcome, message))
        return TaskEnd(claim, outcome)

    def _failed(self, claim: Claim, error: Exception, stage: str) -> TaskEnd:
        failure = failure_of(error, stage)
        logger.warning(
            "task.failed",
            extra={**self._where(claim), "code": failure.code, "why": failure.message},
            exc_info=error if failure.code == "E_UNEXPECTED" else None,
        )
        try:
            failed = self._patiently(lambda: self._parts.store.fail(claim, failure))
        except LeaseLost:
            return TaskEnd(claim, AttemptOutcome.LEASE_LOST, failure=failure)
        except DatabaseRefused:
            # Not this task's matter: the worker ends, and tells why.
            raise
        except DatabaseError:
            # The lease runs out, and the task is taken up again.
            return TaskEnd(claim, AttemptOutcome.LEASE_LOST, failure=failure)
        terminal = failed.state is TaskState.TERMINAL_FAILED
        outcome = AttemptOutcome.TERMINAL_FAILED if terminal else AttemptOutcome.RETRYABLE_FAILED
        return TaskEnd(claim, outcome, failure=failure, retry_after=failed.retry_after)

    def _where(self, claim: Claim) -> dict[str, Any]:
        """Give the fields of an event that name an attempt, and how many of its pages have a row."""
        return {**claim.named(), "page": self._parts.activities.pages_done(claim.task_id)}

    def _record(self, action: Callable[[], None]) -> None:
        try:
            self._patiently(action)
        except DatabaseRefused:
            raise
        except DatabaseError as error:
            logger.warning("task.end_not_recorded", extra={"code": error.code})

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, self._parts.options.outage_patience, in_vain=lambda: self._stop.over)

    def _acknowledge(self, message: ReceivedMessage, end: TaskEnd) -> None:
        match end.outcome:
            case AttemptOutcome.DONE | AttemptOutcome.ADOPTED:
                self._hint("delete", lambda: self._queue.delete(message.receipt))
            case AttemptOutcome.TERMINAL_FAILED if end.failure:
                reason = _reason(end.failure)
                self._hint("dead_letter", lambda: self._queue.dead_letter(message.receipt, reason))
            case _:
                # Superseded and released tasks may be taken at once: the same message names the task that is next.
                self._hint("hide", lambda: self._queue.change_visibility(message.receipt, end.retry_after))

    def _hint(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except (ReceiptExpired, QueueError, DatabaseError) as error:
            # A message is only a hint: what it says is in the database, and maintenance sends it again.
            logger.info("message.not_acknowledged", extra={"what": what, "code": error.code})


def _reason(failure: Failure) -> dict[str, str]:
    return {
        "code": failure.code,
        "stage": failure.stage,
        "message": failure.message,
        "fingerprint": failure.fingerprint,
    }
