"""Job types and what they show, by the type's name, found through entry points; the built-in ones too.

Nothing is imported before it is asked for: what a type shows needs packages that other commands do without.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bec_orch.core.extras import optional_packages
from bec_orch.core.job_config import JobConfig
from bec_orch.core.ports.job_worker import JobWorker, WorkerResources
from bec_orch.core.ports.views import ContentOf, PageFigures, TallyOf, TruthOf, VolumePicture
from bec_orch.core.wording import meant, named, said
from bec_orch.errors import BecError, ConfigError, extra_hint

GROUP = "bec_orch.jobs"
_PICTURES = "bec_orch.pictures"
_REPORTS = "bec_orch.reports"
_EXPORTS = "bec_orch.exports"
_PAGES = "bec_orch.pages"
_TRUTHS = "bec_orch.truths"
_GUIDE = "docs/writing-a-job-worker.md says what a job type must have."

# What `JobWorker` wants, on the class and on an instance, which may set in `__init__` what depends on its config.
_OF_A_CLASS = ("job_type", "needs", "config_type", "code_version", "create", "run", "close")
_OF_AN_INSTANCE = ("models", "schema", "counted")


def job_types() -> dict[str, EntryPoint]:
    """Return the installed job types: name -> entry point, sorted by name, nothing imported yet."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def type_of_name(name: str) -> str | None:
    """Return the longest installed job type that a job's name begins with, as the earlier system tells types."""
    return max((known for known in job_types() if name.startswith(known)), key=len, default=None)


def job_worker_class(job_type: str) -> type[JobWorker]:
    """Import the class of a job type.

    Raises:
        ConfigError: no installed package has this job type, or what it needs is not installed, or it is no class of
            a job worker (E_PLUGIN_BROKEN).
    """
    point = job_types().get(job_type)
    if point is None:
        known = ", ".join(job_types()) or "none"
        raise ConfigError(
            f"There is no job type '{job_type}'{meant(job_type, job_types())}.",
            code="E_JOB_TYPE",
            hint=f"Installed job types: {known}.",
        )
    worker: type[JobWorker] = _load(point)
    abstract = sorted(getattr(worker, "__abstractmethods__", ()))
    lacking = [name for name in _OF_A_CLASS if not hasattr(worker, name) and name not in abstract] + abstract
    config_type = getattr(worker, "config_type", JobConfig)
    if not (isinstance(config_type, type) and issubclass(config_type, JobConfig)):
        lacking.append("config_type")
    if lacking:
        raise _broken(job_type, point.value, lacking)
    return worker


def create_job_worker(job_type: str, config: Mapping[str, Any], resources: WorkerResources) -> JobWorker:
    """Make the worker of a job type: load what all volumes share.

    Raises:
        ConfigError: as `job_worker_class` raises it, or the config or a model is wrong.
    """
    worker = job_worker_class(job_type).create(config, resources)
    lacking = [name for name in _OF_AN_INSTANCE if not hasattr(worker, name)]
    if lacking:
        raise _broken(job_type, type(worker).__qualname__, lacking)
    return worker


def volume_picture(job_type: str) -> VolumePicture | None:
    """Import what draws the volumes of a job type (entry points `bec_orch.pictures`); None where nothing does.

    Raises:
        ConfigError: what it needs is not installed.
    """
    picture: VolumePicture | None = _shown(_PICTURES, job_type)
    return picture


def tally_of(job_type: str) -> TallyOf | None:
    """Import what begins a report over a job of a type (entry points `bec_orch.reports`); None where nothing does.

    Raises:
        ConfigError: what it needs is not installed.
    """
    begin: TallyOf | None = _shown(_REPORTS, job_type)
    return begin


def content_of(job_type: str) -> ContentOf | None:
    """Import what reads lines and text from the rows of a job type (`bec_orch.exports`); None where nothing does.

    Raises:
        ConfigError: what it needs is not installed.
    """
    read: ContentOf | None = _shown(_EXPORTS, job_type)
    return read


def page_figures(job_type: str) -> PageFigures | None:
    """Import what tells the figures of a job type's pages (`bec_orch.pages`); None where nothing does.

    Raises:
        ConfigError: what it needs is not installed.
    """
    figures: PageFigures | None = _shown(_PAGES, job_type)
    return figures


def truth_of(job_type: str) -> TruthOf | None:
    """Import what reads the true text that a job type knows of (`bec_orch.truths`); None where nothing does.

    Raises:
        ConfigError: what it needs is not installed.
    """
    read: TruthOf | None = _shown(_TRUTHS, job_type)
    return read


def types_with_exports() -> list[str]:
    """Return the names of the job types whose lines and text can be handed on, sorted."""
    return sorted(point.name for point in entry_points(group=_EXPORTS))


def types_with_pictures() -> list[str]:
    """Return the names of the job types whose volumes can be drawn, sorted."""
    return sorted(point.name for point in entry_points(group=_PICTURES))


def types_with_reports() -> list[str]:
    """Return the names of the job types that have a report, sorted."""
    return sorted(point.name for point in entry_points(group=_REPORTS))


def _broken(job_type: str, named_class: str, lacking: Sequence[str]) -> ConfigError:
    lacks = ", ".join(f"`{name}`" for name in lacking)
    return ConfigError(
        f"The job type '{job_type}' cannot be used: {named_class} lacks {lacks}, or has it of another kind.",
        code="E_PLUGIN_BROKEN",
        hint=_GUIDE,
    )


def _shown(group: str, job_type: str) -> Any:
    points = tuple(entry_points(group=group, name=job_type))
    return _load(points[0]) if points else None


def _how_to_install(point: EntryPoint) -> str:
    """Name the extra that brings what a job type needs: where there is one, it has the type's name."""
    if point.dist and point.name in (point.dist.metadata.get_all("Provides-Extra") or ()):
        return extra_hint(point.name, point.dist.name)
    return "Install it into the environment that `bec` runs in."


def _load(point: EntryPoint) -> Any:
    with optional_packages(f"The job type '{point.name}'", _how_to_install(point)), _plugin_errors(point):
        return point.load()


@contextmanager
def _plugin_errors(point: EntryPoint) -> Iterator[None]:
    """Load a job type of a package within the block.

    Raises:
        ConfigError: it imports from this package what is not there, or no longer there (E_PLUGIN_OUTDATED); or it
            cannot be loaded at all (E_PLUGIN_BROKEN).
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] != __name__.partition(".")[0]:
            raise
        raise ConfigError(
            f"The job type '{point.name}' imports what this version does not have: {said(error)}.",
            code="E_PLUGIN_OUTDATED",
            hint="A package with job types imports from `bec_orch.plugin` alone: docs/writing-a-job-worker.md.",
        ) from error
    except BecError:
        raise
    except Exception as error:  # a package of somebody else raises what it likes
        raise ConfigError(
            f"{point.value} of the job type '{point.name}' cannot be loaded: {named(error)}.",
            code="E_PLUGIN_BROKEN",
            hint=_GUIDE,
        ) from error
