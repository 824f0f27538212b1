"""Documents in a store: put there whole, skipped where they are there, and never in place of what is not ours."""

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from bec_orch.cli.export.record import MOST_BYTES, Record, parse, record_key, records_of, to_bytes
from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.names import printable
from bec_orch.core.transcripts import Origin
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import UsageError
from bec_orch.io.artefacts.local_files import ScratchFolder
from bec_orch.io.stores.checksums import sha256_of
from bec_orch.io.stores.errors import file_errors
from bec_orch.io.stores.objects import Objects

# So many documents are named by the record before they are written: it is written anew each time.
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Destination:
    """Where documents go.

    Attributes:
        objects: the store.
        work_dir: a folder of this machine in which documents are written before they go there.
        again: the command line that exports here, without what it exports: for hints.
        force: write over files that are not ours, or were changed since.
    """

    objects: Objects
    work_dir: Path
    again: str
    force: bool = False


def require_own_folder(destination: Destination, location: ArtefactLocation, formats: Sequence[str]) -> None:
    """See that where the documents of a volume go there are none of another volume of its name, from another source.

    Args:
        destination: where they go.
        location: the artefact that they are of.
        formats: the names of their formats.

    Raises:
        UsageError: there are (E_EXPORT_OTHER_VOLUME): they would be lost, or mixed with these.
    """
    objects, volume = destination.objects, location.volume
    folder = f"{volume.w_id}/{volume.i_id}"
    records = records_of(objects, volume)
    if not records or any(record.is_of(location) for record in records):
        return
    theirs, own = (printable(source, limit=300) for source in (records[0].source, volume.source))
    raise UsageError(
        f"The documents in {objects.url}/{folder} are of the volume of that name in {theirs}: "
        f"those of {own} are not written there.",
        code="E_EXPORT_OTHER_VOLUME",
        hint=f"{_elsewhere(destination, volume, formats)}, or move that folder away.",
    )


def _elsewhere(destination: Destination, volume: VolumeRef, formats: Sequence[str]) -> str:
    """Return how to write the documents of a volume of one source elsewhere."""
    chosen = f"--volume {shlex.quote(str(volume))} --source {shlex.quote(volume.source)}"
    return f"Write them elsewhere with `{destination.again} --format {','.join(formats)} {chosen} --out DIR`"


@dataclass
class Documents:
    """The documents of one volume in one format and level.

    Args:
        destination: where they go.
        location: the artefact of the volume.
        name: of the format and level; it names their record.
        key: what they are made of; those that are there and made of the same are left as they are.
        origin: how the rows were made.
    """

    destination: Destination
    location: ArtefactLocation
    name: str
    key: str
    origin: Origin
    written: int = 0
    skipped: int = 0
    foreign: list[str] = field(default_factory=list)
    _files: dict[str, str] = field(default_factory=dict)
    _bare: set[str] = field(default_factory=set)
    _staged: dict[str, Path] = field(default_factory=dict)
    _folder: ScratchFolder | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def __post_init__(self) -> None:
        blob = self.destination.objects.read(record_key(self.location.volume, self.name), limit=MOST_BYTES)
        record = parse(blob.data) if blob else Record()
        if record is None and not self.destination.force:
            raise self._foreign_files([record_key(self.location.volume, self.name)])
        self._before = self._stored = record or Record()

    def kept(self, keys: Iterable[str]) -> set[str]:
        """Return those of these that need not be made: they are there, lack nothing, and are made of the same.

        Whether somebody changed one counts where it is to be written over.
        """
        if self._before.key != self.key:
            return set()
        wanted = set(keys) & self._before.files.keys() - self._before.begun.keys()
        # One that lacks images is made again, unless somebody corrected it.
        wanted -= {key for key in wanted & self._before.lacking if self.destination.force or not self._changed(key)}
        folders = {key.rpartition("/")[0] for key in wanted}
        objects = self.destination.objects
        there = wanted & {entry.key for folder in folders for entry in objects.list(folder).objects}
        return {
            key for key in there if not objects.is_link(key) and not (self.destination.force and self._changed(key))
        }

    def _changed(self, key: str) -> bool:
        blob = self.destination.objects.read(key)
        return blob is None or hashlib.sha256(blob.data).hexdigest() != self._before.files[key]

    def keep(self, key: str) -> None:
        """Note that a document stays as it is."""
        self._files[key] = self._before.files[key]
        self.skipped += 1

    def put(self, key: str, pieces: Iterable[bytes]) -> None:
        """Take a document, to be written with those that follow it by `flush` or `finish`.

        Raises:
            DiskFullError, StorageError: it cannot be written.
        """
        self._staged[key] = self._stage(pieces)
        if len(self._staged) >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write the documents that were taken, each whole or not at all; the record names them first.

        One that is not ours, or was changed since, stays and is noted.

        Raises:
            DiskFullError, StorageError: one cannot be written.
        """
        digests = {key: sha256_of(path) for key, path in self._staged.items()}
        begun = {key: digest for key, digest in digests.items() if not self._stored.is_ours(key, digest)}
        if begun:
            known = {key: (*self._stored.begun.get(key, ()), digest) for key, digest in begun.items()}
            begun_now = {**self._stored.begun, **known}
            volume, version = self.location.volume, self.location.version
            self._record(replace(self._stored, begun=begun_now, source=volume.source, version=version))
        for key, digest in digests.items():
            self._write(key, self._staged[key], digest)
        self._drop()

    def _write(self, key: str, path: Path, digest: str) -> None:
        if self.destination.objects.create(key, path) or self._replace(key, path, digest):
            self._files[key] = digest
            self.written += 1
            return
        self.foreign.append(key)
        if key in self._before.ended:
            self._files[key] = self._before.ended[key]

    def note_lacking(self, key: str) -> None:
        """Note that a document lacks images which were out of reach: the next export makes it again."""
        self._bare.add(key)

    @property
    def lacking(self) -> frozenset[str]:
        """The documents that were written, and lack images."""
        return frozenset(self._bare & self._files.keys())

    def finish(self) -> None:
        """Write the record: what was written before it is known to be ours, also of pages that are no longer there.

        Raises:
            UsageError: some documents could not be written over (E_FILE_FOREIGN).
        """
        self.flush()
        left = {key: digest for key, digest in self._before.ended.items() if key not in self._files}
        ended = self._files.keys() - set(self.foreign)
        begun = {key: digests for key, digests in self._stored.begun.items() if key not in ended}
        # Without its key, the next export looks at every document again.
        key, place = "" if self.foreign else self.key, (self.location.volume.source, self.location.version)
        self._record(Record(key, self._files, self.lacking, left, *place, begun))
        if self.foreign:
            raise self._foreign_files(self.foreign)

    def _record(self, record: Record) -> None:
        if record == self._stored:
            return
        key, objects = record_key(self.location.volume, self.name), self.destination.objects
        data = to_bytes(record, self.origin)
        while not objects.create(key, data):
            etag = objects.version_at(key)
            if etag is not None and objects.replace(key, data, etag):
                break
        self._stored = record

    def _replace(self, key: str, path: Path, digest: str) -> bool:
        """Replace a document if it is ours, and return whether it was: what is not ours stays."""
        objects = self.destination.objects
        blob = objects.read(key)
        if blob is None:
            if self.destination.force and objects.is_link(key):  # it leads nowhere
                objects.delete([key])
            return objects.create(key, path)
        found = hashlib.sha256(blob.data).hexdigest()
        if found == digest:
            return True
        if not self.destination.force and not self._before.is_ours(key, found):
            return False
        return objects.replace(key, path.read_bytes(), objects.version(blob))

    def _stage(self, pieces: Iterable[bytes]) -> Path:
        with file_errors(f"write a document in {self.destination.work_dir}"):
            self._folder = self._folder or ScratchFolder(self.destination.work_dir)
            path = self._folder.path / str(len(self._staged))
            file = path.open("xb")
        with file:
            for piece in pieces:
                with file_errors(f"write a document in {self.destination.work_dir}"):
                    file.write(piece)
            with file_errors(f"write a document in {self.destination.work_dir}"):
                file.flush()
        return path

    def _drop(self) -> None:
        """Remove what was taken, written or not."""
        self._staged.clear()
        if self._folder:
            self._folder.close()
            self._folder = None

    def _foreign_files(self, keys: Sequence[str]) -> UsageError:
        """Return the error of files that are not as this program wrote them."""
        others = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        are = "are not as this program wrote them: they are" if others else "is not as this program wrote it: it is"
        # ALTO and PAGE alone are read back.
        taken = "Take corrections over with `bec import`, move" if keys[0].endswith(".xml") else "Move"
        return UsageError(
            f"The file {keys[0]}{others} in {self.destination.objects.url} {are} left.",
            code="E_FILE_FOREIGN",
            hint=f"{taken} it away, or write over it with `{self._over()}`.",
        )

    def _over(self) -> str:
        """Return what writes over files that are in the way, of this volume and format alone."""
        name, _, level = self.name.partition("-")
        volume = shlex.quote(str(self.location.volume))
        return f"{self.destination.again} --format {name} --level {level} --volume {volume} --force"
