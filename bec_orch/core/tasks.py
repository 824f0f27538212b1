"""Tasks: where each stands, the attempts at them, and the workers that make these."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, ModelInfo, StoredFile
from bec_orch.core.messages import TaskMessage
from bec_orch.core.volumes import PageCounts, VolumeRef


class TaskState(StrEnum):
    """Where a task stands. Final states are `DONE`, `TERMINAL_FAILED` and `CANCELED`."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYABLE_FAILED = "retryable_failed"
    DONE = "done"
    TERMINAL_FAILED = "terminal_failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether no worker will touch the task again by itself."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({TaskState.DONE, TaskState.TERMINAL_FAILED, TaskState.CANCELED})


class AttemptOutcome(StrEnum):
    """How one attempt ended."""

    DONE = "done"
    ADOPTED = "adopted"
    RETRYABLE_FAILED = "retryable_failed"
    TERMINAL_FAILED = "terminal_failed"
    INTERRUPTED = "interrupted"
    LEASE_LOST = "lease_lost"
    SUPERSEDED = "superseded"
    DIED = "died"


class IfMissing(StrEnum):
    """What a task does when the artefact of a job that it needs is missing.

    `WAIT` until it is there; `FAIL` once nobody is to make it any more; `PROCEED` at once, without its rows.
    """

    WAIT = "wait"
    FAIL = "fail"
    PROCEED = "proceed"


MISSING = "missing"
"""What stands among the inputs of work in the place of an artefact that it went without; no file has that name."""


@dataclass(frozen=True, slots=True)
class Job:
    """A named job type with its config and its policies.

    `max_attempts` counts charged attempts; `max_page_error_rate` is the share (0 to 1) of the pages that are not
    skipped which may end as errors in a volume that is done. `if_missing` names the jobs of `depends_on` that are not
    waited for. `artifact_prefix` is the folder of its artefacts in the destination, None where that has the job's name;
    `needed_prefixes` are those of the jobs of `depends_on`, as far as they have one.
    """

    id: int
    name: str
    type: str
    config: Mapping[str, Any]
    config_hash: str
    max_attempts: int = 5
    max_page_error_rate: float = 0.05
    depends_on: tuple[str, ...] = ()
    if_missing: Mapping[str, IfMissing] = field(default_factory=dict)
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    artifact_prefix: str | None = None
    needed_prefixes: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """The folder of the destination in which its artefacts lie."""
        return self.artifact_prefix or self.name

    def root_of(self, needed: str) -> str:
        """Return the folder in which the artefacts of a job lie that it needs."""
        return self.needed_prefixes.get(needed, needed)


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt at a task, held by one worker. `(task_id, attempt, token)` fences every later write.

    `config` is the snapshot of the job's config that this attempt runs under, whatever is edited meanwhile.
    `manifest_etag` is what an earlier attempt, or `enqueue --refresh`, stamped; `force` asks to do the work again even
    if a valid artefact is there. `charged` counts the attempts so far that were charged, this one not among them.
    `task_uid` is unique over all databases, so that an artefact can say which task made it. `deaths` says at which
    pages (by index) how many attempts at the task died with their worker. `last_failure` is the code that the attempt
    right before this one failed with, empty where it did not fail, and after a redrive. Where an artefact of others is
    in the way, `adopt_foreign` asks to take it as it is, and `replace_foreign` is the ETag of the `success.json` to be
    replaced.
    """

    task_id: int
    attempt: int
    token: UUID
    job: Job
    volume: VolumeRef
    manifest_etag: str | None
    force: bool
    charged: int
    nb_images_intro: int = 0
    task_uid: str = ""
    deaths: Mapping[int, int] = field(default_factory=dict)
    last_failure: str = ""
    adopt_foreign: bool = False
    replace_foreign: str | None = None

    @property
    def deadly_pages(self) -> frozenset[int]:
        """The pages that took as many workers with them as the job allows attempts: they are left out."""
        return frozenset(page for page, deaths in self.deaths.items() if deaths >= self.job.max_attempts)

    @property
    def suspect_pages(self) -> frozenset[int]:
        """The other pages at which an attempt died: they are done last, one by one."""
        return frozenset(self.deaths) - self.deadly_pages

    def named(self) -> dict[str, Any]:
        """Return the fields by which events of the log name this attempt."""
        return {"task": self.task_id, "volume": str(self.volume), "attempt": self.attempt}


class Refusal(StrEnum):
    """Why a task cannot be claimed now."""

    FINAL = "final"
    BUSY = "busy"
    BACKOFF = "backoff"
    WAITING = "waiting"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClaimRefused:
    """The claim was refused, and for how many seconds the message is best hidden (None: no use in asking again).

    `FINAL` means that a final state was read back from the database: only then may the message be deleted.
    """

    refusal: Refusal
    state: TaskState | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, in the words that SQL and the command line show.

    A failure that is not `charged` (network, credentials, GPU, disk) never uses up a task's attempts. Where it is that
    of a volume's pages, `pages` and `counters` say how these ended, as in `TaskResult`.
    """

    code: str
    stage: str
    message: str
    fingerprint: str
    retryable: bool
    charged: bool = True
    hint: str = ""
    pages: PageCounts | None = None
    counters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a finished attempt leaves in the database.

    `counters` are the job's own sums, and how many pages have each error: `{"lines": 4123, "E_IMAGE_TRUNCATED": 1}`.
    `metrics` is the JSON form of `core.metrics.Metrics`. `inputs` names, by job, the artefact file of each dependency
    that the work was done on, or `MISSING`.
    """

    manifest_etag: str
    config_hash: str
    code_version: str
    models: tuple[ModelInfo, ...]
    pages: PageCounts
    files: tuple[ArtefactFile, ...]
    counters: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    adopted: bool = False
    sidecars: tuple[StoredFile, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedTask:
    """What became of a task whose attempt failed: its new state, and the seconds until it may be tried again.

    `released` are the messages of tasks that waited for it and are `queued` now, because they are to fail with it.
    """

    state: TaskState
    retry_after: float = 0.0
    released: tuple[TaskMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class DoneTask:
    """A task that the database calls `done`: its artefact's place, version and number of rows."""

    task_id: int
    location: ArtefactLocation
    manifest_etag: str
    nb_pages: int


@dataclass(frozen=True, slots=True)
class GivenUpTask:
    """A task that failed for good, and where its artefact would lie if one of its attempts had published it."""

    task_id: int
    task_uid: str
    location: ArtefactLocation


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker process: takes tasks of one job. `models` and `code_version` are what it makes artefacts with.

    On EC2 the last three describe its machine; `lifecycle` is `spot` or `on-demand`.
    """

    id: str
    job_id: int
    host: str
    pid: int
    version: str
    models: tuple[ModelInfo, ...] = ()
    code_version: str = ""
    instance_id: str | None = None
    instance_type: str | None = None
    lifecycle: str | None = None


@dataclass(frozen=True, slots=True)
class TaskActivity:
    """What a worker does at this moment with one task."""

    task_id: int
    pages_done: int
    pages_total: int
