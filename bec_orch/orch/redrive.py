"""Gives tasks that failed for good another chance: their rows and their messages together.

The rows are reset first. Killed before the messages are moved, the tasks lack their outbox mark, and maintenance sends
a message for each.
"""

import json
from dataclasses import dataclass

from bec_orch.core.models import DeadLetter, Job, TaskState, VolumeRef
from bec_orch.core.queue_ports import QueueBackend
from bec_orch.io.postgres.database import Database, Row, clean_text, rows
from bec_orch.io.postgres.sql_files import statements
from bec_orch.orch.enqueue import Enqueuer
from bec_orch.orch.job_admin import read_job


@dataclass(frozen=True, slots=True)
class RedriveFilter:
    """Which failed tasks to try again; None means any. `volume` is a work and a volume name."""

    code: str | None = None
    fingerprint: str | None = None
    volume: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RefusedVolume:
    """A volume that was asked for, or has a dead letter, whose task is in a state that is not tried again."""

    volume: VolumeRef
    state: TaskState


@dataclass(frozen=True, slots=True)
class RedriveReport:
    """What a redrive did: tasks reset, dead letters moved back, new messages sent, and who was refused by name."""

    reset: int
    moved: int
    sent: int
    refused: tuple[RefusedVolume, ...]


class Redriver:
    """Redrives jobs of one database and its queues."""

    def __init__(self, database: Database, queues: QueueBackend) -> None:
        self._database = database
        self._queues = queues
        self._sql = statements("discovery")

    def redrive(self, job_name: str, wanted: RedriveFilter | None = None) -> RedriveReport:
        """Reset the `terminal_failed` tasks that the filter names, and bring their messages back.

        Run twice, the second time resets nothing. Dead letters that never had a task are brought back too when they are
        what the filter names.

        Raises:
            ConfigError: there is no such job.
            QueueError: the queue is away; the tasks are reset, and maintenance sends their messages.
        """
        asked = wanted or RedriveFilter()
        job, reset = self._reset(job_name, asked)
        refused = dict.fromkeys(self._states(job, asked.volume)) if asked.volume and not reset else {}
        ids = {(row["w_id"], row["i_id"]): row["id"] for row in reset if row["state"] == TaskState.QUEUED}
        revived: list[int] = []

        def accept(letter: DeadLetter) -> bool:
            names = _names(letter)
            if names in ids:
                revived.append(ids[names])
                return True
            if not _concerns(asked, letter, names):
                return False
            others = self._states(job, names) if names else []
            refused.update(dict.fromkeys(others))
            return not others

        queue = self._queues.admin(job.name)
        if asked == RedriveFilter() and reset and queue.stats().dead == len(reset):
            # Nothing but what is wanted is there: the queue moves it by itself, which spares a call for each few.
            moved, revived = queue.redrive_all(), list(ids.values())
        else:
            moved = queue.redrive(accept)
        self._mark_sent(revived)
        sent = Enqueuer(self._database, self._queues).dispatch(job) if len(revived) < len(ids) else 0
        return RedriveReport(len(reset), moved, sent, tuple(refused))

    def _reset(self, job_name: str, asked: RedriveFilter) -> tuple[Job, list[Row]]:
        w_id, i_id = asked.volume or (None, None)
        named = {"code": asked.code, "fingerprint": asked.fingerprint, "w_id": w_id, "i_id": i_id}
        cleaned = {name: None if text is None else clean_text(text) for name, text in named.items()}
        with self._database.transaction("reset failed tasks", long=True) as connection:
            job = read_job(connection, job_name)
            reset = rows(connection, self._sql["redrive"], {"job_id": job.id, **cleaned})
        return job, reset

    def _states(self, job: Job, names: tuple[str, str]) -> list[RefusedVolume]:
        named = {"job_id": job.id, "w_id": clean_text(names[0]), "i_id": clean_text(names[1])}
        with self._database.transaction("read the states of a volume") as connection:
            found = rows(connection, self._sql["states_of_volume"], named)
        return [
            RefusedVolume(VolumeRef(row["w_id"], row["i_id"], row["source"]), TaskState(row["state"])) for row in found
        ]

    def _mark_sent(self, ids: list[int]) -> None:
        with self._database.transaction("record what was sent", long=True) as connection:
            connection.execute(statements("enqueue")["mark_sent"], {"ids": ids})


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
