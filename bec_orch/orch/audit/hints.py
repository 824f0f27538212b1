"""Finds queued tasks that nothing hints at: neither a message of the queue nor the outbox."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from bec_orch.core.messages import parse_message
from bec_orch.core.models import Job, TaskMessage, VolumeRef
from bec_orch.core.queue_ports import QueueAdmin
from bec_orch.errors import TerminalError
from bec_orch.io.postgres.database import Database, Row, clean_text, first, rows
from bec_orch.io.postgres.rows import message_of
from bec_orch.io.postgres.sql_files import statements
from bec_orch.orch.ahead import batches
from bec_orch.orch.audit.values import HINTS, Repair, Violation

_ROWS_AT_ONCE = 2000
# SQS counts its messages only approximately, and is right within a minute.
_SETTLED = dt.timedelta(seconds=60)


class HintAudit:
    """Looks at the queue of one job beside its tasks."""

    def __init__(self, job: Job, database: Database, queue: QueueAdmin, default_source: str) -> None:
        self._job = job
        self._database = database
        self._queue = queue
        self._default_source = default_source
        self._sql = statements("audit")

    def violations(self) -> Iterator[Violation]:
        """Give the tasks without a hint; where the queue only counts its messages, all of them as one.

        Tasks that were sent after this began are left out: their messages may have come later than we looked. A message
        is deleted only when its task has ended, so none that we missed can have been there.

        Raises:
            QueueError: the queue is away.
        """
        begun = self._now()
        bodies = self._queue.bodies()
        if bodies is None:
            yield from self._counted(begun - _SETTLED)
            return
        hinted = self._hinted(bodies)
        for row in self._to_be_hinted(begun):
            if row["id"] not in hinted:
                volume = VolumeRef(row["w_id"], row["i_id"], row["source"])
                message = f"task {row['id']} is queued, and no message names it"
                yield Violation(HINTS, self._job.name, message, volume, (row["id"],), Repair.HINT)

    def messages(self) -> Iterator[list[TaskMessage]]:
        """Give the messages of all tasks that should have one, in batches: for a queue that only counts them."""
        for batch in batches(self._to_be_hinted(self._now()), _ROWS_AT_ONCE):
            yield [message_of(row, self._job.name) for row in batch]

    def _counted(self, before: dt.datetime) -> Iterator[Violation]:
        wanted = sum(1 for _ in self._to_be_hinted(before))
        stats = self._queue.stats()
        there = stats.visible + stats.in_flight + stats.delayed
        if wanted > there:
            message = f"{wanted} tasks should have a message each, and the queue has about {there}"
            yield Violation(HINTS, self._job.name, message, repair=Repair.HINT, count=wanted - there)

    def _hinted(self, bodies: Iterable[str]) -> set[int]:
        return {
            task_id for batch in batches(self._named(bodies), _ROWS_AT_ONCE) for task_id in self._tasks_named(batch)
        }

    def _named(self, bodies: Iterable[str]) -> Iterator[VolumeRef]:
        for body in bodies:
            with suppress(TerminalError):  # a message that names no volume hints at nothing
                yield parse_message(body, self._job.name, self._default_source)

    def _tasks_named(self, volumes: list[VolumeRef]) -> list[int]:
        named = {
            "job_id": self._job.id,
            "w_ids": [volume.w_id for volume in volumes],
            "i_ids": [volume.i_id for volume in volumes],
            "sources": [clean_text(volume.source) for volume in volumes],
        }
        return [row["id"] for row in self._rows("hinted", named)]

    def _to_be_hinted(self, before: dt.datetime) -> Iterator[Row]:
        after = 0
        while True:
            wanted = {"job_id": self._job.id, "before": before, "after": after, "limit": _ROWS_AT_ONCE}
            found = self._rows("to_be_hinted", wanted)
            yield from found
            if len(found) < _ROWS_AT_ONCE:
                return
            after = found[-1]["id"]

    def _rows(self, statement: str, named: Mapping[str, Any]) -> list[Row]:
        with self._database.transaction("audit the queue") as connection:
            return rows(connection, self._sql[statement], named)

    def _now(self) -> dt.datetime:
        with self._database.transaction("tell its time") as connection:
            row = first(connection, statements("tasks")["now"], {}) or {}
        time: dt.datetime = row["now"]
        return time
