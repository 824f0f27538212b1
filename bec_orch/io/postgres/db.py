"""The truth about tasks: `TaskStore` on PostgreSQL.

Every later write of an attempt names its task, attempt and token, and changes nothing when they are stale. Who needs
both locks the volume's row before the task's, so that no two transactions wait for each other.
"""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.models import (
    AttemptOutcome,
    Claim,
    ClaimRefused,
    DoneTask,
    FailedTask,
    Failure,
    GivenUpTask,
    Job,
    Refusal,
    TaskActivity,
    TaskMessage,
    TaskResult,
    TaskState,
    VolumeRef,
    WorkerInfo,
)
from bec_orch.errors import ConfigError, DatabaseError, LeaseLost, TerminalError, fingerprint
from bec_orch.io.postgres.database import Database, Row, clean_text, first, rows
from bec_orch.io.postgres.rows import done_of, finished, job_of, jsonb, location_of, message_of
from bec_orch.io.postgres.sql_files import statements

SUPERSEDED = "superseded by a newer version of the volume"

# A commit may hold a task's row while it puts `success.json`; who claims does not wait longer than this.
_CLAIM_LOCK_WAIT = "5s"
_BUSY_RETRY_AFTER = 5.0
# A task that waits is dispatched when it is released; its early message looks again at this pace.
_WAITING_RETRY_AFTER = 300.0
_EXPIRED = fingerprint("E_LEASE_LOST", "run", "The worker let the lease run out.")

Connection = psycopg.Connection[DictRow]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds of the backoff after the first charged failure, and at most; it doubles with each, with jitter."""

    base: float = 10.0
    cap: float = 600.0


class DBClient:
    """`TaskStore` on PostgreSQL. May be used by several threads.

    Args:
        database: where the tables are.
        default_source: the source of volumes that a message names without one.
        retry: the backoff of retryable failures.
        outage_grace: seconds that live workers have to come back after the database was away, before leases that ran
            out meanwhile count as left by dead ones.
    """

    def __init__(
        self, database: Database, *, default_source: str, retry: RetryPolicy | None = None, outage_grace: float = 0.0
    ) -> None:
        self._database = database
        self._default_source = default_source
        self._retry = retry or RetryPolicy()
        self._outage_grace = outage_grace
        self._sql = statements("tasks")

    def job(self, name: str) -> Job:
        with self._database.transaction("read a job") as connection:
            row = first(connection, self._sql["job_by_name"], {"name": clean_text(name)})
        if row is None:
            raise ConfigError(
                f"There is no job '{clean_text(name)}'.", code="E_JOB_UNKNOWN", hint="`bec jobs list` shows the jobs."
            )
        return job_of(row)

    def register_worker(self, worker: WorkerInfo) -> None:
        row = dataclasses.asdict(worker)
        row["models"] = jsonb(row["models"])
        with self._database.transaction("register a worker") as connection:
            connection.execute(self._sql["register_worker"], row)
            connection.execute(self._sql["note_maker"], row)

    def heartbeat(self, worker_id: str, activities: Sequence[TaskActivity]) -> None:
        doing = jsonb([dataclasses.asdict(activity) for activity in activities])
        told = {"worker_id": worker_id, "activities": doing, "grace": self._outage_grace}
        self._execute("record a heartbeat", "heartbeat", **told)

    def stop_worker(self, worker_id: str, reason: str) -> None:
        self._execute("record a worker's end", "stop_worker", worker_id=worker_id, reason=clean_text(reason))

    def ensure_task(self, job: Job, volume: VolumeRef) -> None:
        named = {"w_id": volume.w_id, "i_id": volume.i_id, "source": volume.source}
        with self._database.transaction(f"add a task for {volume}") as connection:
            self._require_source(connection, volume)
            connection.execute(self._sql["add_volume"], named)
            locked = first(connection, self._sql["lock_volume"], named)
            volume_id = locked["id"] if locked else None
            present = first(connection, self._sql["has_task"], {"job_id": job.id, "volume_id": volume_id})
            if volume_id and not (present and present["present"]):
                self._add_tasks(connection, [job.id], volume_id, dispatched=True)

    def claim(self, job: Job, volume: VolumeRef, *, worker_id: str, token: UUID, lease: float) -> Claim | ClaimRefused:
        try:
            with self._database.transaction(f"claim the task of {volume}") as connection:
                connection.execute(self._sql["limit_lock_wait"], {"wait": _CLAIM_LOCK_WAIT})
                task = self._latest_task(connection, job, volume, token)
                taken = self._take(connection, task, worker_id, token, lease) if task else None
                if taken is None:
                    return _refusal(task)
                reached(FaultPoint.TASK_CLAIMING)
                return self._claim_of(connection, taken, volume, token)
        except DatabaseError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                return ClaimRefused(Refusal.BUSY, TaskState.RUNNING, _BUSY_RETRY_AFTER)
            raise

    def stamp_manifest(self, claim: Claim, manifest_etag: str, nb_pages: int) -> bool:
        with self._locked(claim, "record the version of") as (connection, task):
            if task["state"] == "waiting" or task["cancel_reason"] == SUPERSEDED:
                return False
            _require_running(claim, task)
            seen = {"volume_id": task["volume_id"], "manifest_etag": manifest_etag, "nb_pages": nb_pages}
            connection.execute(self._sql["see_manifest"], seen)
            if task["manifest_etag"] not in {None, manifest_etag}:
                self._supersede(connection, claim, task, manifest_etag)
                return False
            return self._stamp_or_wait(connection, claim, task, manifest_etag)

    def renew(self, claim: Claim, lease: float) -> bool:
        with self._database.transaction(f"renew the lease on {claim.volume}") as connection:
            return connection.execute(self._sql["renew"], {**_fencing(claim), "lease": lease}).rowcount == 1

    @contextmanager
    def fence(self, claim: Claim, lease: float) -> Iterator[None]:
        with self._database.transaction(f"hold the task of {claim.volume}") as connection:
            if connection.execute(self._sql["renew"], {**_fencing(claim), "lease": lease}).rowcount != 1:
                raise _lost(claim)
            yield

    def commit(self, claim: Claim, result: TaskResult) -> tuple[TaskMessage, ...]:
        with self._locked(claim, "commit the task of") as (connection, task):
            if task["state"] != "done":
                _require_running(claim, task)
                connection.execute(self._sql["finish"], {"task_id": claim.task_id, **finished(result)})
                outcome = AttemptOutcome.ADOPTED if result.adopted else AttemptOutcome.DONE
                self._close_attempt(connection, claim, outcome, metrics=jsonb(result.metrics))
                connection.execute(self._sql["release_dependants"], {"volume_id": task["volume_id"]})
            return tuple(message_of(row) for row in rows(connection, self._sql["dependants_to_dispatch"], task))

    def fail(self, claim: Claim, failure: Failure) -> FailedTask:
        with self._locked(claim, "record the failure of") as (connection, task):
            if task["state"] in {"retryable_failed", "terminal_failed"}:
                return _failed(task)
            _require_running(claim, task)
            told = {key: clean_text(v) if isinstance(v, str) else v for key, v in dataclasses.asdict(failure).items()}
            parameters = {"task_id": claim.task_id, "base": self._retry.base, "cap": self._retry.cap, **told}
            failed = first(connection, self._sql["fail"], parameters) or {}
            self._close_attempt(
                connection, claim, AttemptOutcome(failed["state"]), charged=failure.charged, failure=told
            )
            return _failed(failed)

    def release(self, claim: Claim, outcome: str, message: str) -> None:
        with self._database.transaction(f"give the task of {claim.volume} back") as connection:
            task = first(connection, self._sql["lock_claim"], _fencing(claim))
            if task is None or task["state"] != "running":
                return
            connection.execute(self._sql["give_back"], {"task_id": claim.task_id})
            told = {"code": f"E_{outcome.upper()}", "stage": "run", "message": clean_text(message)}
            self._close_attempt(connection, claim, AttemptOutcome(outcome), failure=told)

    def record_rejected(self, job: Job, body: str, failure: Failure) -> None:
        told = {key: clean_text(v) if isinstance(v, str) else v for key, v in dataclasses.asdict(failure).items()}
        self._execute("record a rejected message", "reject_message", job_id=job.id, body=clean_text(body), **told)

    def mark_dispatched(self, messages: Iterable[TaskMessage]) -> None:
        named = [message for message in messages if message.job]
        self._execute(
            "record what was dispatched",
            "mark_dispatched",
            jobs=[message.job for message in named],
            w_ids=[message.w_id for message in named],
            i_ids=[message.i_id for message in named],
            sources=[message.source or self._default_source for message in named],
        )

    def undispatched(self, job: Job, *, limit: int, redispatch_after: float) -> list[TaskMessage]:
        with self._database.transaction(f"look after the tasks of {job.name}") as connection:
            lock = first(connection, self._sql["try_maintenance_lock"], {"job_id": job.id})
            if not (lock and lock["ours"]):
                return []
            self._expire(connection, job.id, None)
            connection.execute(self._sql["release_waiting"], {"job_id": job.id})
            wanted = {"job_id": job.id, "limit": limit, "redispatch_after": redispatch_after}
            return [message_of(row, job.name) for row in rows(connection, self._sql["undispatched"], wanted)]

    def has_done(self, job: Job) -> bool:
        with self._database.transaction(f"look for finished tasks of {job.name}") as connection:
            row = first(connection, self._sql["has_done"], {"job_id": job.id}) or {}
        return bool(row.get("done"))

    def done_to_verify(self, job: Job, *, limit: int) -> list[DoneTask]:
        with self._database.transaction(f"look up finished tasks of {job.name}") as connection:
            found = rows(connection, self._sql["done_to_verify"], {"job_id": job.id, "limit": limit})
        return [done_of(row, job.name) for row in found]

    def given_up_to_verify(self, job: Job, *, limit: int) -> list[GivenUpTask]:
        with self._database.transaction(f"look up failed tasks of {job.name}") as connection:
            found = rows(connection, self._sql["given_up_to_verify"], {"job_id": job.id, "limit": limit})
        return [GivenUpTask(row["id"], str(row["uid"]), location_of(row, job.name)) for row in found]

    def record_published(self, task_id: int, result: TaskResult) -> None:
        with self._database.transaction("record a published artefact") as connection:
            connection.execute(self._sql["lock_volume_of_task"], {"task_id": task_id})
            task = first(connection, self._sql["lock_given_up"], {"task_id": task_id})
            if task:
                connection.execute(self._sql["finish"], {"task_id": task_id, **finished(result)})
                connection.execute(self._sql["release_dependants"], task)

    def doubt(self, claim: Claim, jobs: Sequence[str]) -> None:
        self._execute("note a doubt", "doubt", task_id=claim.task_id, jobs=list(jobs))

    def reopen(self, task_id: int, reason: str) -> None:
        with self._database.transaction("queue a task again") as connection:
            connection.execute(self._sql["lock_volume_of_task"], {"task_id": task_id})
            canceled = first(connection, self._sql["reopen"], {"task_id": task_id, "reason": clean_text(reason)})
            if canceled:
                asked = {"manifest_etag": canceled["manifest_etag"], "adopt_foreign": canceled["adopt_foreign"]}
                self._add_tasks(connection, [canceled["job_id"]], canceled["volume_id"], **asked)

    def unfinished(self, job: Job) -> int:
        with self._database.transaction(f"count the tasks of {job.name}") as connection:
            row = first(connection, self._sql["unfinished"], {"job_id": job.id}) or {"tasks": 0}
        return int(row["tasks"])

    def now(self) -> dt.datetime:
        with self._database.transaction("tell its time") as connection:
            row = first(connection, self._sql["now"], {}) or {}
        time: dt.datetime = row["now"]
        return time

    def _execute(self, doing: str, statement: str, **parameters: Any) -> None:
        with self._database.transaction(doing) as connection:
            connection.execute(self._sql[statement], parameters)

    def _require_source(self, connection: Connection, volume: VolumeRef) -> None:
        if volume.source == self._default_source:
            return
        row = first(connection, self._sql["source_is_known"], {"source": volume.source})
        if not (row and row["known"]):
            raise TerminalError(
                f"The volume {volume} is said to lie in the source '{volume.source}', which is not known here.",
                code="E_SOURCE_UNKNOWN",
                hint="Enqueue a volume of that source first, or send the message without a source.",
            )

    def _latest_task(self, connection: Connection, job: Job, volume: VolumeRef, token: UUID) -> Row | None:
        named = {"job_id": job.id, "w_id": volume.w_id, "i_id": volume.i_id, "source": volume.source}
        task = first(connection, self._sql["latest_task"], named)
        if task is None or task["state"] in {"done", "terminal_failed", "canceled"}:
            return task
        if task["job_deleted"]:
            connection.execute(self._sql["cancel_task"], {"task_id": task["id"], "reason": "the job was deleted"})
            return task | {"state": "canceled"}
        if task["state"] == "running" and task["lease_left"] < 0 and task["token"] != token:
            self._expire(connection, job.id, task["id"])
            return first(connection, self._sql["latest_task"], named)
        return task

    def _expire(self, connection: Connection, job_id: int, task_id: int | None) -> None:
        parameters = {"job_id": job_id, "task_id": task_id, "fingerprint": _EXPIRED, "grace": self._outage_grace}
        connection.execute(self._sql["expire"], parameters)

    def _take(self, connection: Connection, task: Row, worker_id: str, token: UUID, lease: float) -> Row | None:
        parameters = {"task_id": task["id"], "worker_id": worker_id, "token": token, "lease": lease}
        taken = first(connection, self._sql["take"], parameters)
        if taken is None:
            return None
        attempt = first(connection, self._sql["open_attempt"], {**parameters, **taken}) or {}
        return taken | attempt

    def _claim_of(self, connection: Connection, taken: Row, volume: VolumeRef, token: UUID) -> Claim:
        row = first(connection, self._sql["job_by_id"], {"job_id": taken["job_id"]}) or {}
        return Claim(
            task_id=taken["id"],
            attempt=taken["attempt"],
            token=token,
            job=job_of({**row, "config": taken["config"], "config_hash": taken["config_hash"]}),
            volume=volume,
            manifest_etag=taken["manifest_etag"],
            force=taken["force"],
            charged=taken["charged"],
            nb_images_intro=taken["nb_images_intro"],
            task_uid=str(taken["uid"]),
            deaths=Counter(taken["deaths"]),
            last_failure=taken["last_failure"] or "",
            adopt_foreign=taken["adopt_foreign"],
            replace_foreign=taken["replace_foreign"],
        )

    @contextmanager
    def _locked(self, claim: Claim, doing: str) -> Iterator[tuple[Connection, Row]]:
        with self._database.transaction(f"{doing} {claim.volume}") as connection:
            connection.execute(self._sql["lock_volume_of_task"], {"task_id": claim.task_id})
            task = first(connection, self._sql["lock_claim"], _fencing(claim))
            if task is None:
                raise _lost(claim)
            yield connection, task

    def _add_tasks(
        self,
        connection: Connection,
        job_ids: Sequence[int],
        volume_id: int,
        *,
        manifest_etag: str | None = None,
        force: bool = False,
        adopt_foreign: bool = False,
        dispatched: bool = False,
    ) -> None:
        """Give a volume a task of each of these jobs, as far as it has no unfinished one."""
        ids = {"job_ids": list(job_ids), "volume_id": volume_id}
        asked = {"manifest_etag": manifest_etag, "force": force, "adopt_foreign": adopt_foreign}
        new = {**ids, **asked, "dispatched": dispatched}
        connection.execute(self._sql["add_task"], new)
        connection.execute(self._sql["release_dependants"], ids)

    def _supersede(self, connection: Connection, claim: Claim, task: Row, manifest_etag: str) -> None:
        connection.execute(self._sql["cancel_task"], {"task_id": claim.task_id, "reason": SUPERSEDED})
        self._close_attempt(connection, claim, AttemptOutcome.SUPERSEDED)
        asked = {"force": task["force"], "adopt_foreign": task["adopt_foreign"]}
        self._add_tasks(connection, [task["job_id"]], task["volume_id"], manifest_etag=manifest_etag, **asked)
        self._add_outdated_dependencies(connection, task, manifest_etag)

    def _stamp_or_wait(self, connection: Connection, claim: Claim, task: Row, manifest_etag: str) -> bool:
        parameters = {"task_id": claim.task_id, "manifest_etag": manifest_etag}
        connection.execute(self._sql["stamp"], parameters)
        lacks = first(connection, self._sql["lacks_dependencies"], parameters)
        if not (lacks and lacks["lacks"]):
            return True
        connection.execute(self._sql["put_to_wait"], parameters)
        self._close_attempt(connection, claim, AttemptOutcome.SUPERSEDED)
        self._add_outdated_dependencies(connection, task, manifest_etag)
        return False

    def _add_outdated_dependencies(self, connection: Connection, task: Row, manifest_etag: str) -> None:
        outdated = [row["job_id"] for row in rows(connection, self._sql["outdated_dependencies"], task)]
        self._add_tasks(connection, outdated, task["volume_id"], manifest_etag=manifest_etag)

    def _close_attempt(
        self,
        connection: Connection,
        claim: Claim,
        outcome: AttemptOutcome,
        *,
        charged: bool = False,
        failure: Mapping[str, Any] | None = None,
        metrics: Any = None,
    ) -> None:
        nothing = {"code": None, "stage": None, "message": None, "fingerprint": None}
        values = {**nothing, **(failure or {}), "outcome": outcome.value, "charged": charged, "metrics": metrics}
        connection.execute(self._sql["close_attempt"], {**_fencing(claim), **values})


def _fencing(claim: Claim) -> dict[str, Any]:
    return {"task_id": claim.task_id, "attempt": claim.attempt, "token": claim.token}


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(f"Attempt {claim.attempt} at {claim.job.name} of {claim.volume} is no longer ours.")


def _require_running(claim: Claim, task: Row) -> None:
    if task["state"] != "running":
        raise _lost(claim)


def _refusal(task: Row | None) -> ClaimRefused:
    if task is None:
        return ClaimRefused(Refusal.UNKNOWN)
    state = TaskState(task["state"])
    if state.is_final:
        return ClaimRefused(Refusal.FINAL, state)
    if state is TaskState.RUNNING:
        # A lease that ran out and still stands: its owner may be on its way back from an outage of the database.
        left = task["lease_left"]
        return ClaimRefused(Refusal.BUSY, state, left if left > 0 else _BUSY_RETRY_AFTER)
    if state is TaskState.WAITING:
        return ClaimRefused(Refusal.WAITING, state, _WAITING_RETRY_AFTER)
    return ClaimRefused(Refusal.BACKOFF, state, max(task["backoff_left"] or 0.0, 0.0))


def _failed(task: Row) -> FailedTask:
    return FailedTask(TaskState(task["state"]), max(task["backoff_left"] or 0.0, 0.0))
