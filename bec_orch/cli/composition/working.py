"""What works on volumes in this process: workers, one volume by hand, and the models that they load."""

import os
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from bec_orch import __version__
from bec_orch.cli.composition.home import work_dir
from bec_orch.cli.composition.parts import Parts
from bec_orch.cli.process.interrupts import INTERRUPTS
from bec_orch.core.job_types.registry import create_job_worker
from bec_orch.core.life.flight import FlightRecorder
from bec_orch.core.life.housekeeping import maintenance
from bec_orch.core.life.job_workers import JobWorkerCache
from bec_orch.core.life.observing import Observed, WorkerObserver
from bec_orch.core.life.standings import Standings
from bec_orch.core.life.worker_options import Outside, WorkerOptions, Workplace
from bec_orch.core.life.worker_runtime import BECWorker
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.tasks import DoneTask, Job, WorkerInfo
from bec_orch.io.aws.imds import Ec2Machine
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.stores.errors import file_errors
from bec_orch.io.stores.model_store import CachedModels
from bec_orch.io.stores.storage import Stores
from bec_orch.io.workspace import note_destination
from bec_orch.orch.runs.single_volume import SingleVolume
from bec_orch.settings.config import Settings

_HEARTBEAT_SECONDS = 15.0
# A database of one's own has little else to do, and somebody who looks on.
_LOCAL_HEARTBEAT_SECONDS = 3.0


@contextmanager
def worker(
    parts: Parts, job: Job, info: WorkerInfo, observer: WorkerObserver, *, slots: int = 1, grace: float | None = None
) -> Iterator[BECWorker]:
    """Build a worker of the job in this process; models are freed after the block.

    Args:
        parts: the opened parts.
        job: the job to work for.
        info: who works.
        observer: is notified of what the worker does.
        slots: how many volumes it holds at once.
        grace: seconds that a stop leaves for finishing, instead of the setting.
    """
    settings = parts.settings
    options = _worker_options(settings, slots, settings.grace_seconds if grace is None else grace)
    with _workplace(parts, job, info, observer, options) as workplace:
        yield BECWorker(workplace)


@contextmanager
def single_volume(parts: Parts, job: Job, observer: WorkerObserver) -> Iterator[SingleVolume]:
    """Build what does one volume of the job in this process, past the queue; models are freed after the block."""
    options = _worker_options(parts.settings, slots=1, grace=0.0)
    with (
        closing(PgQueues(parts.database)) as queues,
        _workplace(parts, job, worker_info(job), observer, options) as workplace,
    ):
        yield SingleVolume(workplace, queues)


@contextmanager
def _workplace(
    parts: Parts, job: Job, info: WorkerInfo, observer: WorkerObserver, options: WorkerOptions
) -> Iterator[Workplace]:
    """Build what all work in this process has in common: its models, and the record of where its tasks stand."""
    standings = Standings()
    job_workers = JobWorkerCache(worker_resources(parts.settings, parts.stores))
    folder = work_dir(parts.settings)
    # First of all, so that a page is on the record before anything else hears of it.
    with file_errors(f"write the record of this process in {folder}"):
        flights = FlightRecorder(folder, standings, info.id)
    INTERRUPTS.last_words = flights.note_late
    standings.subscribe(Observed(observer))
    try:
        yield Workplace(job, info, _outside(parts), job_workers, standings, options)
    finally:
        INTERRUPTS.last_words = None
        flights.close()
        job_workers.close()


def require_loadable(parts: Parts, job_type: str, config: Mapping[str, Any]) -> None:
    """Load what a job of a type works with under a config, and free it again.

    Raises:
        ConfigError: a package, an engine, a language or a model is missing or wrong.
    """
    create_job_worker(job_type, config, worker_resources(parts.settings, parts.stores)).close()


def look_again(parts: Parts, job: Job, done: Sequence[DoneTask]) -> None:
    """Look at finished artefacts: one that is gone or broken is queued again.

    Raises:
        StorageError: the destination is away, or so much is gone that it cannot be the right one.
    """
    maintenance(job, _outside(parts), _worker_options(parts.settings, slots=1, grace=0.0)).look_at(
        done, by_listing=True
    )


def worker_info(job: Job, machine: Ec2Machine | None = None) -> WorkerInfo:
    """Describe the worker to the database: who works, and on which machine of EC2."""
    # Two workers on one host are two workers, also when a process id comes back.
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    info = WorkerInfo(worker_id, job.id, socket.gethostname(), os.getpid(), __version__)
    if machine is None:
        return info
    return replace(
        info, instance_id=machine.instance_id, instance_type=machine.instance_type, lifecycle=machine.lifecycle
    )


def worker_resources(settings: Settings, stores: Stores) -> WorkerResources:
    """Return what a job worker may use of this machine."""
    return WorkerResources(
        threads=settings.threads,
        memory_budget=settings.memory_budget,
        models=CachedModels(stores, settings.home / "models"),
        model_path=settings.ld_model_path,
        max_image_pixels=settings.max_image_pixels,
        open_store=stores.open,
    )


def _outside(parts: Parts) -> Outside:
    artefacts, settings = parts.artefacts(), parts.settings
    if settings.sql_host is None:
        note_destination(settings.home, settings.dest_url)
    return Outside(parts.store, parts.queues, parts.sources, artefacts, parts.stores.open)


def _worker_options(settings: Settings, slots: int, grace: float) -> WorkerOptions:
    return WorkerOptions(
        work_dir=work_dir(settings),
        default_source=settings.default_source or "",
        lease=settings.lease_seconds,
        poll_wait=settings.poll_seconds,
        grace=grace,
        slots=slots,
        # Four in an outage's grace, so that one that is late does not count as silence.
        heartbeat_every=min(
            _HEARTBEAT_SECONDS if settings.sql_host else _LOCAL_HEARTBEAT_SECONDS, settings.lease_seconds / 8
        ),
        maintenance_every=settings.maintenance_seconds,
        redispatch_after=settings.redispatch_after_seconds,
        failures_in_a_row=settings.black_hole_guard,
        refusal_patience=settings.lease_seconds / 2,
        stall_timeout=settings.stall_seconds,
    )
