"""The truth about tasks: `TaskStore` on PostgreSQL.

Every later write of an attempt names its task, attempt and token, and changes nothing when they are stale. Who needs
both locks the volume's row before the task's, so that no two transactions wait for each other.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb
from typing_extensions import override

from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.messages import TaskMessage
from bec_orch.core.retries import RetryPolicy, after_failure
from bec_orch.core.tasks import (
    AttemptOutcome,
    Claim,
    ClaimRefused,
    FailedTask,
    Failure,
    Job,
    Refusal,
    TaskResult,
    TaskState,
)
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import DatabaseError, LeaseLost, TerminalError
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import JOB_DELETED
from bec_orch.io.postgres.rows import (
    Connection,
    Row,
    first,
    job_of,
    ledger_parameters,
    message_of,
    one,
    result_parameters,
    rows,
    spelled,
    volume_parameters,
)
from bec_orch.io.postgres.sql_files import statements
from bec_orch.io.postgres.upkeep import Upkeep, expire

SUPERSEDED = "superseded by a newer version of the volume"
"""The reason of a task that was canceled for one of a newer version."""

# A commit may hold a task's row while it puts `success.json`; a claim does not wait longer than this.
_CLAIM_LOCK_WAIT = "5s"
_BUSY_RETRY_AFTER = 5.0
# A task that waits is dispatched when it is released; its early message looks again at this pace.
_WAITING_RETRY_AFTER = 300.0


class PgTasks(Upkeep):
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
        super().__init__(database, default_source=default_source, outage_grace=outage_grace)
        self._retry = retry or RetryPolicy()
        self._sql = statements("tasks")

    @override
    def spelled(self, volume: VolumeRef) -> VolumeRef:
        with self._database.transaction(f"look for {volume} by its names") as connection:
            self._require_source(connection, volume)
            return spelled(connection, [volume]).get(volume, volume)

    @override
    def ensure_task(self, job: Job, volume: VolumeRef) -> None:
        named = volume_parameters(volume)
        with self._database.transaction(f"add a task for {volume}") as connection:
            self._require_source(connection, volume)
            connection.execute(self._sql["add_volume"], named)
            volume_id = one(connection, self._sql["lock_volume"], named)["id"]
            if not one(connection, self._sql["has_task"], {"job_id": job.id, "volume_id": volume_id})["present"]:
                self._add_tasks(connection, [job.id], volume_id, dispatched=True)

    @override
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

    @override
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

    @override
    def given_up_dependencies(self, claim: Claim) -> dict[str, str]:
        with self._database.transaction(f"read what {claim.volume} goes without") as connection:
            found = rows(connection, self._sql["given_up_dependencies"], {"task_id": claim.task_id})
        return {row["job"]: row["reason"] for row in found}

    @override
    def renew(self, claim: Claim, lease: float) -> bool:
        with self._database.transaction(f"renew the lease on {claim.volume}") as connection:
            return connection.execute(self._sql["renew"], {**_fencing(claim), "lease": lease}).rowcount == 1

    @override
    @contextmanager
    def fence(self, claim: Claim, lease: float) -> Iterator[None]:
        with self._database.transaction(f"hold the task of {claim.volume}") as connection:
            if connection.execute(self._sql["renew"], {**_fencing(claim), "lease": lease}).rowcount != 1:
                raise _lost(claim)
            yield

    @override
    def commit(self, claim: Claim, result: TaskResult) -> tuple[TaskMessage, ...]:
        with self._locked(claim, "commit the task of") as (connection, task):
            if task["state"] != "done":
                _require_running(claim, task)
                connection.execute(self._sql["finish"], {"task_id": claim.task_id, **result_parameters(result)})
                outcome = AttemptOutcome.ADOPTED if result.adopted else AttemptOutcome.DONE
                self._close_attempt(connection, claim, outcome, metrics=Jsonb(result.metrics))
                connection.execute(self._sql["release_dependants"], {"volume_id": task["volume_id"]})
            return tuple(message_of(row) for row in rows(connection, self._sql["dependants_to_dispatch"], task))

    @override
    def fail(self, claim: Claim, failure: Failure) -> FailedTask:
        with self._locked(claim, "record the failure of") as (connection, task):
            if task["state"] in {"retryable_failed", "terminal_failed"}:
                return _failed(task)
            _require_running(claim, task)
            named = {"task_id": claim.task_id}
            budget = one(connection, self._sql["budget"], named)
            backoff = self._retry.backoff(budget["retries"])
            verdict = after_failure(failure, task["charged"], budget["max_attempts"], backoff)
            told = {name: getattr(failure, name) for name in ("code", "stage", "message", "fingerprint", "hint")}
            ended = {**told, **ledger_parameters(failure.pages, failure.counters), **dataclasses.asdict(verdict)}
            failed = one(connection, self._sql["fail"], {**ended, **named})
            self._close_attempt(
                connection, claim, AttemptOutcome(verdict.state.value), charged=failure.charged, failure=told
            )
            if verdict.state is not TaskState.TERMINAL_FAILED:
                return _failed(failed)
            connection.execute(self._sql["release_dependants"], {"volume_id": task["volume_id"]})
            released = rows(connection, self._sql["dependants_to_dispatch"], task)
            return dataclasses.replace(_failed(failed), released=tuple(message_of(row) for row in released))

    @override
    def release(self, claim: Claim, outcome: str, message: str) -> None:
        with self._database.transaction(f"give the task of {claim.volume} back") as connection:
            task = first(connection, self._sql["lock_claim"], _fencing(claim))
            if task is None or task["state"] != "running":
                return
            connection.execute(self._sql["give_back"], {"task_id": claim.task_id})
            told = {"code": f"E_{outcome.upper()}", "stage": "run", "message": message}
            self._close_attempt(connection, claim, AttemptOutcome(outcome), failure=told)

    @override
    def record_published(self, task_id: int, result: TaskResult) -> None:
        with self._database.transaction("record a published artefact") as connection:
            connection.execute(self._sql["lock_volume_of_task"], {"task_id": task_id})
            task = first(connection, self._sql["lock_given_up"], {"task_id": task_id})
            if task:
                connection.execute(self._sql["finish"], {"task_id": task_id, **result_parameters(result)})
                connection.execute(self._sql["release_dependants"], task)

    @override
    def reopen(self, task_id: int, reason: str) -> None:
        with self._database.transaction("queue a task again") as connection:
            connection.execute(self._sql["lock_volume_of_task"], {"task_id": task_id})
            canceled = first(connection, self._sql["reopen"], {"task_id": task_id, "reason": reason})
            if canceled:
                asked = {"manifest_etag": canceled["manifest_etag"], "adopt_foreign": canceled["adopt_foreign"]}
                self._add_tasks(connection, [canceled["job_id"]], canceled["volume_id"], **asked)

    def _require_source(self, connection: Connection, volume: VolumeRef) -> None:
        if volume.source == self._default_source:
            return
        if not source_is_known(connection, volume.source):
            raise TerminalError(
                f"The volume {volume} is said to lie in the source '{volume.source}', which is not known here.",
                code="E_SOURCE_UNKNOWN",
                hint="Enqueue a volume of that source first, or send the message without a source.",
            )

    def _latest_task(self, connection: Connection, job: Job, volume: VolumeRef, token: UUID) -> Row | None:
        named = {"job_id": job.id, **volume_parameters(volume)}
        task = first(connection, self._sql["latest_task"], named)
        if task is None or task["state"] in {"done", "terminal_failed", "canceled"}:
            return task
        if task["job_deleted"]:
            connection.execute(self._sql["cancel_task"], {"task_id": task["id"], "reason": JOB_DELETED})
            return task | {"state": "canceled"}
        if task["state"] == "running" and task["lease_left"] < 0 and task["token"] != token:
            expire(connection, job.id, task["id"], grace=self._outage_grace)
            return first(connection, self._sql["latest_task"], named)
        return task

    def _take(self, connection: Connection, task: Row, worker_id: str, token: UUID, lease: float) -> Row | None:
        parameters = {"task_id": task["id"], "worker_id": worker_id, "token": token, "lease": lease}
        taken = first(connection, self._sql["take"], parameters)
        if taken is None:
            return None
        return taken | one(connection, self._sql["open_attempt"], {**parameters, **taken})

    def _claim_of(self, connection: Connection, taken: Row, volume: VolumeRef, token: UUID) -> Claim:
        row = one(connection, statements("jobs")["jobs"], {"job_id": taken["job_id"], "name": None})
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
        """Lend a transaction that holds the volume's row and the task's, as long as the claim is the task's last."""
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
        """Add a task of each of these jobs for a volume, as far as it has no unfinished one."""
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
        self._add_outdated_dependencies(connection, task, manifest_etag)
        if not one(connection, self._sql["lacks_dependencies"], parameters)["lacks"]:
            return True
        connection.execute(self._sql["put_to_wait"], parameters)
        self._close_attempt(connection, claim, AttemptOutcome.SUPERSEDED)
        return False

    def _add_outdated_dependencies(self, connection: Connection, task: Row, manifest_etag: str) -> None:
        outdated = [row["job_id"] for row in rows(connection, self._sql["outdated_dependencies"], task)]
        if outdated:
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


def source_is_known(connection: Connection, source: str) -> bool:
    """Return whether any volume of the database lies in a source."""
    return bool(one(connection, statements("tasks")["source_is_known"], {"source": source})["known"])


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
