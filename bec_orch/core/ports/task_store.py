"""The port of the database: the truth about tasks."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from bec_orch.core.messages import TaskMessage
from bec_orch.core.tasks import (
    Claim,
    ClaimRefused,
    DoneTask,
    FailedTask,
    Failure,
    GivenUpTask,
    Job,
    TaskActivity,
    TaskResult,
    WorkerInfo,
)
from bec_orch.core.volumes import VolumeRef


class TaskStore(Protocol):
    """The truth about tasks. Every time here is the database's own clock; no decision compares two machines' clocks.

    Every method raises `DatabaseError` (retryable) when the database is away, and may be called again then: with the
    same arguments it leads to the same end state.
    """

    def job(self, name: str) -> Job:
        """Return a job by its name.

        Raises:
            ConfigError: there is no job of that name.
        """
        ...

    def register_worker(self, worker: WorkerInfo) -> None:
        """Record that a worker process runs."""
        ...

    def heartbeat(self, worker_id: str, activities: Sequence[TaskActivity]) -> None:
        """Record that the worker lives, and at which page of which tasks it is (none: it is idle)."""
        ...

    def is_deleted(self, job: Job) -> bool:
        """Return whether the job was deleted, be there another one of its name or not."""
        ...

    def stop_worker(self, worker_id: str, reason: str) -> None:
        """Record that the worker ended by itself, and why."""
        ...

    def spelled(self, volume: VolumeRef) -> VolumeRef:
        """Return a volume by the names that it is recorded under, where it was named in another Unicode form of them.

        Raises:
            TerminalError: the volume's source is neither the default one nor one that the database knows.
        """
        ...

    def ensure_task(self, job: Job, volume: VolumeRef) -> None:
        """Make a task of the job for the volume if it never had one (a message sent by hand).

        Raises:
            TerminalError: the volume's source is neither the default one nor one that the database knows.
        """
        ...

    def claim(self, job: Job, volume: VolumeRef, *, worker_id: str, token: UUID, lease: float) -> Claim | ClaimRefused:
        """Take the volume's unfinished task for `lease` seconds, or return why not.

        One UPDATE takes it if it is `queued`, or `retryable_failed` and its backoff is over, or `running` with an
        expired lease, or if it carries this very token already (a lost acknowledgement does no harm). It raises
        `attempt` and inserts the attempt's row with a snapshot of the job's config.
        """
        ...

    def stamp_manifest(self, claim: Claim, manifest_etag: str, nb_pages: int) -> bool:
        """Record the version that this attempt runs on.

        Return False when the task stands for another version already: the task is then canceled as superseded, and a
        new one queued for this version, to be dispatched by maintenance or by the caller.

        Raises:
            LeaseLost: the claim is no longer ours.
        """
        ...

    def given_up_dependencies(self, claim: Claim) -> Mapping[str, str]:
        """Return what the task needs that is not done, and that it does not wait for either: by job, the reason."""
        ...

    def renew(self, claim: Claim, lease: float) -> bool:
        """Keep the claim for `lease` seconds from now; False when the attempt was superseded or canceled."""
        ...

    def fence(self, claim: Claim, lease: float) -> AbstractContextManager[None]:
        """Renew the claim once more and hold the task's row locked for the block.

        Inside the block nobody else can take the task, whatever the block does to the store of artefacts.

        Raises:
            LeaseLost: the claim is no longer ours.
        """
        ...

    def commit(self, claim: Claim, result: TaskResult) -> tuple[TaskMessage, ...]:
        """Make the task `done` where the claim is ours, close the attempt, and release what waited for it.

        Return the messages of the tasks that are `queued` by this; the caller marks them as dispatched with
        `mark_dispatched`. Committing the same claim twice is one commit.

        Raises:
            LeaseLost: the claim is no longer ours.
        """
        ...

    def fail(self, claim: Claim, failure: Failure) -> FailedTask:
        """Close the attempt with its failure, and set the task to be tried again or to its end.

        A retryable failure counts against the job's `max_attempts` only where it says that it is charged; when they are
        used up, the task becomes `terminal_failed` with the code `E_ATTEMPTS_EXHAUSTED`. Tasks that are to fail with it
        are released; the caller sends and marks their messages as after `commit`.

        Raises:
            LeaseLost: the claim is no longer ours.
        """
        ...

    def release(self, claim: Claim, outcome: str, message: str) -> None:
        """Release the task, `queued` at once, its attempt not charged (`interrupted` or `lease_lost`).

        Does nothing when the claim is no longer ours.
        """
        ...

    def record_rejected(self, job: Job, body: str, failure: Failure) -> None:
        """Record a message that was dead-lettered before any task could be found for it."""
        ...

    def mark_dispatched(self, messages: Iterable[TaskMessage]) -> None:
        """Set the outbox mark of the unfinished tasks that these messages name."""
        ...

    def undispatched(self, job: Job, *, limit: int, redispatch_after: float) -> list[TaskMessage]:
        """Return messages for tasks of the job that need one.

        Those are: `queued` and never dispatched; `queued` or with its backoff over, and dispatched longer than
        `redispatch_after` seconds ago; `running` with an expired lease (these are set back to
        `queued`, and their attempt closed as `lease_lost` and charged). Also releases `waiting` tasks whose
        dependencies are all done.
        Runs under a transaction lock: when another worker is at it, returns nothing.
        """
        ...

    def has_done(self, job: Job) -> bool:
        """Return whether any task of the job is `done`, and its volume not to be done anew."""
        ...

    def done_to_verify(self, job: Job, *, limit: int) -> list[DoneTask]:
        """Return the `done` tasks whose artefacts were not looked at for longest, and mark them as looked at now."""
        ...

    def given_up_to_verify(self, job: Job, *, limit: int) -> list[GivenUpTask]:
        """Return the `terminal_failed` tasks that were not looked at for longest, and mark them as looked at now.

        Those whose volume has a newer task that is `done` or unfinished are left out.
        """
        ...

    def record_published(self, task_id: int, result: TaskResult) -> None:
        """Make a `terminal_failed` task `done` whose own artefact was found, and release what waited for it.

        Does nothing when the task is no longer `terminal_failed`, or its volume has a newer one as above.
        """
        ...

    def doubt(self, claim: Claim, jobs: Sequence[str]) -> None:
        """Have the finished tasks of these jobs for the claim's volume looked at first by the next maintenance."""
        ...

    def reopen(self, task_id: int, reason: str) -> None:
        """Queue a new task in the place of a `done` one whose artefact is gone, and cancel the old one with the reason.

        Does nothing when the task is no longer `done`, or its volume has an unfinished task already.
        """
        ...

    def unfinished(self, job: Job) -> int:
        """Count the tasks of the job that a worker could still do: not final, and not `waiting`."""
        ...

    def now(self) -> dt.datetime:
        """Return the database's clock."""
        ...
