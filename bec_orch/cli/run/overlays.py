"""Pictures of finished volumes, into a folder of this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from bec_orch.cli.composition import Parts
from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.ports.views import VolumePicture
from bec_orch.core.records.overview import TaskView
from bec_orch.core.registry import types_with_pictures, volume_picture
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.errors import StorageError, UsageError
from bec_orch.io.own_files import marked_jpeg, write_own


def require_overlays(job_type: str) -> None:
    """Refuse pictures of what cannot be drawn.

    Raises:
        UsageError: nothing draws what jobs of this type leave.
    """
    drawn = types_with_pictures()
    if job_type not in drawn:
        raise UsageError(f"There are no pictures of '{job_type}'.", hint=f"--overlay draws {', '.join(drawn)}.")


def write_overlays(parts: Parts, job_type: str, tasks: Sequence[TaskView], folder: Path) -> list[Path]:
    """Draw each volume that is done, and return the files; none where nothing draws volumes of this job type.

    Raises:
        ConfigError: what draws them needs a package that is not installed.
        StorageError: an artefact or the folder cannot be read or written.
        UsageError: a file of somebody else has a picture's name.
    """
    draw = volume_picture(job_type)
    return [_write(parts, draw, task, folder) for task in tasks if draw and task.pages and task.manifest_etag]


def picture_file(folder: Path, volume: VolumeRef) -> Path:
    """Return the file of a volume's picture, which is no other volume's."""
    return folder / volume.w_id / f"{volume.i_id}.jpg"


def _write(parts: Parts, draw: VolumePicture, task: TaskView, folder: Path) -> Path:
    source = parts.sources(task.volume.source)
    manifest = source.read_manifest(task.volume)
    pages, page_of = source.pages(manifest), {page.filename: page for page in manifest.pages}
    rows = parts.artefacts().read_rows(_success(parts, task))
    names: list[Any] = rows["img_file_name"].to_pylist()  # older artefacts may have the pages in another order
    picture = draw(str(task.volume), rows, lambda at: anyio.run(pages.read, page_of[names[at]]).data)
    file = picture_file(folder, task.volume)
    write_own(file, marked_jpeg(picture), or_same=picture)
    return file


def _success(parts: Parts, task: TaskView) -> Success:
    location = ArtefactLocation(task.job, task.volume, version_of(task.manifest_etag or ""))
    found = parts.artefacts().success(location)
    if found is None:
        raise StorageError(f"The artefact {location.prefix} is gone.", hint="Run it again with --force.")
    return found
