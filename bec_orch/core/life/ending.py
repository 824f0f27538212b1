"""The end of an attempt: recorded in the database, which alone counts."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from bec_orch.core.failures import failure_of
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.life.acknowledging import hint
from bec_orch.core.life.patience import Patience
from bec_orch.core.life.publishing import Published
from bec_orch.core.life.standings import Stage, Standings, TaskEnd
from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.queues import QueueFactory
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.tasks import AttemptOutcome, Claim, TaskState
from bec_orch.errors import DatabaseError, DatabaseRefused, LeaseLost

logger = logging.getLogger(__name__)


class Endings:
    """Records how attempts end, and sends the messages of tasks that waited for them."""

    def __init__(self, store: TaskStore, queues: QueueFactory, standings: Standings, patience: Patience) -> None:
        self._store = store
        self._queues = queues
        self._standings = standings
        self._patiently = patience

    def commit(self, claim: Claim, published: Published) -> TaskEnd:
        """Make the task `done`.

        Raises:
            LeaseLost: the claim is no longer ours.
            DatabaseError: the database was away for too long.
        """
        result = published.result
        released = self._patiently(lambda: self._store.commit(claim, result))
        reached(FaultPoint.TASK_COMMITTED)
        self._send(released, claim.job.name)
        outcome = AttemptOutcome.ADOPTED if result.adopted else AttemptOutcome.DONE
        logger.info("task.done", extra={**claim.named(), "pages": result.pages.total, "outcome": outcome})
        return TaskEnd(claim, outcome, result=result)

    def _send(self, messages: Sequence[TaskMessage], job: str) -> None:
        """Send what others waited for; what cannot be sent now, maintenance sends."""

        def send(message: TaskMessage) -> None:
            self._queues(message.job or job).send([message])
            self._store.mark_dispatched([message])

        for message in messages:
            hint("dispatch", partial(send, message))

    def release(self, claim: Claim, outcome: AttemptOutcome, message: str) -> TaskEnd:
        """Release the task, uncharged.

        Raises:
            DatabaseRefused: the database will not take it until somebody sees to it.
        """
        logger.info("task.released", extra={**self._where(claim), "outcome": outcome, "why": message})
        reached(FaultPoint.TASK_RELEASING)
        try:
            self._patiently(lambda: self._store.release(claim, outcome, message))
        except DatabaseRefused:
            raise
        except DatabaseError as error:
            logger.warning("task.end_not_recorded", extra={"code": error.code})
        return TaskEnd(claim, outcome)

    def fail(self, claim: Claim, error: Exception) -> TaskEnd:
        """Record why the attempt failed.

        Raises:
            DatabaseRefused: the database will not take it until somebody sees to it: not this task's matter.
        """
        standing = self._standings.of(claim)
        failure = failure_of(error, standing.stage if standing else Stage.MANIFEST)
        logger.warning(
            "task.failed",
            extra={**self._where(claim), "code": failure.code, "why": failure.message},
            exc_info=error if failure.code == "E_UNEXPECTED" else None,
        )
        try:
            failed = self._patiently(lambda: self._store.fail(claim, failure))
        except DatabaseRefused:
            raise
        except (LeaseLost, DatabaseError):
            # It is somebody else's; or the lease runs out, and the task is taken up again.
            return TaskEnd(claim, AttemptOutcome.LEASE_LOST, failure=failure)
        self._send(failed.released, claim.job.name)
        terminal = failed.state is TaskState.TERMINAL_FAILED
        outcome = AttemptOutcome.TERMINAL_FAILED if terminal else AttemptOutcome.RETRYABLE_FAILED
        return TaskEnd(claim, outcome, failure=failure, retry_after=failed.retry_after)

    def _where(self, claim: Claim) -> dict[str, Any]:
        """Return the fields of an event that name an attempt, and how many of its pages have a row."""
        standing = self._standings.of(claim)
        return {**claim.named(), "page": standing.done if standing else None}
