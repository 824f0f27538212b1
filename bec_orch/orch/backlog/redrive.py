"""Tries tasks again that failed for good: their rows and their messages together.

The rows are reset first. Killed before the messages are moved, the tasks lack their outbox mark, and maintenance sends
a message for each.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from bec_orch.core.ports.queues import DeadLetter, QueueAdmin, QueueBackend
from bec_orch.core.records.backlog import Backlog, RedriveFilter, VolumeStanding
from bec_orch.core.tasks import TaskState
from bec_orch.orch.ahead import batches
from bec_orch.orch.backlog.enqueue import Enqueuer

_MARKED_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class RedriveReport:
    """What a redrive did, or would do: tasks reset, dead letters moved back, new messages sent, and who was refused.

    Refused are volumes that were asked for, or have a dead letter, whose task is in a state that is not tried again.
    """

    reset: int
    moved: int
    sent: int
    refused: tuple[VolumeStanding, ...]


class Redriver:
    """Redrives jobs of one database and its queues."""

    def __init__(self, backlog: Backlog, queues: QueueBackend) -> None:
        self._backlog = backlog
        self._queues = queues

    def redrive(
        self, job_name: str, wanted: RedriveFilter | None = None, *, limit: int | None = None, dry_run: bool = False
    ) -> RedriveReport:
        """Reset the `terminal_failed` tasks that the filter names, and bring their messages back.

        Run twice, the second time resets nothing. Dead letters that never had a task are brought back too when they are
        what the filter names.

        `limit` takes at most that many, the oldest first, and no dead letter but theirs; `dry_run` only counts tasks
        and letters.

        Raises:
            ConfigError: there is no such job.
            QueueError: the queue is away; the tasks are reset, and maintenance sends their messages.
        """
        asked = wanted or RedriveFilter()
        job, reset = self._backlog.reset_failed(job_name, asked, limit=limit, dry_run=dry_run)
        refused = dict.fromkeys(self._backlog.standing(job, *asked.volume)) if asked.volume and not reset else {}
        ids = {(task.volume.w_id, task.volume.i_id): task.id for task in reset if task.state is TaskState.QUEUED}
        revived: list[int] = []

        def accept(letter: DeadLetter) -> bool:
            names = _names(letter)
            if names in ids:
                revived.append(ids[names])
                return True
            if limit is not None or not _concerns(asked, letter, names):
                return False
            others = self._backlog.standing(job, *names) if names else []
            refused.update(dict.fromkeys(others))
            return not others

        queue = self._queues.admin(job.name)
        if asked == RedriveFilter() and limit is None and reset and queue.stats().dead == len(reset):
            # Nothing but what is wanted is there: the queue moves it by itself, which spares a call for each few.
            moved, revived = len(reset) if dry_run else queue.redrive_all(), list(ids.values())
        else:
            moved = _count(queue, accept) if dry_run else queue.redrive(accept)
        if dry_run:
            return RedriveReport(len(reset), moved, 0, tuple(refused))
        for marked in batches(revived, _MARKED_AT_ONCE):
            self._backlog.mark_sent(marked)
        sent = Enqueuer(self._backlog, self._queues).dispatch(job) if len(revived) < len(ids) else 0
        return RedriveReport(len(reset), moved, sent, tuple(refused))


def _count(queue: QueueAdmin, accept: Callable[[DeadLetter], bool]) -> int:
    """Count the dead letters that would be moved, and move none."""
    accepted: list[DeadLetter] = []

    def look(letter: DeadLetter) -> bool:
        if accept(letter):
            accepted.append(letter)
        return False

    queue.redrive(look)
    return len(accepted)


def _names(letter: DeadLetter) -> tuple[str, str] | None:
    try:
        content = json.loads(letter.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    w_id, i_id = content.get("w_id"), content.get("i_id")
    return (w_id, i_id) if isinstance(w_id, str) and isinstance(i_id, str) else None


def _concerns(asked: RedriveFilter, letter: DeadLetter, names: tuple[str, str] | None) -> bool:
    return (
        asked.code in {None, letter.reason.get("code")}
        and asked.fingerprint in {None, letter.reason.get("fingerprint")}
        and asked.volume in {None, names}
    )
