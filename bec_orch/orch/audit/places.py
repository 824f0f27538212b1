"""Holds one artefact against what the database says of it: its listing, its `success.json`, and its opened files."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, Success
from bec_orch.core.frames import are_rows_of
from bec_orch.core.names import printable
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.records.ledger import TaskRow
from bec_orch.core.success import pages_of
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import Manifest, VolumeRef, same_etag, version_of
from bec_orch.core.wording import counted
from bec_orch.errors import ConfigError, TerminalError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.holdings import Holding
from bec_orch.io.artefacts.inspection import FileFacts
from bec_orch.io.artefacts.names import conventional_key
from bec_orch.orch.audit import values as must
from bec_orch.orch.audit.values import Invariant, Looked, Repair, Violation


@dataclass(frozen=True, slots=True)
class Place:
    """One artefact's prefix: what lies there, and every task of the job for its volume, the newest first."""

    job: Job
    holding: Holding
    tasks: tuple[TaskRow, ...]

    @property
    def location(self) -> ArtefactLocation:
        """Where it is."""
        return self.holding.location

    @property
    def at_work(self) -> bool:
        """Whether a task of the volume is unfinished: then what lies here may be about to change."""
        return any(task.unfinished for task in self.tasks)

    @property
    def done(self) -> tuple[TaskRow, ...]:
        """The tasks that the database calls done for what lies here: the newest of each source that has the volume."""
        found: dict[VolumeRef, TaskRow] = {}
        for task in self.tasks:
            if task.state == "done" and task.is_of(self.location.version):
                found.setdefault(task.volume, task)
        return tuple(found.values())

    @property
    def is_of_the_past(self) -> bool:
        """Whether the volume is known to have another version by now."""
        seen = [task.seen_etag for task in self.tasks]
        return bool(seen) and all(etag and version_of(etag) != self.location.version for etag in seen)

    @property
    def ended(self) -> int:
        """The number of the newest attempt; none runs while the place is looked at."""
        return max((task.attempt for task in self.tasks), default=0)

    def violation(self, invariant: Invariant, message: str, repair: Repair, **more: Any) -> Violation:
        """Return a violation at this place."""
        return Violation(
            invariant=invariant,
            job=self.job.name,
            message=message,
            repair=repair,
            location=self.location,
            ended=self.ended,
            **{"volume": self.location.volume, "task_ids": tuple(task.id for task in self.done), **more},
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at one place found."""

    violations: tuple[Violation, ...] = ()
    looked: Looked = field(default_factory=Looked)


class PlaceCheck:
    """Looks at places. May be used by several threads.

    Args:
        artefacts: the destination store.
        default_source: the source of volumes for which none is known.
        manifests: where manifests are read to hold the files against; None leaves the files unopened.
    """

    def __init__(self, artefacts: StoredArtefacts, default_source: str, manifests: SourceFactory | None = None) -> None:
        self._artefacts = artefacts
        self._default_source = default_source
        self._manifests = manifests

    def look(self, place: Place) -> Seen:
        """Return what does not hold at a place.

        Raises:
            StorageError: the store is away.
        """
        if place.at_work:
            return Seen()
        try:
            success = self._artefacts.success(place.location) if place.holding.has_success else None
        except TerminalError as error:
            repair = Repair.RETRACT if self._artefacts.owns_at(place.location) else Repair.REOPEN
            return Seen((place.violation(must.UNREADABLE, error.message, repair),), Looked(artefacts=1))
        if success is None:
            gone = place.violation(must.NO_SUCCESS, f"{place.location.prefix} has no success.json", Repair.REOPEN)
            return Seen((gone,) if place.done else ())
        if not self._artefacts.owns(success):
            return self._foreign(place, success)
        faults = [*_of_listing(place, success)]
        deep = self._opened(place, success) if self._manifests and not faults else Seen()
        faults += deep.violations
        if not faults and not place.done and not place.is_of_the_past:
            faults = [self._not_recorded(place, success)]
        looked = Looked(artefacts=1) + deep.looked
        if faults:
            return Seen(tuple(faults), looked)
        # Only a `success.json` that can be trusted says what is litter, and what readers are to find.
        named = self._is_named(place, success)
        faults = [*self._litter(place, success)]
        if named is None:
            told = f"{conventional_key(place.location)} is not the file of success.json"
            faults.append(place.violation(must.NAME, told, Repair.NAME))
        return Seen(tuple(faults), looked + Looked(names_of_others=int(named is False)))

    def _foreign(self, place: Place, success: Success) -> Seen:
        """Look at somebody else's artefact: what hangs on it here is one of our tasks, if that took it over."""
        faults = [*_of_listing(place, success)] if place.done else []
        deep = self._opened(place, success) if self._manifests and place.done and not faults else Seen()
        # Nothing of it is taken back: the task is looked at again, and ends by saying so.
        found = tuple(replace(fault, repair=Repair.REOPEN) for fault in (*faults, *deep.violations))
        return Seen(found, Looked(artefacts=1, foreign=1) + deep.looked)

    def _is_named(self, place: Place, success: Success) -> bool | None:
        """See `StoredArtefacts.has_conventional_name`; where no file is opened, the right size is enough."""
        key = conventional_key(place.location)
        sizes = [entry.size for entry in place.holding.files if entry.key == key]
        if not self._manifests and sizes == [file.size for file in success.files]:
            return True
        return self._artefacts.has_conventional_name(success)

    def _litter(self, place: Place, success: Success) -> Iterator[Violation]:
        litter = self._artefacts.litter(place.holding, success, ended=place.ended)
        if litter:
            message = f"{litter[0]} and {len(litter) - 1} more" if len(litter) > 1 else litter[0]
            yield place.violation(must.LITTER, message, Repair.SWEEP)

    def _not_recorded(self, place: Place, success: Success) -> Violation:
        source = str((success.content or {}).get("source") or self._default_source)
        newest = place.tasks[0] if place.tasks else None
        volume = newest.volume if newest else replace(place.location.volume, source=source)
        known = f"calls its task {newest.state}" if newest else "knows no task for it"
        message = f"{place.location.prefix} is whole, and the database {known}"
        repair = Repair.REDRIVE if newest and newest.state == "terminal_failed" else Repair.ENQUEUE
        return place.violation(must.NOT_RECORDED, message, repair, volume=volume)

    def _opened(self, place: Place, success: Success) -> Seen:
        manifest = self._manifest(place, success)
        faults: list[Violation] = []
        for file in success.files:
            facts = self._artefacts.inspect(file)
            found = _of_file(place, success, file, facts, manifest)
            faults += [place.violation(invariant, told, Repair.RETRACT, etag=success.etag) for invariant, told in found]
        for sidecar in success.sidecars:
            if self._artefacts.digest(sidecar) != (sidecar.size, sidecar.sha256):
                told = f"{sidecar.key} has another SHA-256 than success.json says"
                faults.append(place.violation(must.DIGEST, told, Repair.RETRACT, etag=success.etag))
        files = len(success.files) + len(success.sidecars)
        return Seen(tuple(faults), Looked(files=files, manifests=int(manifest is not None)))

    def _manifest(self, place: Place, success: Success) -> Manifest | None:
        """Read the manifest that the artefact was made for; None when it is gone, or is another one by now."""
        if not self._manifests or not place.done:
            return None
        task = place.done[0]
        try:
            manifest = self._manifests(task.volume.source).read_manifest(task.volume)
        except (TerminalError, ConfigError):
            return None
        return manifest if same_etag(manifest.etag, success.manifest_etag or task.manifest_etag) else None


def _of_listing(place: Place, success: Success) -> Iterator[Violation]:
    """Hold `success.json` against the listing and against the database."""
    for invariant, told in (*_of_version(place, success), *_of_pages(success), *_of_files(place, success)):
        yield place.violation(invariant, told, Repair.RETRACT, etag=success.etag)
    for task in place.done:
        for invariant, told in (*_of_manifest(task), *_of_record(task, success)):
            yield place.violation(invariant, told, Repair.REOPEN, volume=task.volume, task_ids=(task.id,))


def _of_version(place: Place, success: Success) -> Iterator[tuple[Invariant, str]]:
    if success.manifest_etag is None:
        return  # the older layout does not say
    where = f"{place.location.prefix}/success.json"
    location, content = place.location, success.content or {}
    named = {"job": place.job.name, "w_id": location.volume.w_id, "i_id": location.volume.i_id}
    for key, name in named.items():
        if content.get(key, name) != name:
            yield must.VERSION, f"{where} has {printable(str(content[key]))} as its {key}"
    wanted = {task.manifest_etag for task in place.done if not same_etag(task.manifest_etag, success.manifest_etag)}
    if version_of(success.manifest_etag) != location.version or wanted:
        of_task = f", its task of {', '.join(map(str, wanted))}" if wanted else ""
        yield must.VERSION, f"{where} is of the manifest {success.manifest_etag}{of_task}"


def _of_pages(success: Success) -> Iterator[tuple[Invariant, str]]:
    if success.pages is None or success.manifest_etag is None:
        return  # others have no rows to hold them against
    total = (success.content or {})["pages"].get("total", success.pages.total)
    if total != success.pages.total:
        yield (
            must.PAGES,
            f"the pages in {success.location.prefix}/success.json add up to {success.pages.total}, not {total}",
        )
    for file in success.files:
        if file.rows != success.pages.total:
            rows, pages = counted(file.rows, "row"), counted(success.pages.total, "page")
            yield must.PAGES, f"{file.key} is said to have {rows} for {pages}"


def _of_files(place: Place, success: Success) -> Iterator[tuple[Invariant, str]]:
    sizes = {entry.key: entry.size for entry in place.holding.files}
    if not success.files:
        yield must.FILE, f"{place.location.prefix}/success.json names no file"
    for file in (*success.files, *success.sidecars):
        if file.key not in sizes:
            yield must.FILE, f"{file.key} is not there"
        elif file.sha256 and sizes[file.key] != file.size:
            yield must.FILE, f"{file.key} has {sizes[file.key]} bytes, not {file.size}"


def _of_manifest(task: TaskRow) -> Iterator[tuple[Invariant, str]]:
    if task.nb_pages is not None and task.nb_pages != task.pages.total:
        yield must.PAGES, f"task {task.id} has {counted(task.pages.total, 'page')}, its manifest {task.nb_pages}"


def _of_record(task: TaskRow, success: Success) -> Iterator[tuple[Invariant, str]]:
    said = {
        "config hash": (task.config_hash, success.config_hash or ""),
        "file": (task.artefact_key, success.files[0].key if success.files else None),
        "page counts": (task.pages, pages_of(success, task.pages.total) if success.pages else task.pages),
    }
    for what, (recorded, stored) in said.items():
        if recorded != stored:
            yield must.RECORD, f"the {what} of task {task.id} is not that of {success.location.prefix}/success.json"


def _fits(names: tuple[str | None, ...], manifest: Manifest) -> bool:
    return are_rows_of(names, [page.filename for page in manifest.pages])


def _of_file(
    place: Place, success: Success, file: ArtefactFile, facts: FileFacts | None, manifest: Manifest | None
) -> Iterator[tuple[Invariant, str]]:
    """Hold what a file holds against `success.json` and the manifest."""
    if facts is None:
        yield must.OPENS, f"{file.key} is not a whole Parquet file"
        return
    if file.sha256 and (facts.size, facts.sha256) != (file.size, file.sha256):
        yield must.DIGEST, f"{file.key} has another SHA-256 than success.json says"
    own = success.pages if success.manifest_etag else None
    expected = own or next((task.pages for task in place.done), None)
    if expected and facts.rows != expected.total:
        yield must.ROWS, f"{file.key} has {counted(facts.rows, 'row')} for {counted(expected.total, 'page')}"
    elif manifest and facts.names is not None and not _fits(facts.names, manifest):
        yield must.NAMES, f"the rows of {file.key} are not the pages of the manifest ({len(manifest.pages)}), in order"
    if own and facts.pages and facts.pages != own:
        yield must.LEDGER, f"{file.key} has other numbers of ok, skipped and error pages than success.json"
