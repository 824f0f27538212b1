"""The lease: keeps one claimed task ours while it is worked on."""

import logging
import time
from collections.abc import Callable

from typing_extensions import override

from bec_orch.core.life.companion import Companion
from bec_orch.core.ports.queues import TaskQueue
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.tasks import Claim
from bec_orch.errors import ReceiptExpired, RetryableError

logger = logging.getLogger(__name__)

# Renewed four times in a lease, so that two renewals may fail before the deadline, which is a quarter before its end.
_RENEWALS = 4
_MARGIN = 0.25


class Lease(Companion):
    """Renews the task's lease and the message's visibility together, from its own thread, as a context manager.

    `lost` is true when a renewal finds the attempt superseded, or when no renewal succeeded until the deadline. The
    deadline is counted on this machine's monotonic clock from *before* the last renewal that succeeded was sent, less a
    margin of a quarter: whatever the database's clock says, its lease ends later than ours.

    Args:
        claim: the task that is ours; it was claimed after `claimed_at`.
        claimed_at: the monotonic clock before the claim was sent.
        seconds: how long each renewal keeps the task.
    """

    def __init__(
        self,
        claim: Claim,
        store: TaskStore,
        queue: TaskQueue,
        receipt: str,
        *,
        seconds: float,
        claimed_at: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(f"lease-{claim.task_id}")
        self._claim = claim
        self._store = store
        self._queue = queue
        self._receipt = receipt
        self._seconds = seconds
        self._clock = clock
        self._deadline = claimed_at + seconds * (1 - _MARGIN)
        self._superseded = False
        self._message_lost = False

    @property
    def lost(self) -> bool:
        """Whether the work should stop, because the task may be somebody else's now."""
        return self._superseded or self._clock() >= self._deadline

    @override
    def _accompany(self) -> None:
        wait = self._seconds / _RENEWALS
        while not self._superseded and not self._closed.wait(wait):
            wait = self._seconds / _RENEWALS if self._renew() else self._seconds / _RENEWALS / _RENEWALS

    def _renew(self) -> bool:
        sent_at = self._clock()
        try:
            held = self._store.renew(self._claim, self._seconds)
        except RetryableError as error:
            logger.warning("lease.renewal_failed", extra={**self._claim.named(), "code": error.code})
            return False
        if held:
            self._deadline = sent_at + self._seconds * (1 - _MARGIN)
            self._extend_message()
        else:
            self._superseded = True
            logger.warning("lease.superseded", extra=self._claim.named())
        return held

    def _extend_message(self) -> None:
        # The message only announces the task: whatever becomes of it, the lease in the database is what counts.
        if self._message_lost:
            return
        try:
            self._queue.change_visibility(self._receipt, self._seconds)
        except ReceiptExpired:
            self._message_lost = True
        except RetryableError as error:
            logger.warning("lease.message_not_extended", extra={**self._claim.named(), "code": error.code})
