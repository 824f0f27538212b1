"""Artefacts that other databases or programs left where a job's own would lie: shown before anybody replaces them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.errors import UsageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts


@dataclass(frozen=True, slots=True)
class ForeignArtefact:
    """A `success.json` of others: its version (`etag`), what it says of its making, and the files beside it."""

    volume: VolumeRef
    prefix: str
    etag: str
    made_by: str
    made_at: str | None
    files: tuple[str, ...]


def find_foreign(
    artefacts: StoredArtefacts, sources: SourceFactory, job: Job, volumes: Sequence[VolumeRef]
) -> list[ForeignArtefact]:
    """Return what others left for the present versions of some volumes.

    Raises:
        UsageError: for one of the volumes there is nothing of others (E_ARTEFACT_NOT_FOREIGN).
        TerminalError: a manifest or `success.json` cannot be read.
        StorageError: a store is away.
    """
    return [_found(artefacts, sources, job, volume) for volume in volumes]


def _found(artefacts: StoredArtefacts, sources: SourceFactory, job: Job, volume: VolumeRef) -> ForeignArtefact:
    etag = sources(volume.source).manifest_etag(volume)
    location = ArtefactLocation(job.root, volume, version_of(etag or ""))
    success = artefacts.success(location) if etag else None
    if success is None or artefacts.owns(success):
        raise UsageError(
            f"No artefact of others lies where that of '{job.name}' for {volume} goes.",
            code="E_ARTEFACT_NOT_FOREIGN",
            hint=f"`bec queue enqueue {job.name} {volume.as_options} --force` does what is our own again.",
        )
    files = tuple(entry.name for entry in artefacts.holding(location).files)
    return ForeignArtefact(volume, location.prefix, success.etag, _made_by(success), _made_at(success), files)


def _made_by(success: Success) -> str:
    return f"database {success.mark.database}" if success.mark.database else "another program, or an older version"


def _made_at(success: Success) -> str | None:
    content: Mapping[str, Any] = success.content or {}
    told = content.get("finished_at", content.get("timestamp"))
    if isinstance(told, int | float):
        with suppress(ValueError, OverflowError, OSError):
            return dt.datetime.fromtimestamp(told, dt.UTC).isoformat(timespec="seconds")
    return told if isinstance(told, str) else None
