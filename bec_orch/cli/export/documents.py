"""Documents in a store: put there whole, skipped where they are there, and never in place of what is not ours."""

import hashlib
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bec_orch.cli.export.record import MOST_BYTES, Record, parse, record_key, records_of, to_bytes
from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.names import printable
from bec_orch.core.transcripts import Origin
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import UsageError
from bec_orch.io.stores.checksums import sha256_of
from bec_orch.io.stores.errors import file_errors
from bec_orch.io.stores.objects import Objects


@dataclass(frozen=True, slots=True)
class Destination:
    """Where documents go.

    Attributes:
        objects: the store.
        work_dir: a folder of this machine in which documents are written before they go there.
        force: write over files that are not ours, or were changed since.
        again: the command line that exports here, for hints of commands whose own --force means something else.
    """

    objects: Objects
    work_dir: Path
    force: bool = False
    again: str | None = None


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
    if destination.again is None:
        return "Take one of the two with --source, and write it elsewhere with --out"
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
    lacking: set[str] = field(default_factory=set)
    foreign: list[str] = field(default_factory=list)
    _files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        blob = self.destination.objects.read(record_key(self.location.volume, self.name), limit=MOST_BYTES)
        record = parse(blob.data) if blob else Record()
        if record is None and not self.destination.force:
            raise self._foreign_files([record_key(self.location.volume, self.name)])
        self._before = record or Record()
        self._ours = self._before.ours

    def kept(self, keys: Iterable[str]) -> set[str]:
        """Return those of these that need not be made: they are there, lack nothing, and are made of the same.

        Whether somebody changed one counts where it is to be written over.
        """
        if self._before.key != self.key:
            return set()
        wanted = set(keys) & self._before.files.keys()
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
        """Write a document whole or not at all; one that is not ours, or was changed since, stays and is noted.

        Raises:
            DiskFullError, StorageError: it cannot be written.
        """
        with self._staged(pieces) as path:
            digest = sha256_of(path)
            if self.destination.objects.create(key, path) or self._replace(key, path, digest):
                self._files[key] = digest
                self.written += 1
                return
        self.foreign.append(key)
        if key in self._ours:
            self._files[key] = self._ours[key]

    def note_lacking(self, key: str) -> None:
        """Note that a document lacks images which were out of reach: the next export makes it again."""
        if key in self._files:
            self.lacking.add(key)

    def finish(self) -> None:
        """Write the record: what was written before it is known to be ours, also of pages that are no longer there.

        Raises:
            UsageError: some documents could not be written over (E_FILE_FOREIGN).
        """
        # Without its key, the next export looks at every document again.
        left = {key: digest for key, digest in self._ours.items() if key not in self._files}
        key, lacking = "" if self.foreign else self.key, frozenset(self.lacking)
        record = Record(key, self._files, lacking, left, self.location.volume.source, self.location.version)
        if record != self._before:
            self._record(to_bytes(record, self.origin))
        if self.foreign:
            raise self._foreign_files(self.foreign)

    def _record(self, data: bytes) -> None:
        key, objects = record_key(self.location.volume, self.name), self.destination.objects
        while not objects.create(key, data):
            etag = objects.version_at(key)
            if etag is not None and objects.replace(key, data, etag):
                return

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
        if not self.destination.force and found != self._ours.get(key):
            return False
        return objects.replace(key, path.read_bytes(), objects.version(blob))

    @contextmanager
    def _staged(self, pieces: Iterable[bytes]) -> Iterator[Path]:
        with file_errors(f"write a document in {self.destination.work_dir}"):
            file = tempfile.NamedTemporaryFile(dir=self.destination.work_dir, prefix="export-")  # noqa: SIM115  (below)
        with file:
            for piece in pieces:
                with file_errors(f"write a document in {self.destination.work_dir}"):
                    file.write(piece)
            with file_errors(f"write a document in {self.destination.work_dir}"):
                file.flush()
            yield Path(file.name)

    def _foreign_files(self, keys: Sequence[str]) -> UsageError:
        """Return the error of files that are not as this program wrote them."""
        others = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        are = "are not as this program wrote them: they are" if others else "is not as this program wrote it: it is"
        # ALTO and PAGE alone are read back.
        taken = "Take corrections over with `bec import`, move" if keys[0].endswith(".xml") else "Move"
        return UsageError(
            f"The file {keys[0]}{others} in {self.destination.objects.url} {are} left.",
            code="E_FILE_FOREIGN",
            hint=f"{taken} it away, {self._over()}.",
        )

    def _over(self) -> str:
        """Return how to write over files that are in the way, of this volume and format alone."""
        if self.destination.again is None:
            return "name another --out, or write over it with --force"
        name, _, level = self.name.partition("-")
        volume = shlex.quote(str(self.location.volume))
        again = f"{self.destination.again} --format {name} --level {level} --volume {volume} --force"
        return f"or write over it with `{again}`"
