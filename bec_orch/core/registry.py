"""Job types and what they show, by the type's name, found through entry points; the built-in ones too.

Nothing is imported before it is asked for: what a type shows needs packages that other commands do without.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bec_orch.core.extras import optional_packages
from bec_orch.core.job_worker import JobWorker
from bec_orch.core.views import ContentOf, PageFigures, TallyOf, VolumePicture
from bec_orch.core.wording import said
from bec_orch.errors import ConfigError, extra_hint

GROUP = "bec_orch.jobs"
_PICTURES = "bec_orch.pictures"
_REPORTS = "bec_orch.reports"
_EXPORTS = "bec_orch.exports"
_PAGES = "bec_orch.pages"


def job_types() -> dict[str, EntryPoint]:
    """Return the installed job types: name -> entry point, sorted by name, nothing imported yet."""
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
    worker: type[JobWorker] = _load(point)
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


def types_with_exports() -> list[str]:
    """Return the names of the job types whose lines and text can be handed on, sorted."""
    return sorted(point.name for point in entry_points(group=_EXPORTS))


def types_with_pictures() -> list[str]:
    """Return the names of the job types whose volumes can be drawn, sorted."""
    return sorted(point.name for point in entry_points(group=_PICTURES))


def types_with_reports() -> list[str]:
    """Return the names of the job types that have a report, sorted."""
    return sorted(point.name for point in entry_points(group=_REPORTS))


def _shown(group: str, job_type: str) -> Any:
    points = tuple(entry_points(group=group, name=job_type))
    return _load(points[0]) if points else None


def _how_to_install(point: EntryPoint) -> str:
    """Name the extra that brings what a job type needs: where there is one, it has the type's name."""
    if point.dist and point.name in (point.dist.metadata.get_all("Provides-Extra") or ()):
        return extra_hint(point.name, point.dist.name)
    return "Install it into the environment that `bec` runs in."


def _load(point: EntryPoint) -> Any:
    with optional_packages(f"The job type '{point.name}'", _how_to_install(point)), _names_of_this_version(point):
        return point.load()


@contextmanager
def _names_of_this_version(point: EntryPoint) -> Iterator[None]:
    """Load a job type of a package within the block.

    Raises:
        ConfigError: it imports from this package what is not there, or no longer there (E_PLUGIN_OUTDATED).
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
