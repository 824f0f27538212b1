"""Volumes that people name, as the database or the source writes them: Unicode has several forms for one name."""

from collections.abc import Sequence

from bec_orch.core.names import printable
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.records.overview import Overview
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import RetryableError, UsageError


def recorded_names(overview: Overview, w_id: str, i_id: str) -> tuple[str, str]:
    """Return the names under which a volume is recorded; those that were given where none is."""
    (volume,) = _recorded(overview, [VolumeRef(w_id, i_id, "")])
    return volume.w_id, volume.i_id


def unknown_volume(w_id: str, i_id: str, job: str | None = None) -> UsageError:
    """Return the error of a volume that no job has a task for, or not this one."""
    return UsageError(
        f"{f'The job {job}' if job else 'The database'} has no task for the volume {printable(f'{w_id}/{i_id}')}.",
        code="E_VOLUME_UNKNOWN",
        hint=f"`bec queue enqueue {job or 'JOB'} --volume {printable(f'{w_id}/{i_id}')}` makes one.",
    )


def as_spelled(overview: Overview, sources: SourceFactory, volumes: Sequence[VolumeRef]) -> list[VolumeRef]:
    """Return volumes, each once, by the names that they are recorded under, else by those of their source.

    A source that is away leaves the names as they are given: whoever reads the volume reports it.
    """
    return list(dict.fromkeys(_in_source(sources, volume) for volume in _recorded(overview, volumes)))


def _recorded(overview: Overview, volumes: Sequence[VolumeRef]) -> list[VolumeRef]:
    found = overview.spelled(volumes)
    return [found.get(volume, volume) for volume in volumes]


def _in_source(sources: SourceFactory, volume: VolumeRef) -> VolumeRef:
    if str(volume).isascii():  # which has one form; the source need not be there to enqueue
        return volume
    try:
        return sources(volume.source).spelled(volume)
    except RetryableError:
        return volume
