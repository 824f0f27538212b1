"""The Protocols that the heart needs of the outside world: database, sources, artefacts. Queues: `queue_ports`."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from bec_orch.core.job_worker import PageReader, RowStore
from bec_orch.core.models import (
    ArtefactFile,
    ArtefactLocation,
    Claim,
    ClaimRefused,
    DoneTask,
    FailedTask,
    Failure,
    GivenUpTask,
    Job,
    Manifest,
    ModelInfo,
    PageCounts,
    PageOutcome,
    TaskActivity,
    TaskMessage,
    TaskResult,
    VolumeRef,
    WorkerInfo,
)
from bec_orch.core.ownership import Mark

if TYPE_CHECKING:
    import pyarrow as pa


class TaskStore(Protocol):
    """The truth about tasks. Every time here is the database's own clock; no decision compares two machines' clocks.

    Every method raises `DatabaseError` (retryable) when the database is away, and may be called again then: with the
    same arguments it leads to the same end state.
    """

    def job(self, name: str) -> Job:
        """Give a job by its name.

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

    def stop_worker(self, worker_id: str, reason: str) -> None:
        """Record that the worker ended by itself, and why."""
        ...

    def ensure_task(self, job: Job, volume: VolumeRef) -> None:
        """Give the volume a task of the job if it never had one (a message sent by hand).

        Raises:
            TerminalError: the volume's source is neither the default one nor one that the database knows.
        """
        ...

    def claim(self, job: Job, volume: VolumeRef, *, worker_id: str, token: UUID, lease: float) -> Claim | ClaimRefused:
        """Take the volume's unfinished task for `lease` seconds, or tell why not.

        One UPDATE takes it if it is `queued`, or `retryable_failed` and its backoff is over, or `running` with an
        expired lease, or if it carries this very token already (a lost acknowledgement does no harm). It raises
        `attempt` and inserts the attempt's row with a snapshot of the job's config.
        """
        ...

    def stamp_manifest(self, claim: Claim, manifest_etag: str, nb_pages: int) -> bool:
        """Record the version that this attempt runs on.

        Gives False when the task stands for another version already: the task is then canceled as superseded, and a
        new one queued for this version, to be dispatched by maintenance or by the caller.

        Raises:
            LeaseLost: the claim is no longer ours.
        """
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

        Gives the messages of the tasks that are `queued` by this; they are marked as dispatched when the caller says so
        with `mark_dispatched`. Committing the same claim twice is one commit.

        Raises:
            LeaseLost: the claim is no longer ours.
        """
        ...

    def fail(self, claim: Claim, failure: Failure) -> FailedTask:
        """Close the attempt with its failure, and set the task to be tried again or to its end.

        A retryable failure counts against the job's `max_attempts` only where it says that it is charged; when they are
        used up, the task becomes `terminal_failed` with the reason `attempts_exhausted`.

        Raises:
            LeaseLost: the claim is no longer ours.
        """
        ...

    def release(self, claim: Claim, outcome: str, message: str) -> None:
        """Give the task back, `queued` at once, its attempt not charged (`interrupted` or `lease_lost`).

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
        """Give messages for tasks of the job that need one.

        Those are: `queued` and never dispatched; `queued` or with its backoff over, and dispatched longer than
        `redispatch_after` seconds ago; `running` with an expired lease (these are set back to
        `queued`, and their attempt closed as `lease_lost` and charged). Also releases `waiting` tasks whose
        dependencies are all done.
        Runs under a transaction lock: when another worker is at it, gives nothing.
        """
        ...

    def has_done(self, job: Job) -> bool:
        """Tell whether any task of the job is `done`, and its volume not to be done anew."""
        ...

    def done_to_verify(self, job: Job, *, limit: int) -> list[DoneTask]:
        """Give the `done` tasks whose artefacts were not looked at for longest, and mark them as looked at now."""
        ...

    def given_up_to_verify(self, job: Job, *, limit: int) -> list[GivenUpTask]:
        """Give the `terminal_failed` tasks that were not looked at for longest, and mark them as looked at now.

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
        """Give the database's clock."""
        ...


class ImageSource(Protocol):
    """Where volumes' images live, and how they are laid out."""

    name: str

    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        """Read the list of a volume's pages.

        Raises:
            ManifestMissing: there is none, in a source that is there.
            ManifestError: it is broken or hostile.
            RetryableError: the store is away.
        """
        ...

    def manifest_etag(self, volume: VolumeRef) -> str | None:
        """Ask for the volume's version alone, as cheaply as the source can; None when there is no such volume.

        Raises:
            RetryableError: the store is away.
        """
        ...

    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        """Give the names of all files that lie in the volume's folder now.

        Raises:
            RetryableError: the store is away.
        """
        ...

    def pages(self, manifest: Manifest) -> PageReader:
        """Give the reader of the manifest's page images."""
        ...

    def volumes(self) -> Iterable[VolumeRef]:
        """List the volumes of the source, where its layout allows that.

        Raises:
            UsageError: this layout cannot be listed.
        """
        ...


class SourceFactory(Protocol):
    """Gives the source of a volume by the source's name (`<layout>+<url>`)."""

    def __call__(self, source: str) -> ImageSource: ...


@dataclass(frozen=True, slots=True)
class Success:
    """What a `success.json` says. `etag` is that of the object itself, for a compare-and-swap; `mark` tells whose.

    A `success.json` of an older layout, or of another program, has only `location`, `etag` and the file that the older
    layout would have; the other fields are None or empty.
    """

    location: ArtefactLocation
    etag: str
    files: tuple[ArtefactFile, ...]
    mark: Mark = field(default_factory=Mark)
    manifest_etag: str | None = None
    config_hash: str | None = None
    models: tuple[ModelInfo, ...] = ()
    task_uid: str | None = None
    attempt: int | None = None
    code_version: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    pages: PageCounts | None = None
    content: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """What a finished page is valid for: part files are shared by attempts that agree on it, page ETags beside it.

    `inputs` names, by job, the file of each dependency's artefact that the work is done on. `job_type` goes into the
    provenance of the file alone: the code version names the type's code.
    """

    config_hash: str
    models: tuple[ModelInfo, ...]
    code_version: str
    job_type: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)


class AttemptFiles(Protocol):
    """The files of one attempt while it runs: the rows, the finished pages of earlier attempts, and the final file."""

    @property
    def rows(self) -> RowStore:
        """Takes the rows of the pages."""
        ...

    def assemble(self) -> ArtefactFile:
        """Write the final Parquet file, close it, reopen it, check rows = manifest pages, take its digest, upload it.

        The upload is create-only, to a key of this database's and attempt's own; one that is there with the same digest
        is ours.

        Raises:
            RetryableError: disk full, store away, or another file under the key.
        """
        ...

    def error_summary(self) -> "tuple[str, PageOutcome] | None":
        """Give the commonest page error's code and one page that has it; None without page errors."""
        ...

    def counters(self) -> Mapping[str, float]:
        """Give the sums of the counted columns over all rows, also of earlier attempts, and page errors by code."""
        ...

    def discard_parts(self) -> None:
        """Remove our part files; called once the artefact is committed."""
        ...

    def close(self) -> None:
        """Remove the local files. May be called twice."""
        ...


class ArtefactStore(Protocol):
    """The destination store: keys, `success.json`, Parquet and part files."""

    def success(self, location: ArtefactLocation) -> Success | None:
        """Read the `success.json` of a location, None when there is none.

        Raises:
            StorageError: the store is away.
            TerminalError: the `success.json` there cannot be read (E_ARTEFACT_BROKEN).
        """
        ...

    def check_there(self) -> None:
        """See that the store is there, and holds something.

        Raises:
            StorageError: it is away, or empty as a mount point without its disk.
        """
        ...

    def owns(self, success: Success) -> bool:
        """Tell whether it is this database's own: what is not is never removed or replaced unless somebody names it.

        Raises:
            DatabaseError: the database is away, and was needed to tell.
        """
        ...

    def verify(self, success: Success, nb_pages: int) -> bool:
        """Tell whether each file that it names exists, has its size, opens, and has one row per manifest page."""
        ...

    def open_attempt(
        self,
        location: ArtefactLocation,
        manifest: Manifest,
        attempt: int,
        key: AttemptKey,
        schema: "pa.Schema",
        counted: Mapping[str, str],
    ) -> AttemptFiles:
        """Open the files of one attempt.

        `schema` has the job's own columns; `counted` names a counter and the integer column that it sums
        (`{"lines": "nb_contours"}`).
        """
        ...

    def commit(self, location: ArtefactLocation, content: Mapping[str, Any], *, replaces: Success | None) -> Success:
        """Put `success.json` with the marks of whose it is, create-only, or in exchange for exactly the one given.

        Gives the one that holds afterwards: when somebody else committed meanwhile, theirs. The caller holds the
        task's row locked, because folders know no compare-and-swap.

        Raises:
            StorageError: the store is away.
            PlaceTaken: the store keeps the older one from being replaced (E_ARTEFACT_LOCKED).
        """
        ...

    def sweep(self, success: Success, *, ended: int = 0) -> int:
        """Remove what our attempts left under the location that its `success.json` does not name; gives the number.

        Files of newer attempts stay, because they may be about to be published; but for those up to `ended`, which are
        known to have ended. What the store does not let go is told in the log, and stays.
        """
        ...

    def read_rows(self, success: Success, columns: Sequence[str] | None = None) -> "pa.Table":
        """Read the Parquet file that a `success.json` names."""
        ...
