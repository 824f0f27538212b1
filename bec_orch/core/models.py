"""The plain, frozen values that the parts hand to each other. Words are those of docs/concepts.md."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from bec_orch.core.names import check_name


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


class PageState(StrEnum):
    """The page ledger: each page of a manifest ends in exactly one of these."""

    OK = "ok"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True, slots=True, order=True)
class VolumeRef:
    """One scanned book: work, image group, and the source it is read from.

    `source` is `<layout>+<url>`, for example `bdrc+s3://archive.tbrc.org` or `folder+file:///scans`.

    Raises:
        NameUnsafeError: if `w_id` or `i_id` could leave its folder or prefix.
    """

    w_id: str
    i_id: str
    source: str

    def __post_init__(self) -> None:
        check_name("work", self.w_id)
        check_name("volume", self.i_id)

    def __str__(self) -> str:
        return f"{self.w_id}/{self.i_id}"


# The `skip_reason` of the pages that the library's scanners put in front of a volume.
SKIP_INTRO = "intro"


@dataclass(frozen=True, slots=True)
class Page:
    """One page image of a manifest.

    `index` is its 0-based place in the manifest; `etag` the version of the image where the source's listing tells it;
    `width` and `height` the stored bitmap's pixels where the manifest tells them; `skip_reason` the rule by which the
    page is not to be done, or None.
    """

    index: int
    filename: str
    etag: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    skip_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The ordered list of a volume's page images, with the ETag that is the volume's version."""

    volume: VolumeRef
    etag: str
    pages: tuple[Page, ...]

    @property
    def version(self) -> str:
        """The first six hex digits of the ETag, as artefact keys carry them."""
        return version_of(self.etag)


def version_of(etag: str) -> str:
    """Shorten a manifest's ETag to its artefact version.

    ETags are text: quotes and a weak mark are taken off, and what is not a hex digit (multipart ETags end in `-N`)
    is passed over.
    """
    digits = [c for c in etag.lower().removeprefix("w/") if c in "0123456789abcdef"]
    return "".join(digits[:6]).ljust(6, "0")


@dataclass(frozen=True, slots=True)
class Job:
    """A named job type with its config and its policies.

    `max_attempts` counts charged attempts; `max_page_error_rate` is the share (0 to 1) of the pages that are not
    skipped which may end as errors in a volume that is done.
    """

    id: int
    name: str
    type: str
    config: Mapping[str, Any]
    config_hash: str
    max_attempts: int = 5
    max_page_error_rate: float = 0.05
    depends_on: tuple[str, ...] = ()
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """A hint that the task of this job for this volume may be ready. Never the truth."""

    w_id: str
    i_id: str
    job: str | None = None
    source: str | None = None

    def to_json(self) -> dict[str, str]:
        """Give the stored form; what is unknown is left out."""
        every = {"job": self.job, "w_id": self.w_id, "i_id": self.i_id, "source": self.source}
        return {key: value for key, value in every.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One delivery of a queue message. `receipt` is good until the message becomes visible again.

    `body` is what was sent, unread: it may be anything that somebody sent by hand.
    """

    message_id: str
    receipt: str
    body: str
    receive_count: int
    sent_at: dt.datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, with the reason that it was given up for."""

    message_id: str
    body: str
    reason: Mapping[str, str]
    dead_at: dt.datetime


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Counts of one queue; `oldest_seconds` is that of the oldest message, None if there is none, or unknown."""

    visible: int
    in_flight: int
    delayed: int
    dead: int
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt at a task, held by one worker. `(task_id, attempt, token)` fences every later write.

    `config` is the snapshot of the job's config that this attempt runs under, whatever is edited meanwhile.
    `manifest_etag` is what an earlier attempt, or `enqueue --refresh`, stamped; `force` asks to do the work again even
    if a valid artefact is there. `charged` counts the attempts so far that were charged, this one not among them.
    `task_uid` is unique over all databases, so that an artefact can tell which task made it. `deaths` tells at which
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
        """Give the fields by which events of the log name this attempt."""
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
class ModelInfo:
    """A model that a job ran with: its name and the SHA-256 of its file, in hex."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class PageCounts:
    """Pages of a volume by ledger state. Mergeable."""

    ok: int = 0
    skipped: int = 0
    error: int = 0

    @property
    def total(self) -> int:
        """All pages that have a state."""
        return self.ok + self.skipped + self.error

    @property
    def error_rate(self) -> float:
        """The share of errors among the pages that were not skipped; 0 when there are none."""
        tried = self.ok + self.error
        return self.error / tried if tried else 0.0

    def __add__(self, other: "PageCounts") -> "PageCounts":
        return PageCounts(self.ok + other.ok, self.skipped + other.skipped, self.error + other.error)


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """How one page ended: the page's row of the artefact.

    `row` holds the job's own columns (empty unless `OK`); the error fields are set only when the state is `ERROR`,
    `skip_reason` only when it is `SKIPPED`. `error_hint` is no column: it is told with a volume that fails.
    """

    index: int
    state: PageState
    source_etag: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict)
    error_stage: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    skip_reason: str | None = None
    error_hint: str = ""


@dataclass(frozen=True, slots=True)
class ArtefactLocation:
    """Where the artefact of one job for one version of one volume lies in the destination store."""

    job: str
    volume: VolumeRef
    version: str

    @property
    def prefix(self) -> str:
        """The key prefix, without a slash at its end."""
        return f"{self.job}/{self.volume.w_id}/{self.volume.i_id}/{self.version}"

    @property
    def stem(self) -> str:
        """The beginning of the names of the files under the prefix."""
        return f"{self.volume.w_id}-{self.volume.i_id}-{self.version}"


@dataclass(frozen=True, slots=True)
class ArtefactFile:
    """One file that a `success.json` names: key, size in bytes, SHA-256 in hex, and its number of rows."""

    key: str
    size: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, in the words that SQL and the command line show.

    A failure that is not `charged` (network, credentials, GPU, disk) never uses up a task's attempts.
    """

    code: str
    stage: str
    message: str
    fingerprint: str
    retryable: bool
    charged: bool = True
    hint: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a finished attempt leaves in the database.

    `counters` are the job's own sums, and how many pages have each error: `{"lines": 4123, "E_IMAGE_TRUNCATED": 1}`.
    `metrics` is the JSON form of `core.metrics.Metrics`. `inputs` names, by job, the artefact file of each dependency
    that the work was done on.
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


@dataclass(frozen=True, slots=True)
class FailedTask:
    """What became of a task whose attempt failed: its new state, and the seconds until it may be tried again."""

    state: TaskState
    retry_after: float = 0.0


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

    On EC2 the last three tell of its machine; `lifecycle` is `spot` or `on-demand`.
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
