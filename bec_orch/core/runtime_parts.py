"""What a worker is built of, and how it is set: handed in by the composition root."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bec_orch.core.flight import FlightRecorder
from bec_orch.core.job_worker import BlobReader, JobWorker, no_stores
from bec_orch.core.models import AttemptOutcome, Claim, Failure, Job, Manifest, TaskActivity, TaskResult
from bec_orch.core.ports import ArtefactStore, SourceFactory, TaskStore
from bec_orch.core.queue_ports import QueueFactory


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker behaves. Times are in seconds.

    `lease` is how long a claim is kept without a renewal, and so how long a dead worker's task waits; `grace` is what a
    stop leaves for finishing; `redispatch_after` is the age at which a queued task's message counts as lost; a worker
    whose last `failures_in_a_row` different tasks all failed for retryable reasons stops itself; a finished task waits
    `outage_patience` for the database; a queue that refuses, as one does in the minute after it was made or deleted, is
    asked again for `refusal_patience` before the worker ends; `verify_batch` finished artefacts are looked at in each
    round of maintenance; a task of which no page is finished for `stall_timeout` ends the
    worker.
    """

    work_dir: Path
    default_source: str
    lease: float = 120.0
    poll_wait: float = 5.0
    grace: float = 90.0
    slots: int = 1
    heartbeat_every: float = 15.0
    maintenance_every: float = 60.0
    redispatch_after: float = 900.0
    failures_in_a_row: int = 5
    outage_patience: float = 600.0
    refusal_patience: float = 60.0
    verify_batch: int = 20
    stall_timeout: float = 1800.0


class WorkerObserver(Protocol):
    """Is told what a worker does, to show it to a person. Called from the worker's threads; must be quick."""

    def task_started(self, claim: Claim, manifest: Manifest) -> None:
        """An attempt has its manifest, and begins."""
        ...

    def pages_done(self, claim: Claim, done: int, total: int) -> None:
        """So many of the volume's pages have a row now."""
        ...

    def task_ended(self, end: "TaskEnd") -> None:
        """An attempt ended."""
        ...


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How one attempt ended: with a result when it is done or adopted, with a failure when it failed.

    `retry_after` is the seconds until the task may be tried again, where it is to be.
    """

    claim: Claim
    outcome: AttemptOutcome
    result: TaskResult | None = None
    failure: Failure | None = None
    retry_after: float = 0.0


class Activities:
    """Which tasks this process is at, and at which page: what its heartbeat tells."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_task: dict[int, TaskActivity] = {}

    def set(self, activity: TaskActivity) -> None:
        """Note where a task stands."""
        with self._lock:
            self._by_task[activity.task_id] = activity

    def remove(self, task_id: int) -> None:
        """Forget a task that ended."""
        with self._lock:
            self._by_task.pop(task_id, None)

    def pages_done(self, task_id: int) -> int | None:
        """Tell how many pages of a task have a row; None before it has its manifest."""
        with self._lock:
            activity = self._by_task.get(task_id)
        return activity.pages_done if activity else None

    def all(self) -> list[TaskActivity]:
        """Give what is going on now."""
        with self._lock:
            return list(self._by_task.values())


JobWorkers = Callable[[Job], AbstractContextManager[JobWorker]]


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The real parts of one worker process. `open_store` opens a store of reference folders by its URL."""

    job: Job
    worker_id: str
    store: TaskStore
    queues: QueueFactory
    sources: SourceFactory
    artefacts: ArtefactStore
    job_workers: JobWorkers
    observer: WorkerObserver
    options: WorkerOptions
    activities: Activities
    flights: FlightRecorder
    open_store: Callable[[str], BlobReader] = no_stores
