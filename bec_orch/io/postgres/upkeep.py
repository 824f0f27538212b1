"""The part of `TaskStore` that goes on beside the attempts: workers sign on and off, and forgotten tasks are found."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.types.json import Jsonb
from typing_extensions import override

from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.retries import Verdict, after_loss
from bec_orch.core.tasks import Claim, DoneTask, Failure, GivenUpTask, Job, TaskActivity, WorkerInfo
from bec_orch.errors import fingerprint
from bec_orch.io.postgres.advisory_locks import AdvisoryLock, try_take
from bec_orch.io.postgres.database import Database, now
from bec_orch.io.postgres.jobs import PgJobLookup
from bec_orch.io.postgres.rows import Connection, Row, location_of, message_of, one, rows
from bec_orch.io.postgres.sql_files import statements


class Upkeep(PgJobLookup, TaskStore):
    """What workers and their maintenance record in one database.

    Args:
        database: where the tables are.
        default_source: the source of volumes that a message names without one.
        outage_grace: seconds that live workers have to come back after the database was away, before leases that ran
            out meanwhile count as left by dead ones.
    """

    def __init__(self, database: Database, *, default_source: str, outage_grace: float = 0.0) -> None:
        super().__init__(database)
        self._default_source = default_source
        self._outage_grace = outage_grace

    @override
    def register_worker(self, worker: WorkerInfo) -> None:
        row = dataclasses.asdict(worker)
        row["models"] = Jsonb(row["models"])
        with self._database.transaction("register a worker") as connection:
            connection.execute(statements("upkeep")["register_worker"], row)
            connection.execute(statements("upkeep")["note_maker"], row)

    @override
    def heartbeat(self, worker_id: str, activities: Sequence[TaskActivity]) -> None:
        doing = Jsonb([dataclasses.asdict(activity) for activity in activities])
        told = {"worker_id": worker_id, "activities": doing, "grace": self._outage_grace}
        self._execute("record a heartbeat", "heartbeat", told)

    @override
    def is_deleted(self, job: Job) -> bool:
        with self._database.transaction("look whether the job is there") as connection:
            return bool(one(connection, statements("upkeep")["job_deleted"], {"job_id": job.id})["deleted"])

    @override
    def stop_worker(self, worker_id: str, reason: str) -> None:
        self._execute("record a worker's end", "stop_worker", {"worker_id": worker_id, "reason": reason})

    @override
    def record_rejected(self, job: Job, body: str, failure: Failure) -> None:
        told = {"job_id": job.id, "body": body, **dataclasses.asdict(failure)}
        self._execute("record a rejected message", "reject_message", told)

    @override
    def mark_dispatched(self, messages: Iterable[TaskMessage]) -> None:
        named = [message for message in messages if message.job]
        told = {
            "jobs": [message.job for message in named],
            "w_ids": [message.w_id for message in named],
            "i_ids": [message.i_id for message in named],
            "sources": [message.source or self._default_source for message in named],
        }
        self._execute("record what was dispatched", "mark_dispatched", told)

    @override
    def undispatched(self, job: Job, *, limit: int, redispatch_after: float) -> list[TaskMessage]:
        sql = statements("upkeep")
        with self._database.transaction(f"look after the tasks of {job.name}") as connection:
            if not try_take(connection, AdvisoryLock.MAINTENANCE, job.id):
                return []
            expire(connection, job.id, grace=self._outage_grace)
            connection.execute(sql["release_waiting"], {"job_id": job.id})
            wanted = {"job_id": job.id, "limit": limit, "redispatch_after": redispatch_after}
            return [message_of(row, job.name) for row in rows(connection, sql["undispatched"], wanted)]

    @override
    def has_done(self, job: Job) -> bool:
        with self._database.transaction(f"look for finished tasks of {job.name}") as connection:
            return bool(one(connection, statements("upkeep")["has_done"], {"job_id": job.id})["done"])

    @override
    def done_to_verify(self, job: Job, *, limit: int) -> list[DoneTask]:
        found = self._rows(f"look up finished tasks of {job.name}", "done_to_verify", job, limit)
        return [DoneTask(row["id"], location_of(row, job.root), row["manifest_etag"], row["nb_pages"]) for row in found]

    @override
    def given_up_to_verify(self, job: Job, *, limit: int) -> list[GivenUpTask]:
        found = self._rows(f"look up failed tasks of {job.name}", "given_up_to_verify", job, limit)
        return [GivenUpTask(row["id"], str(row["uid"]), location_of(row, job.root)) for row in found]

    @override
    def doubt(self, claim: Claim, jobs: Sequence[str]) -> None:
        self._execute("note a doubt", "doubt", {"task_id": claim.task_id, "jobs": list(jobs)})

    @override
    def unfinished(self, job: Job) -> int:
        with self._database.transaction(f"count the tasks of {job.name}") as connection:
            return int(one(connection, statements("upkeep")["unfinished"], {"job_id": job.id})["tasks"])

    @override
    def now(self) -> dt.datetime:
        return now(self._database)

    def _execute(self, doing: str, statement: str, parameters: dict[str, Any]) -> None:
        with self._database.transaction(doing) as connection:
            connection.execute(statements("upkeep")[statement], parameters)

    def _rows(self, doing: str, statement: str, job: Job, limit: int) -> list[Row]:
        with self._database.transaction(doing) as connection:
            return rows(connection, statements("upkeep")[statement], {"job_id": job.id, "limit": limit})


def expire(connection: Connection, job_id: int, task_id: int | None = None, *, grace: float) -> None:
    """Take tasks of a job, or one of them, from workers whose lease ran out.

    They go back to the queue, or to their end when their budget is used up: the attempt is charged, because a task
    that kills its worker looks just like this.
    """
    sql = statements("upkeep")
    found = rows(connection, sql["expired"], {"job_id": job_id, "task_id": task_id, "grace": grace})
    if not found:
        return
    failures = [_lease_lost(row["worker_id"]) for row in found]
    ended = {
        **dataclasses.asdict(failures[0]),
        "ids": [row["id"] for row in found],
        "attempts": [row["attempt"] for row in found],
        "messages": [failure.message for failure in failures],
    }
    connection.execute(sql["close_expired"], ended)
    verdicts = [
        after_loss(failure, row["charged"], row["max_attempts"]) for failure, row in zip(failures, found, strict=True)
    ]
    connection.execute(sql["expire"], {**ended, **_columns(verdicts)})


def _columns(verdicts: Sequence[Verdict]) -> dict[str, list[Any]]:
    return {
        "states": [verdict.state for verdict in verdicts],
        "charged": [verdict.charged for verdict in verdicts],
        "codes": [verdict.code for verdict in verdicts],
        "messages": [verdict.message for verdict in verdicts],
    }


def _lease_lost(worker_id: str) -> Failure:
    return Failure(
        code="E_LEASE_LOST",
        stage="run",
        message=f"The worker {worker_id} let the lease run out.",
        fingerprint=fingerprint("E_LEASE_LOST", "run", "The worker let the lease run out."),
        retryable=True,
        hint="Look into the log of that worker: it was killed, or lost the database.",
    )
