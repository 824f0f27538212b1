"""The volumes of an export, several at once, each on its own: what is wrong with one leaves the others as they are."""

import shlex
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bec_orch.cli.arguments.paths import as_it_lies, require_named
from bec_orch.cli.composition.home import work_dir
from bec_orch.cli.composition.parts import Parts
from bec_orch.cli.export.documents import Destination
from bec_orch.cli.export.showing import showing
from bec_orch.cli.export.volume import VolumeReport, Wanted, export_kept, export_volume
from bec_orch.cli.process.ending import EXIT_DONE, EXIT_PAGE_ERRORS, exit_code_of
from bec_orch.cli.process.signals import stopping
from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.job_types.registry import content_of, types_with_exports
from bec_orch.core.names import printable
from bec_orch.core.ports.views import ContentOf
from bec_orch.core.records.overview import DoneVolume
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import VolumeRef, is_of_source, version_of
from bec_orch.core.wording import counted
from bec_orch.errors import LOST_ARTEFACT, BecError, StorageError, UsageError
from bec_orch.exports.formats import Level, Material, format_of
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.stores.objects import Objects
from bec_orch.orch.ahead import ahead
from bec_orch.orch.overview.contents import KeptRows, kept_rows
from bec_orch.orch.overview.kept import kept_volumes

BASE_URL = "http://localhost:8000"
IMAGE_URL = "http://localhost:8000/images/{w_id}/{i_id}/{file}"

# What is wrong with one volume alone. A full disk, or a right that is missing, ends the export.
_OF_A_VOLUME = LOST_ARTEFACT | {
    "E_EXPORT_OTHER_VOLUME",
    "E_FILE_FOREIGN",
    "E_NAME_UNSAFE",
    "E_NOT_A_FILE",
    "E_STORAGE_NO_FOLDER",
}


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What an export was asked for.

    Where a `source` is named, its volumes alone are taken; else, of a name that several sources have, the one that was
    done last. `again` is the command line that exports there, without what it exports.
    """

    formats: Sequence[str]
    again: str
    level: Level | None = None
    volumes: frozenset[tuple[str, str]] = frozenset()
    out: str | None = None
    base_url: str = BASE_URL
    image_url: str = IMAGE_URL
    force: bool = False
    partial: bool = False
    silent: bool = False
    source: str = ""


@dataclass
class ExportResult:
    """What became of the volumes of an export.

    Attributes:
        destination: where the documents are.
        done: a report of each volume that was exported.
        failed: the volumes that could not be, and why.
        unfinished: how many volumes of the job are not done by their newest task.
        nothing: volumes that are not done, and of which no attempt left any pages.
        elsewhere: volumes that are exported from one source, and done from others, of other content.
    """

    destination: str
    done: list[VolumeReport] = field(default_factory=list)
    failed: list[tuple[VolumeRef, BecError]] = field(default_factory=list)
    unfinished: int = 0
    nothing: list[VolumeRef] = field(default_factory=list)
    elsewhere: tuple[VolumeRef, ...] = ()

    def add(self, volume: VolumeRef, end: VolumeReport | BecError | None) -> None:
        """Add what became of a volume: a report, an error, or nothing that could have been exported."""
        if end is None:
            self.nothing.append(volume)
        elif isinstance(end, BecError):
            self.failed.append((volume, end))
        else:
            self.done.append(end)

    @property
    def exit_code(self) -> int:
        """The exit code that says how it went."""
        if self.failed:
            return max(exit_code_of(error) for _, error in self.failed)
        lacking = any(
            report.page_errors or report.errors_before or report.lacking or report.partial for report in self.done
        )
        return EXIT_PAGE_ERRORS if lacking or self.nothing else EXIT_DONE


def export(parts: Parts, job: Job, request: ExportRequest) -> ExportResult:
    """Export the volumes of a job that are done; where asked for, also what attempts left of others.

    Raises:
        UsageError: jobs of its type have nothing to hand on, a format has no such level, a volume is not done, no
            attempt left anything of any, or the destination is a file.
        DiskFullError, StorageError: the destination is full, or cannot be written.
        Interrupted: a stop was asked for.
    """
    stop = threading.Event()
    formats = [(name, _level(name, request.level)) for name in request.formats]
    material = Material(request.base_url.rstrip("/"), request.image_url)
    wanted = Wanted(
        formats,
        material,
        reader_of(job.type, job.name),
        {needed: job.root_of(needed) for needed in job.depends_on},
        stop.is_set,
    )
    places = _places(parts, job, request)
    result = ExportResult(destination_url(request.out) or (parts.settings.home / "exports" / job.name).as_uri())
    result.unfinished = _unfinished(parts, job)
    result.elsewhere = tuple(place.location.volume for place in places if place.is_elsewhere)
    store, artefacts = _opened(parts, result.destination, request.out), parts.artefacts()
    destination = Destination(store, work_dir(parts.settings), request.again, request.force)

    def one(place: _Place) -> VolumeReport | BecError | None:
        try:
            if place.attempt is not None:
                kept = _kept(artefacts, place, job)
                return export_kept(kept, wanted, parts.sources, destination) if kept else None
            return export_volume(place.location, wanted, artefacts, parts.sources, destination)
        except BecError as error:
            if error.code not in _OF_A_VOLUME:
                stop.set()
                raise
            return error

    with (
        stopping(lambda _reason: stop.set(), "Stopping at the next page."),
        showing(len(places), silent=request.silent) as shown,
    ):
        for place, end in zip(places, ahead(one, places, threads=parts.settings.threads), strict=True):
            result.add(place.location.volume, end)
            shown.ended(place.location.volume, end)
    _require_something(job, result)
    return result


def _opened(parts: Parts, url: str, out: str | None) -> Objects:
    """Open where documents go; a file that was named in place of a folder is the caller's fault."""
    try:
        return parts.stores.open(url, create=True)
    except StorageError as error:
        if out is None or error.code != "E_STORAGE_NO_FOLDER":
            raise
        raise UsageError(error.message, code=error.code, hint="Name a folder with --out; one is made.") from error


def _kept(artefacts: StoredArtefacts, place: "_Place", job: Job) -> KeptRows | None:
    """Return what attempts left of a volume; None where that is nothing."""
    try:
        return kept_rows(artefacts, place.location, place.attempt or 0, job)
    except StorageError as error:
        if error.code != "E_ARTEFACT_GONE":
            raise
        return None


def _require_something(job: Job, result: ExportResult) -> None:
    if result.nothing and not result.done and not result.failed:
        raise UsageError(
            f"No attempt of the job '{job.name}' left any page of {counted(len(result.nothing), 'volume')} to export.",
            code="E_EXPORT_NOTHING",
            hint=f"`bec jobs tasks {job.name} {result.nothing[0].as_option}` shows where it stands.",
        )


def destination_url(out: str | None) -> str | None:
    """Return the URL of a place that is given as a folder or a URL.

    Raises:
        UsageError: it is empty, which would be the current folder.
    """
    if out is not None:
        require_named(out)
    return out if out is None or "://" in out else as_it_lies(Path(out).expanduser()).resolve().as_uri()


def reader_of(job_type: str, job: str) -> ContentOf:
    """Return what reads the rows of a job.

    Raises:
        UsageError: jobs of its type have nothing to hand on (E_EXPORT_TYPE).
        ConfigError: what reads them needs a package that is not installed.
    """
    read = content_of(job_type)
    if read is None:
        raise UsageError(
            f"The job '{job}' is of type {job_type}, which has no lines or text to hand on.",
            code="E_EXPORT_TYPE",
            hint=f"Types that have: {', '.join(types_with_exports())}. `bec jobs list` shows the jobs.",
        )
    return read


def _level(name: str, wanted: Level | None) -> Level:
    levels = tuple(format_of(name).writers)
    if wanted is not None and wanted not in levels:
        raise UsageError(
            f"The format '{name}' has no files of one {wanted}.",
            code="E_EXPORT_LEVEL",
            hint=f"Leave --level out, or take --level {levels[0]}.",
        )
    return wanted or levels[0]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the artefact of a volume lies; of one that is not done, where it would lie, and its newest attempt.

    `is_elsewhere` says that another source has a volume of that name, which is done, and of other content.
    """

    location: ArtefactLocation
    attempt: int | None = None
    is_elsewhere: bool = False


def _places(parts: Parts, job: Job, request: ExportRequest) -> list[_Place]:
    """Return what is to be exported: of volumes of one name, one (see `ExportRequest`)."""
    found: dict[tuple[str, str], list[DoneVolume]] = defaultdict(list)
    for done in parts.records.overview.done_volumes(job):
        for one in done:
            name = (one.volume.w_id, one.volume.i_id)
            if not request.volumes or name in request.volumes:
                found[name].append(one)
    newest = {name: _newest(job, ones, request.source) for name, ones in found.items()}
    places = {name: place for name, place in newest.items() if place}
    if request.partial:
        overview, names = parts.records.overview, frozenset(places)
        for task, location in kept_volumes(overview, job, names, request.volumes, request.source):
            places[task.volume.w_id, task.volume.i_id] = _Place(location, task.attempt)
    _require_all(job, request, frozenset(places))
    return list(places.values())


def _newest(job: Job, done: Sequence[DoneVolume], source: str) -> _Place | None:
    """Return where the volume of a name that was done last lies, of a source where one is named; None: it has none."""
    wanted = [one for one in done if not source or is_of_source(one.volume, source)]
    if not wanted:
        return None
    newest = max(wanted, key=lambda one: (one.volume.source == source, one.task_id))
    is_elsewhere = len({one.manifest_etag for one in done}) > 1
    return _Place(
        ArtefactLocation(job.root, newest.volume, version_of(newest.manifest_etag)), is_elsewhere=is_elsewhere
    )


def _require_all(job: Job, request: ExportRequest, found: frozenset[tuple[str, str]]) -> None:
    missing = sorted(request.volumes - found)
    of_source = f" of the source {printable(request.source, limit=300)}" if request.source else ""
    if missing:
        first = "/".join(missing[0])
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(
            f"The volume {first}{others}{of_source} is not done by the job '{job.name}'.",
            code="E_EXPORT_VOLUME",
            hint=f"`bec jobs tasks {job.name} --volume {shlex.quote(first)}` shows where it stands; --partial takes "
            "what attempts left of it.",
        )
    if not found:
        raise UsageError(
            f"No volume{of_source} is done by the job '{job.name}'.",
            code="E_EXPORT_NOTHING",
            hint=f"`bec jobs stats {job.name}` shows how far it is; --partial takes what attempts left.",
        )


def _unfinished(parts: Parts, job: Job) -> int:
    volumes = parts.records.overview.figures(job.name, ()).volumes
    done = {TaskState.DONE, TaskState.CANCELED}
    return sum(figures.volumes for state, figures in volumes.items() if state not in done)
