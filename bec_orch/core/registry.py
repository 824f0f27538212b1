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


def _how_to_install(point: EntryPoint) -> str:
    """Name the extra that brings what a job type needs: where there is one, it has the type's name."""
    if point.dist and point.name in (point.dist.metadata.get_all("Provides-Extra") or ()):
        return f"Run `pip install '{point.dist.name}[{point.name}]'`."
    return "Install it into the environment that `bec` runs in."


def _load(point: EntryPoint) -> type[JobWorker]:
    try:
        loaded: type[JobWorker] = point.load()
    except ImportError as error:
        raise ConfigError(
            f"The job type '{point.name}' needs the package '{error.name}', which is not installed.",
            code="E_EXTRA_MISSING",
            hint=_how_to_install(point),
        ) from error
    return loaded
