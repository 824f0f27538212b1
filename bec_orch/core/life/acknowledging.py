"""What becomes of a message: it is deleted, hidden, given back or dead-lettered.

A message only announces a task: the truth is in the database, and maintenance sends it again. So nothing here fails.
"""

import logging
from collections.abc import Callable

from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.ports.queues import ReceivedMessage, TaskQueue
from bec_orch.core.tasks import AttemptOutcome, ClaimRefused, Failure, Refusal
from bec_orch.errors import DatabaseError, QueueError, ReceiptExpired

logger = logging.getLogger(__name__)

# How long a message is hidden when the database gives no better time: its task waits for another job.
_HIDDEN_WHILE_WAITING = 300.0


def hint(what: str, action: Callable[[], None]) -> None:
    """Do something with a message, or let it be where the queue is away or the message gone."""
    try:
        action()
    except (ReceiptExpired, QueueError, DatabaseError) as error:
        logger.info("message.not_acknowledged", extra={"what": what, "code": error.code})


class Acknowledger:
    """Says to one queue what becomes of its messages."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue

    def give_back(self, message: ReceivedMessage) -> None:
        """Make the message visible at once."""
        hint("give_back", lambda: self._queue.change_visibility(message.receipt, 0))

    def refuse(self, message: ReceivedMessage, refused: ClaimRefused) -> None:
        """Delete the message of a task that is final, as was just read; hide any other until its task is due."""
        logger.info("task.refused", extra={"refusal": refused.refusal.value, "message_id": message.message_id})
        if refused.refusal is Refusal.FINAL:
            hint("delete", lambda: self._queue.delete(message.receipt))
            return
        seconds = _HIDDEN_WHILE_WAITING if refused.retry_after is None else refused.retry_after
        hint("hide", lambda: self._queue.change_visibility(message.receipt, seconds))

    def acknowledge(self, message: ReceivedMessage, end: TaskEnd) -> None:
        """Do what the end of an attempt, which the database has recorded, asks for."""
        match end.outcome:
            case AttemptOutcome.DONE | AttemptOutcome.ADOPTED:
                hint("delete", lambda: self._queue.delete(message.receipt))
            case AttemptOutcome.TERMINAL_FAILED if end.failure:
                self.reject(message, end.failure)
            case _:
                # Superseded and released tasks may be taken at once: the same message names the task that is next.
                hint("hide", lambda: self._queue.change_visibility(message.receipt, end.retry_after))

    def reject(self, message: ReceivedMessage, failure: Failure) -> None:
        """Dead-letter a message, with the reason."""
        reason = {
            "code": failure.code,
            "stage": failure.stage,
            "message": failure.message,
            "fingerprint": failure.fingerprint,
        }
        hint("dead_letter", lambda: self._queue.dead_letter(message.receipt, reason))
