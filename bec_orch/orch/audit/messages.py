"""Finds queued tasks that nothing announces: neither a message of the queue nor the outbox."""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import suppress

from bec_orch.core.messages import TaskMessage, parse_message
from bec_orch.core.ports.queues import QueueAdmin
from bec_orch.core.records.ledger import Ledger
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import counted
from bec_orch.errors import TerminalError
from bec_orch.orch.ahead import batches
from bec_orch.orch.audit.values import MESSAGES, Repair, Violation

_ROWS_AT_ONCE = 2000
# SQS counts its messages only approximately, and is right within a minute.
_SETTLED = dt.timedelta(seconds=60)


class MessageCheck:
    """Compares the messages in the queue of one job with its tasks."""

    def __init__(self, job: Job, ledger: Ledger, queue: QueueAdmin, default_source: str) -> None:
        self._job = job
        self._ledger = ledger
        self._queue = queue
        self._default_source = default_source

    def violations(self) -> Iterator[Violation]:
        """Yield the tasks without a message; where the queue only counts its messages, all of them as one.

        Tasks that were sent after this began are left out: their messages may have come later than we looked. A message
        is deleted only when its task has ended, so none that we missed can have been there.

        Raises:
            QueueError: the queue is away.
        """
        begun = self._ledger.now()
        bodies = self._queue.bodies()
        if bodies is None:
            yield from self._counted(begun - _SETTLED)
            return
        named = batches(self._named(bodies), _ROWS_AT_ONCE)
        announced = {task_id for volumes in named for task_id in self._ledger.announced(self._job, volumes)}
        for task in self._ledger.to_be_announced(self._job, begun):
            if task.id not in announced:
                volume = VolumeRef(task.message.w_id, task.message.i_id, task.message.source or self._default_source)
                message = f"task {task.id} is queued, and no message names it"
                yield Violation(MESSAGES, self._job.name, message, volume, (task.id,), Repair.ANNOUNCE)

    def messages(self) -> Iterator[list[TaskMessage]]:
        """Yield the messages of all tasks that should have one, in batches: for a queue that only counts them."""
        for batch in batches(self._ledger.to_be_announced(self._job, self._ledger.now()), _ROWS_AT_ONCE):
            yield [task.message for task in batch]

    def _counted(self, before: dt.datetime) -> Iterator[Violation]:
        wanted = sum(1 for _ in self._ledger.to_be_announced(self._job, before))
        stats = self._queue.stats()
        there = stats.visible + stats.in_flight + stats.delayed
        if wanted > there:
            message = f"{counted(wanted, 'task')} should have a message each, and the queue has about {there:,}"
            yield Violation(MESSAGES, self._job.name, message, repair=Repair.ANNOUNCE, count=wanted - there)

    def _named(self, bodies: Iterable[str]) -> Iterator[VolumeRef]:
        for body in bodies:
            with suppress(TerminalError):  # a message that names no volume announces nothing
                yield parse_message(body, self._job.name, self._default_source)
