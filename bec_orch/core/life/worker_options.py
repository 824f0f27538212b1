"""What a worker is made with: its job, how it is set, what it meets of the outside world."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bec_orch.core.life.standings import Standings
from bec_orch.core.ports.artefact_store import ArtefactStore
from bec_orch.core.ports.job_worker import BlobReader, JobWorker, no_stores
from bec_orch.core.ports.queues import QueueFactory
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.tasks import Job, WorkerInfo

JobWorkers = Callable[[Job], AbstractContextManager[JobWorker]]


@dataclass(frozen=True, slots=True)
class Outside:
    """The outside world, port by port. `open_store` opens a store of reference folders by its URL."""

    store: TaskStore
    queues: QueueFactory
    sources: SourceFactory
    artefacts: ArtefactStore
    open_store: Callable[[str], BlobReader] = no_stores


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


@dataclass(frozen=True, slots=True)
class Workplace:
    """Who takes tasks of which job, and with what.

    Attributes:
        job: the job.
        info: what the database is told of who works.
        outside: the outside world.
        job_workers: lends the job worker for a job's config.
        standings: where the tasks stand; others who want to know have subscribed.
        options: how a worker behaves.
    """

    job: Job
    info: WorkerInfo
    outside: Outside
    job_workers: JobWorkers
    standings: Standings
    options: WorkerOptions
