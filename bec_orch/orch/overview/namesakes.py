"""Which volume is meant by a name that several sources have: one rule for all commands and addresses.

The source that is named counts. Where none is, the newest task decides: of the version or the job that is named, else
of all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bec_orch.core.names import printable
from bec_orch.core.records.listings import Listings
from bec_orch.core.records.overview import Overview, TaskView
from bec_orch.core.volumes import VolumeRef, is_of_source, version_of
from bec_orch.errors import UsageError
from bec_orch.orch.overview.spelling import recorded_names, unknown_volume

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class NamedVolume:
    """The volume that is meant by a name.

    Attributes:
        tasks: its tasks of all jobs, the newest first; at least one.
        namesakes: the volumes of that name in other sources, the one of the newest task first.
    """

    tasks: Sequence[TaskView]
    namesakes: Sequence[VolumeRef] = ()

    @property
    def volume(self) -> VolumeRef:
        """The volume."""
        return self.tasks[0].volume

    @property
    def told_source(self) -> str:
        """Its source where the name alone does not tell which volume it is; else empty."""
        return self.volume.source if self.namesakes else ""


def named_volume(
    overview: Overview,
    listings: Listings,
    names: tuple[str, str],
    *,
    source: str = "",
    version: str | None = None,
    job: str | None = None,
) -> NamedVolume:
    """Return the volume that is meant by a name.

    Args:
        overview: knows the names of volumes.
        listings: knows their tasks.
        names: of work and volume, perhaps in another Unicode form than they are recorded in.
        source: where it lies; empty: where the newest task is. What stands behind its `#` need not be said.
        version: the version that is wanted, as artefact keys carry it. It is passed over where no task is of it.
        job: the job whose work is wanted; likewise.

    Raises:
        UsageError: no job has a task for it, or for that of this source (E_VOLUME_UNKNOWN).
    """
    found = find_named(overview, listings, names, source=source, version=version, job=job)
    if found is None:
        raise unknown_volume(*names)
    return found


def find_named(
    overview: Overview,
    listings: Listings,
    names: tuple[str, str],
    *,
    source: str = "",
    version: str | None = None,
    job: str | None = None,
) -> NamedVolume | None:
    """Return what `named_volume` does; None where no job has a task for a volume of that name.

    Raises:
        UsageError: no job has a task for that of this source (E_VOLUME_UNKNOWN).
    """
    every = listings.tasks_of_volume(*recorded_names(overview, *names))
    if not every:
        return None
    wanted = [task for task in every if not source or is_of_source(task.volume, source)]
    if not wanted:
        raise _unknown_source(names, source, every)
    wanted = _narrowed(wanted, lambda task: task.volume.source == source)
    wanted = _narrowed(wanted, lambda task: version is None or version_of(task.manifest_etag or "") == version)
    wanted = _narrowed(wanted, lambda task: job is None or task.job == job)
    volumes = list(dict.fromkeys(task.volume for task in every))
    chosen = wanted[0].volume
    return NamedVolume(
        [task for task in every if task.volume == chosen], [volume for volume in volumes if volume != chosen]
    )


def _narrowed(tasks: list[TaskView], is_wanted: Callable[[TaskView], bool]) -> list[TaskView]:
    return [task for task in tasks if is_wanted(task)] or tasks


def _unknown_source(names: tuple[str, str], source: str, tasks: Sequence[TaskView]) -> UsageError:
    sources = list(dict.fromkeys(task.volume.source for task in tasks))
    more = f" and {len(sources) - _SHOWN:,} more" if len(sources) > _SHOWN else ""
    known = ", ".join(printable(each, limit=300) for each in sources[:_SHOWN])
    return UsageError(
        f"No job has a task for the volume {printable('/'.join(names))} of the source {printable(source, limit=300)}.",
        code="E_VOLUME_UNKNOWN",
        hint=f"Volumes of that name are in {known}{more}.",
    )
