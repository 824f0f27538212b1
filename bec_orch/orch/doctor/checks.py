"""Checks of the surroundings of a worker, each with what to do when it fails."""

import datetime as dt
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from bec_orch import __version__
from bec_orch.core.job_types.registry import create_job_worker, job_types, job_worker_class
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.records.checks import DatabaseChecks
from bec_orch.core.records.ledger import JobStates, Ledger
from bec_orch.core.tasks import Job
from bec_orch.errors import BecError
from bec_orch.io.stores.objects import Objects
from bec_orch.orch.audit.tables import of_tables
from bec_orch.orch.audit.values import unaccounted

# A volume's Parquet file and its parts are some 10 MB; the embedded database keeps 1 GB of write-ahead log at most.
_DISK_WARN = 5 * 2**30
_DISK_FAIL = 2**29

# S3 refuses signatures that are 15 minutes off; nothing else compares clocks.
_CLOCK_WARN = 60.0
_CLOCK_FAIL = 15 * 60.0


# For CPUs, and for GPUs.
_ENGINES = ("onnxruntime", "onnxruntime-gpu")
_BESIDE = "openvino"


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do about it (empty when it is ok)."""

    check: str
    level: Level
    message: str
    hint: str = ""


def examine(check: str, look: Callable[[], Finding]) -> Finding:
    """Run one check; an error of the program is its finding, so that the other checks still run."""
    try:
        return look()
    except BecError as error:
        return Finding(check, Level.FAIL, f"{error.code}: {error.message}", error.hint)


def check_program() -> Finding:
    """Return the versions of what runs here; there is nothing that could be wrong with them."""
    return Finding("program", Level.OK, f"bec-orch {__version__}, Python {platform.python_version()}")


def check_engine() -> Finding:
    """Whether one package brings onnxruntime: two of one module overwrite each other's files."""
    installed = [f"{name} {version}" for name in _ENGINES if (version := _version_of(name))]
    if len(installed) > 1:
        hint = f"`pip uninstall {' '.join(_ENGINES)}`, then install the one that is wanted."
        return Finding("engine", Level.WARN, f"{' and '.join(installed)} hold the same module", hint)
    if not installed:
        return Finding("engine", Level.OK, "no onnxruntime: no job with a model runs here")
    beside = _version_of(_BESIDE)
    told = f"{installed[0]}, and {_BESIDE} {beside} for line models where the processor calculates in bf16"
    return Finding("engine", Level.OK, told if beside else installed[0])


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_schema(database: DatabaseChecks) -> Finding:
    """Whether the database answers, and its schema is that of this program."""
    server, status = database.version(), database.schema()
    if status.is_current:
        return Finding("database", Level.OK, f"PostgreSQL {server} answers; its schema has version {status.found}")
    message = f"PostgreSQL {server}: its schema has version {status.found}, this program needs {status.needed}"
    newer = status.found > status.needed
    hint = "Install the newer version of bec-orch that made it." if newer else "Run `bec db init`."
    return Finding("database", Level.FAIL, message, hint)


def check_tasks(ledger: Ledger, jobs: Sequence[Job], states: Sequence[JobStates]) -> Finding:
    """Whether each task is in one of the seven states, and none was left behind; `bec audit` looks further."""
    found = [*unaccounted(states), *(violation for job in jobs for violation in of_tables(job, ledger))]
    if not found:
        tasks = sum(job.enqueued for job in states)
        return Finding("tasks", Level.OK, f"{tasks:,} enqueued, each in one of the seven states")
    first = found[0]
    message = f"{len(found)} violations; {first.invariant.code}: {first.job}: {first.message}"
    return Finding("tasks", Level.FAIL, message, first.invariant.hint)


def check_clock(now: Callable[[], dt.datetime]) -> Finding:
    """Whether this machine's clock agrees with the database's."""
    offset = abs((dt.datetime.now(dt.UTC) - now()).total_seconds())
    message = f"{offset:.1f} s from the database's"
    if offset < _CLOCK_WARN:
        return Finding("clock", Level.OK, message)
    level = Level.FAIL if offset >= _CLOCK_FAIL else Level.WARN
    return Finding("clock", level, message, "Have the clock set by NTP: S3 refuses requests of a wrong time.")


def check_queues(queues: QueueBackend, jobs: Sequence[Job]) -> list[Finding]:
    """Whether the queues of all jobs are there, as we would make them, and may be used; without jobs, the back-end."""
    if not jobs:
        return [examine("queue", partial(_backend, queues))]
    return [examine(f"queue of {job.name}", partial(_queue, queues, job.name)) for job in jobs]


def _backend(queues: QueueBackend) -> Finding:
    return Finding("queue", Level.OK, f"{queues.check()} answers; no job has queues yet")


def _queue(queues: QueueBackend, job: str) -> Finding:
    check = f"queue of {job}"
    condition = queues.admin(job).check()
    if condition.missing_rights:
        message = f"not allowed: {', '.join(condition.missing_rights)}"
        return Finding(check, Level.FAIL, message, "Allow it on bec_*: deploy/iam-worker.json is what a worker needs.")
    if condition.differences:
        told = "; ".join(f"{one.queue} has {one.attribute} {one.found or 'unset'}" for one in condition.differences)
        wanted = "; ".join(f"{one.attribute} of {one.queue} to {one.wanted}" for one in condition.differences)
        return Finding(check, Level.WARN, told, f"`aws sqs set-queue-attributes` sets {wanted}")
    return Finding(check, Level.OK, "answers, and is as `bec jobs create` makes it")


def check_writable(check: str, objects: Objects) -> Finding:
    """Whether an object can be written, read, listed and deleted in a store."""
    if objects.check_writable():
        return Finding(check, Level.OK, f"{objects.url} can be written")
    message = f"{objects.url} can be written, and lets nothing be deleted"
    return Finding(check, Level.WARN, message, "Workers go on, and what attempts leave stays: allow s3:DeleteObject.")


def check_source(source: ImageSource) -> Finding:
    """Whether the volumes' source can be read."""
    source.check_readable()
    return Finding("source", Level.OK, f"{source.name.partition('+')[2]} can be read")


def check_disk(folder: Path) -> Finding:
    """Whether there is room for the workspace and for the files of an attempt."""
    free, where = min((shutil.disk_usage(_existing(path)).free, path) for path in (folder, Path(tempfile.gettempdir())))
    message = f"{free / 2**30:.1f} GiB free at {where}"
    if free >= _DISK_WARN:
        return Finding("disk", Level.OK, message)
    level = Level.FAIL if free < _DISK_FAIL else Level.WARN
    return Finding("disk", level, message, "Free space, or name another folder with BEC_HOME and TMPDIR.")


def check_models(jobs: Sequence[Job], resources: WorkerResources) -> list[Finding]:
    """Whether the models of all jobs can be loaded, and those of installed types under their default config, if any.

    A type that no job uses and that cannot be used is only worth a warning: nobody asked this machine to do such work.
    """
    unused = sorted(name for name in set(job_types()) - {job.type for job in jobs} if _has_default_config(name))
    of_jobs = [
        examine(f"model of {job.name}", partial(_load, job.name, job.type, job.config, resources)) for job in jobs
    ]
    return of_jobs + [
        _as_warning(examine(f"model of {name}", partial(_load, name, name, {}, resources))) for name in unused
    ]


def _has_default_config(job_type: str) -> bool:
    """Return whether a config of nothing is one; where the type cannot be loaded, what loads it next tells why."""
    try:
        fields = job_worker_class(job_type).config_type.model_fields
    except BecError:
        return True
    return not any(field.is_required() for field in fields.values())


def _load(name: str, job_type: str, config: Mapping[str, Any], resources: WorkerResources) -> Finding:
    worker = create_job_worker(job_type, config, resources)
    try:
        models = ", ".join(f"{model.name} ({model.digest[:12]})" for model in worker.models) or "needs no model"
    finally:
        worker.close()
    return Finding(f"model of {name}", Level.OK, models)


def _as_warning(finding: Finding) -> Finding:
    return replace(finding, level=Level.WARN) if finding.level is Level.FAIL else finding


def _existing(path: Path) -> Path:
    return next(above for above in (path, *path.parents) if above.exists())
