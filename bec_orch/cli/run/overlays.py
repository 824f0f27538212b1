"""Pictures of finished `ldv1` volumes, into a folder of this machine."""

from collections.abc import Sequence
from pathlib import Path

import anyio

from bec_orch.cli.composition import Parts
from bec_orch.core.models import ArtefactLocation, version_of
from bec_orch.core.ports import Success
from bec_orch.errors import StorageError, UsageError
from bec_orch.io.own_files import marked_jpeg, write_own
from bec_orch.orch.discovery import TaskView

_DRAWN_TYPE = "ldv1"


def require_overlays(job_type: str) -> None:
    """Refuse pictures of what cannot be drawn.

    Raises:
        UsageError: the type's results are no lines.
    """
    if job_type != _DRAWN_TYPE:
        raise UsageError(f"There are no pictures of '{job_type}'.", hint=f"--overlay draws the lines of {_DRAWN_TYPE}.")


def write_overlays(parts: Parts, tasks: Sequence[TaskView], folder: Path) -> list[Path]:
    """Draw each volume that is done; gives the files.

    Raises:
        StorageError: an artefact or the folder cannot be read or written.
        UsageError: a file of somebody else has a picture's name.
    """
    return [_write(parts, task, folder) for task in tasks if task.pages and task.manifest_etag]


def _write(parts: Parts, task: TaskView, folder: Path) -> Path:
    # Drawing needs the packages of the extra `ldv1`, which the other commands do not.
    from bec_orch.jobs.ldv1.sheets import volume_sheet  # noqa: PLC0415

    source = parts.sources(task.volume.source)
    manifest = source.read_manifest(task.volume)
    pages = source.pages(manifest)
    rows = parts.artefacts().read_rows(_success(parts, task))
    picture = volume_sheet(str(task.volume), rows, lambda at: anyio.run(pages.read, manifest.pages[at]).data)
    file = folder / f"{task.volume.w_id}-{task.volume.i_id}.jpg"
    write_own(file, marked_jpeg(picture), or_same=picture)
    return file


def _success(parts: Parts, task: TaskView) -> Success:
    location = ArtefactLocation(task.job, task.volume, version_of(task.manifest_etag or ""))
    found = parts.artefacts().success(location)
    if found is None:
        raise StorageError(f"The artefact {location.prefix} is gone.", hint="Run it again with --force.")
    return found
