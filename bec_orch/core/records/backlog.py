"""The port of what is to be done: volumes get tasks, tasks get messages, and failed ones get another chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bec_orch.core.messages import TaskMessage
from bec_orch.core.records.jobs import JobLookup
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import VolumeRef


@dataclass(frozen=True, slots=True)
class EnqueueOrder:
    """How volumes are to be enqueued; see `Enqueuer.enqueue`. `etags` are the manifests' ETags as far as known."""

    etags: Mapping[VolumeRef, str] = field(default_factory=dict)
    force: bool = False
    stale: bool = False
    adopt_foreign: bool = False
    replace_foreign: Mapping[VolumeRef, str] = field(default_factory=dict)
    intro_pages: int | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class VolumeFault:
    """A volume that was left out, why, and what to do."""

    volume: VolumeRef
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class EnqueueReport:
    """What became of the volumes, each counted once.

    `queued` and `waiting` have a new task; of these `superseded` took the place of an unfinished task for an older
    version. The others have none: done for the last known version, done but not as it would be today (`stale`),
    finally failed for this version and config, or unfinished already. `faults` are volumes whose version could not be
    read. `sent` counts messages, those of earlier calls that were cut short among them.
    """

    volumes: int = 0
    queued: int = 0
    waiting: int = 0
    superseded: int = 0
    skipped_done: int = 0
    skipped_stale: int = 0
    skipped_failed: int = 0
    already_unfinished: int = 0
    sent: int = 0
    faults: tuple[VolumeFault, ...] = ()

    def __add__(self, other: "EnqueueReport") -> "EnqueueReport":
        return EnqueueReport(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class UnsentTask:
    """A task that should have a message, and that message."""

    id: int
    message: TaskMessage


@dataclass(frozen=True, slots=True)
class RedriveFilter:
    """Which failed tasks to try again; None means any. `volume` is a work and a volume name."""

    code: str | None = None
    fingerprint: str | None = None
    volume: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ResetTask:
    """A task that failed for good and is to be tried again, and its state from now on."""

    id: int
    volume: VolumeRef
    state: TaskState


@dataclass(frozen=True, slots=True)
class VolumeStanding:
    """A volume, and the state of its unfinished task of a job, or else of its newest one."""

    volume: VolumeRef
    state: TaskState


class Backlog(JobLookup, Protocol):
    """What is to be done in one database."""

    def enqueue(self, job_name: str, volumes: Sequence[VolumeRef], order: EnqueueOrder) -> EnqueueReport:
        """Add a task for each of these volumes that needs one, all in one transaction; sends nothing.

        Only these volumes are locked. A volume has at most one unfinished task of a job.

        Raises:
            ConfigError: there is no such job.
        """
        ...

    def unsent(self, job: Job, *, after: int, limit: int) -> list[UnsentTask]:
        """Return queued tasks of the job that have no message yet, in the order of their numbers, from `after` on."""
        ...

    def mark_sent(self, task_ids: Sequence[int]) -> None:
        """Note that the messages of these tasks were sent (the outbox mark)."""
        ...

    def reset_failed(
        self, job_name: str, wanted: RedriveFilter, *, limit: int | None = None, dry_run: bool = False
    ) -> tuple[Job, list[ResetTask]]:
        """Set `terminal_failed` tasks that the filter names back, each with a new budget; return the job and them.

        `limit` takes at most that many, the oldest first; `dry_run` only finds them.

        Raises:
            ConfigError: there is no such job.
        """
        ...

    def cancel(self, job: Job, task_ids: Sequence[int], reason: str) -> None:
        """Cancel those of these tasks of the job that are unfinished; attempts at them lose their lease."""
        ...

    def standing(self, job: Job, w_id: str, i_id: str) -> list[VolumeStanding]:
        """Return how a volume stands for a job, in each source that has it."""
        ...

    def renew_statistics(self) -> None:
        """Have the database's planner learn anew how large the tables are."""
        ...
