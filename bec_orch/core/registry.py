"""Job types by name, found through entry points of the group `bec_orch.jobs`; the built-in ones too."""

from importlib.metadata import EntryPoint, entry_points

from bec_orch.core.job_worker import JobWorker
from bec_orch.errors import ConfigError

GROUP = "bec_orch.jobs"


def job_types() -> dict[str, EntryPoint]:
    """Give the installed job types: name -> entry point, sorted by name, nothing imported yet."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def job_worker_class(job_type: str) -> type[JobWorker]:
    """Import the class of a job type.

    Raises:
        ConfigError: no installed package has this job type, or what it needs is not installed.
    """
    point = job_types().get(job_type)
    if point is None:
        known = ", ".join(job_types()) or "none"
        raise ConfigError(
            f"There is no job type '{job_type}'.", code="E_JOB_TYPE", hint=f"Installed job types: {known}."
        )
    return _load(point)


def _load(point: EntryPoint) -> type[JobWorker]:
    try:
        loaded: type[JobWorker] = point.load()
    except ImportError as error:
        raise ConfigError(
            f"The job type '{point.name}' needs the package '{error.name}', which is not installed.",
            code="E_EXTRA_MISSING",
            hint=f"pip install 'bec-orch[{point.name}]'",
        ) from error
    return loaded
