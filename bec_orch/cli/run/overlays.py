"""Pictures of finished volumes, into a folder of this machine: sheets of many pages, or one picture a page.

overlays/W_ID/I_ID.jpg              the first 60 pages
overlays/W_ID/I_ID/sheets/2.jpg     the next 60
overlays/W_ID/I_ID/pages/PAGE.jpg   a page

Where another source's volume of that name has pictures, they are in `overlays/source-DIGEST` in place of `overlays`.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import anyio

from bec_orch.cli.composition.parts import Parts
from bec_orch.cli.terminal.console import warn
from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.frames import picture_of
from bec_orch.core.job_types.registry import types_with_pictures, volume_picture
from bec_orch.core.names import printable
from bec_orch.core.ports.views import VolumePicture
from bec_orch.core.records.overview import TaskView
from bec_orch.core.volumes import VolumeRef, other_version, same_etag, version_of
from bec_orch.core.wording import clause
from bec_orch.errors import PageError, StorageError, UsageError
from bec_orch.exports.names import page_names
from bec_orch.io.own_files import marked_as, marked_jpeg, write_own
from bec_orch.io.stores.errors import file_errors

PAGES = 60
"""Pages of a sheet: so many are still small enough for a JPEG, and large enough to be looked at."""


def require_overlays(job_type: str) -> None:
    """Refuse pictures of what cannot be drawn.

    Raises:
        UsageError: nothing draws what jobs of this type leave.
    """
    drawn = types_with_pictures()
    if job_type not in drawn:
        raise UsageError(f"There are no pictures of '{job_type}'.", hint=f"--overlay draws {', '.join(drawn)}.")


class Overlay(Enum):
    """What is drawn: sheets of many pages, or a picture of each page."""

    SHEETS = "sheets"
    PAGES = "pages"


def write_overlays(
    parts: Parts, job_type: str, tasks: Sequence[TaskView], folder: Path, wanted: Overlay | None
) -> list[Path]:
    """Draw every page of each volume that is done, and return the files; none where none are wanted.

    Raises:
        ConfigError: what draws them needs a package that is not installed.
        StorageError: an artefact or the folder cannot be read or written.
        UsageError: a file of somebody else has a picture's name.
    """
    draw = volume_picture(job_type) if wanted else None
    if draw is None:
        return []
    done = (task for task in tasks if task.pages and task.manifest_etag)
    layout = single_pages if wanted is Overlay.PAGES else sheets
    return [file for task in done for file in _write(parts, draw, task, folder, layout)]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One picture: its file, its title, and the rows of the pages on it."""

    file: Path
    title: str
    rows: range


Layout = Callable[[Path, VolumeRef, Sequence[str]], Iterator[Sheet]]


def sheets(folder: Path, volume: VolumeRef, names: Sequence[str]) -> Iterator[Sheet]:
    """Yield the sheets of a volume, whose files are no other volume's."""
    own = folder / volume.w_id
    for number, start in enumerate(range(0, len(names), PAGES), start=1):
        rows = range(start, min(start + PAGES, len(names)))
        file = own / f"{volume.i_id}.jpg" if number == 1 else own / volume.i_id / "sheets" / f"{number}.jpg"
        title = f"{volume}, {rows.start + 1} to {rows.stop} of {len(names)}" if len(names) > PAGES else str(volume)
        yield Sheet(file, title, rows)


def single_pages(folder: Path, volume: VolumeRef, names: Sequence[str]) -> Iterator[Sheet]:
    """Yield a picture for each page of a volume."""
    own = folder / volume.w_id / volume.i_id / "pages"
    for place, name in enumerate(page_names(names)):
        yield Sheet(own / f"{name}.jpg", str(volume), range(place, place + 1))


def _write(parts: Parts, draw: VolumePicture, task: TaskView, folder: Path, layout: Layout) -> Iterator[Path]:
    source = parts.sources(task.volume.source)
    manifest = source.read_manifest(task.volume)
    if not same_etag(manifest.etag, task.manifest_etag):
        changed = other_version(task.volume, manifest.version, version_of(task.manifest_etag or ""))
        warn(f"There is no picture of {task.volume}: {clause(changed.message)}.", "Run the same command again.")
        return
    place = _own_folder(parts, task, folder)
    pages, page_of = source.pages(manifest), {page.filename: page for page in manifest.pages}
    rows = parts.artefacts().read_rows(_success(parts, task))
    names: list[Any] = rows["img_file_name"].to_pylist()  # older artefacts may have the pages in another order

    def read(at: int) -> bytes:
        found = picture_of(names[at], page_of)
        if found is None:
            raise PageError(f"The image {names[at]} is no longer in its volume.", stage="fetch", code="E_IMAGE_MISSING")
        return anyio.run(pages.read, found[0]).data

    for sheet in layout(place, task.volume, names):
        shown = rows.slice(sheet.rows.start, len(sheet.rows))
        picture = draw(sheet.title, shown, _from(sheet.rows.start, read))
        write_own(sheet.file, marked_jpeg(picture, _mark(task)), or_same=picture)
        yield sheet.file


def _own_folder(parts: Parts, task: TaskView, folder: Path) -> Path:
    """Return where the pictures of a volume go; where another volume of its name has pictures there, tell of it.

    Then it is a folder that is named by the source. A volume that was moved has another source, and is of the version
    whose pictures are there.

    Raises:
        StorageError: a picture that is there cannot be read.
    """
    volume, own = task.volume, folder / task.volume.w_id
    with file_errors(f"list {own}"):
        there = [own / f"{volume.i_id}.jpg", *sorted((own / volume.i_id / "pages").glob("*.jpg"))[:1]]
    marks = [mark.split() for file in there if (mark := marked_as(file))]
    if not marks or any(word in mark for mark in marks for word in _mark(task).split()):
        return folder
    apart = folder / _folder_of(volume.source)
    known = {one.volume.source for one in parts.records.listings.tasks_of_volume(volume.w_id, volume.i_id)}
    theirs = next((printable(one, limit=300) for one in sorted(known) if _folder_of(one) in marks[0]), "another source")
    warn(
        f"Pictures of {volume} are in {apart}: the volume of that name in {theirs} has pictures where they would be.",
        f"Move {there[0]} and {own / volume.i_id} away to have these there.",
    )
    return apart


def _mark(task: TaskView) -> str:
    """Return what pictures say that they are of: the source and the version of a volume."""
    return f"{_folder_of(task.volume.source)} version-{version_of(task.manifest_etag or '')}"


def _folder_of(source: str) -> str:
    return f"source-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def _from(start: int, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda at: read(start + at)


def _success(parts: Parts, task: TaskView) -> Success:
    location = ArtefactLocation(task.root, task.volume, version_of(task.manifest_etag or ""))
    found = parts.artefacts().success(location)
    if found is None:
        raise StorageError(
            f"The artefact {location.prefix} is gone.",
            code="E_ARTEFACT_GONE",
            hint="Run the same command again: it makes what is gone again.",
        )
    return found
