"""The port of what can be seen: jobs, tasks, volumes, workers and failures, as operators look at them."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bec_orch.core.records.jobs import JobLookup
from bec_orch.core.tasks import IfMissing, Job, TaskState
from bec_orch.core.volumes import PageCounts, VolumeRef

# Four heartbeats of 15 s: one that is late, or lost with a connection, does not count yet.
LOST_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class VolumeFigures:
    """The volumes of one state, each by its newest task: how many, and their pages.

    `pages` are the ledger of what was done. `known_pages` is the sum over volumes whose manifest was read, and
    `without_pages` the number of the others. `stuck` counts those that wait for a job which failed for them, directly
    or through others, so that somebody has to act first; they are in neither of these two.
    """

    volumes: int = 0
    pages: PageCounts = field(default_factory=PageCounts)
    stale: int = 0
    known_pages: int = 0
    without_pages: int = 0
    stuck: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Pages that were done in the last seconds, not counting skipped ones."""

    pages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class JobFigures:
    """What is counted of one job, all at one instant. `paces` are by window; one without a finished volume is None."""

    job: Job
    tasks: Mapping[TaskState, int]
    volumes: Mapping[TaskState, VolumeFigures]
    page_errors: Mapping[str, int]
    paces: Mapping[float, Pace | None]


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; None means any."""

    state: TaskState | None = None
    code: str | None = None
    fingerprint: str | None = None
    w_id: str | None = None
    i_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task as operators see it.

    `root` is the folder of its job's artefacts. `reason` is why it waits or was canceled; `pages` is None until it is
    done, `failed_pages` unless it failed because of its pages.
    """

    id: int
    job: str
    root: str
    volume: VolumeRef
    state: TaskState
    attempt: int
    charged: int
    force: bool
    worker_id: str | None
    manifest_etag: str | None
    config_hash: str | None
    artefact_key: str | None
    pages: PageCounts | None
    failed_pages: PageCounts | None
    counters: Mapping[str, float]
    failure_code: str | None
    failure_stage: str | None
    failure_message: str | None
    failure_hint: str | None
    failure_fingerprint: str | None
    reason: str | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    not_before: dt.datetime | None
    lease_expires_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class StaleVolume:
    """A volume whose finished work would not come out the same today.

    `reasons` are of `manifest`, `config`, `model`, `code`, `dependency` and `reference`: what changed since.
    """

    volume: VolumeRef
    task_id: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DoneVolume:
    """A volume, and its newest task that is done."""

    volume: VolumeRef
    task_id: int
    manifest_etag: str


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One job, the jobs it needs (`if_missing` as in `Job`), and its tasks by state."""

    name: str
    type: str
    depends_on: tuple[str, ...]
    if_missing: Mapping[str, IfMissing]
    tasks: Mapping[TaskState, int]


class WorkerCondition(StrEnum):
    """What is known of a worker: at work, idle, silent for too long, or ended by itself."""

    WORKING = "working"
    IDLE = "idle"
    LOST = "lost"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """A task that a worker said it is at, how far, and since when this attempt runs."""

    task_id: int
    w_id: str
    i_id: str
    pages_done: int
    pages_total: int
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker process as operators see it."""

    id: str
    job: str
    host: str
    pid: int
    version: str
    condition: WorkerCondition
    silent_seconds: float
    doing: tuple[WorkerTask, ...]
    started_at: dt.datetime
    heartbeat_at: dt.datetime
    stopped_at: dt.datetime | None
    stop_reason: str | None
    instance_id: str | None = None
    instance_type: str | None = None
    lifecycle: str | None = None


@dataclass(frozen=True, slots=True)
class MachineUse:
    """That a machine ran from `begun` to `ended`. The type is empty when it is unknown."""

    machine: str
    instance_type: str
    spot: bool
    begun: dt.datetime
    ended: dt.datetime


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of one fingerprint: how many attempts and tasks they hit, and how many tasks they ended.

    `message` is that of the newest one; `example` its volume, or the message's body where no task was found, and
    `example_source` the source of that volume.
    """

    fingerprint: str
    job: str
    code: str
    stage: str
    message: str
    count: int
    tasks: int
    terminal: int
    first_at: dt.datetime
    last_at: dt.datetime
    example: str
    example_source: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedMessages:
    """What a job's tasks say of its queue.

    `dispatched` tasks should each have a message; `undispatched` ones have none yet; `expired` ones wait to be taken
    over; `terminal` ones may have a dead letter. `oldest_task_seconds` is the age of the oldest `queued` task.
    """

    dispatched: int
    undispatched: int
    expired: int
    terminal: int
    oldest_task_seconds: float | None = None


class Overview(JobLookup, Protocol):
    """What one database knows. Every method that takes a job's name raises `ConfigError` where there is no such job."""

    def figures(self, job_name: str, windows: tuple[float, ...]) -> JobFigures:
        """Count the tasks, volumes and pages of a job, and what was done in the last seconds of each window."""
        ...

    def tasks(self, job_name: str, wanted: TaskFilter | None = None, *, limit: int = 50) -> list[TaskView]:
        """Return tasks of a job, the last changed first."""
        ...

    def workers(
        self, job_name: str | None = None, *, stopped: bool = True, lost_after: float = LOST_AFTER, limit: int = 100
    ) -> list[WorkerView]:
        """Return workers, the running ones first; without `stopped`, those lost for a day are left out, too."""
        ...

    def machine_uses(self, job_name: str) -> list[MachineUse]:
        """Return which machines worked for a job, and when."""
        ...

    def spelled(self, volumes: Collection[VolumeRef]) -> dict[VolumeRef, VolumeRef]:
        """Return those of some volumes that are recorded under another Unicode form of their names, by what was asked.

        Only where none has the names as they stand, and one alone that form. A source of `""` is any.
        """
        ...

    def errors(self, job_name: str | None = None, *, limit: int = 50) -> list[ErrorGroup]:
        """Return failures grouped by fingerprint, the most common first; rejected messages included."""
        ...

    def stale(self, job_name: str, *, limit: int = 50) -> list[StaleVolume]:
        """Return volumes of a job whose finished work is stale, the oldest work first."""
        ...

    def jobs_with_tasks(self) -> list[GraphNode]:
        """Return every job by name, with what it needs and its tasks by state."""
        ...

    def expected_messages(self, job: Job) -> ExpectedMessages:
        """Count what the queue of a job should hold."""
        ...

    def done_volumes(self, job: Job) -> Iterator[list[DoneVolume]]:
        """Yield the volumes that the job has done, each once, in lists of bounded length."""
        ...

    def note_references(self, versions: Mapping[int, str]) -> None:
        """Note, by task, what lies now in the reference folders of its work: staleness is judged by that."""
        ...
