"""The destination store (an `ArtefactStore`).

Under `{root}/{w_id}/{i_id}/{version}/` it has the Parquet file of an attempt, its sidecar files and, last of all,
`success.json`, which names them. Readers find the files through `success.json` alone. Others write there, too: what
does not carry the marks of the database that this works for is read, and neither removed nor replaced.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from typing_extensions import override

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, AttemptKey, StoredFile, Success
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.ownership import FORMAT, Owner
from bec_orch.core.ports.artefact_store import ArtefactStore
from bec_orch.core.volumes import Manifest
from bec_orch.core.wording import said
from bec_orch.errors import NotAFile, PlaceTaken, StorageError, TerminalError
from bec_orch.io.artefacts.attempt_files import StoredAttempt
from bec_orch.io.artefacts.conventional import holds_copy, put_copy, remove_copy
from bec_orch.io.artefacts.holdings import Holding, holding_of, holdings, litter_of, partials_of
from bec_orch.io.artefacts.inspection import FileFacts, inspect, sha256_of
from bec_orch.io.artefacts.names import conventional_key, is_earlier_file
from bec_orch.io.artefacts.parquet import BrokenParquet, checked, opened, reading, to_be_read
from bec_orch.io.artefacts.part_rows import part_rows
from bec_orch.io.artefacts.removal import remove
from bec_orch.io.artefacts.success_json import MOST_BYTES, mark_of, parse, success_key, to_bytes, unreadable
from bec_orch.io.stores.errors import DENIED
from bec_orch.io.stores.objects import Blob, Entry, Objects

# 40,000 pages with contours take some 2 GB; a reader of more goes through `row_batches`.
_MOST_TABLE_BYTES = 4 * 2**30


class StoredArtefacts(ArtefactStore):
    """Artefacts in an object store, those of `owner` and others'.

    Attempts write their files first in `work_dir`, a folder of this machine. Rows of artefacts without our format are
    handed out as `in_our_columns` returns them.
    """

    def __init__(
        self,
        objects: Objects,
        work_dir: Path,
        owner: Owner,
        in_our_columns: Callable[[pa.Table], pa.Table] = lambda rows: rows,
    ) -> None:
        self._objects = objects
        self._work_dir = work_dir
        self._owner = owner
        self._in_our_columns = in_our_columns

    @override
    def success(self, location: ArtefactLocation) -> Success | None:
        blob = self._success_blob(location)
        found = None if blob is None else parse(blob.data, self._objects.version(blob), location)
        return self._with_file(found) if found and found.mark.format is None else found

    def _with_file(self, success: Success) -> Success:
        """Find the file of an artefact whose `success.json` names none: jobs of the earlier system add their names.

        Raises:
            TerminalError: several files could be it (E_ARTEFACT_BROKEN).
        """
        [usual] = success.files
        listed = (entry.key for entry in self._objects.list(success.location.prefix).objects)
        found = [key for key in listed if is_earlier_file(key, success.location)]
        if usual.key in found or not found:
            return success
        if len(found) > 1:
            raise unreadable(success.location, f"it names no file, and {len(found)} could be it, {found[0]} for one")
        return replace(success, files=(replace(usual, key=found[0]),))

    @override
    def check_there(self) -> None:
        self._objects.check_there()

    @override
    def owns(self, success: Success) -> bool:
        return self._owner.owns(success.mark)

    def owns_at(self, location: ArtefactLocation) -> bool:
        """Return whether the `success.json` of a location is ours, also when all but its marks is broken.

        Raises:
            StorageError: the store is away.
        """
        try:
            blob = self._success_blob(location)
        except TerminalError:
            return False
        return blob is not None and self._owner.owns(mark_of(blob.data))

    def _success_blob(self, location: ArtefactLocation) -> Blob | None:
        """Read a `success.json`. Nothing is read of one that is too large, which then is not JSON.

        Raises:
            TerminalError: it is not a file (E_ARTEFACT_BROKEN).
        """
        try:
            return self._objects.read(success_key(location), limit=MOST_BYTES)
        except NotAFile as error:
            raise unreadable(location, f"it is {error.what}, not a file") from error

    @override
    def verify(self, success: Success, nb_pages: int) -> bool:
        whole = bool(success.files) and all(self._is_whole(file, nb_pages) for file in success.files)
        return whole and self._has_sidecars(success)

    @override
    def is_untouched(self, success: Success, nb_pages: int) -> bool:
        if not self._owner.owns(success.mark) or not success.files or not all(file.sha256 for file in success.files):
            return False
        holding = self.holding(success.location)
        sizes = {entry.key: entry.size for entry in holding.files}
        copy = sizes.get(conventional_key(success.location)) == success.files[0].size
        named = all(sizes.get(file.key) == file.size for file in (*success.files, *success.sidecars))
        rows = all(file.rows == nb_pages for file in success.files)
        return named and rows and copy and not self.litter(holding, success)

    def _has_sidecars(self, success: Success) -> bool:
        """Look at names and sizes: a listing has those of a thousand files at once."""
        folders = {file.key.rpartition("/")[0] for file in success.sidecars}
        there = {entry.key: entry.size for folder in folders for entry in self._objects.list(folder).objects}
        return all(there.get(file.key) == file.size for file in success.sidecars)

    def _is_whole(self, file: ArtefactFile, nb_pages: int) -> bool:
        """Look at size and footer; of a file of the older layout, the size is not known."""
        entry = self._objects.head(file.key)
        if entry is None or (file.sha256 and (entry.size, nb_pages) != (file.size, file.rows)):
            return False
        return self._rows_in(entry) == nb_pages

    def rows(self, success: Success) -> int | None:
        """Count the rows of an artefact by the footers of its files; None where one is gone, or is no whole file.

        Raises:
            StorageError: the store is away.
        """
        entries = [self._objects.head(file.key) for file in success.files]
        counts = [entry and self._rows_in(entry) for entry in entries]
        return sum(count or 0 for count in counts) if counts and None not in counts else None

    def _rows_in(self, entry: Entry) -> int | None:
        try:
            with reading(), self._objects.open(entry) as found, opened(found, entry.size) as parquet:
                return int(parquet.metadata.num_rows)
        except BrokenParquet:
            return None

    @override
    def open_attempt(
        self,
        location: ArtefactLocation,
        manifest: Manifest,
        attempt: int,
        key: AttemptKey,
        schema: pa.Schema,
        counted: Mapping[str, str],
    ) -> StoredAttempt:
        files = (self._objects, self._work_dir, self._owner)
        return StoredAttempt(*files, location, manifest, attempt, key, schema, counted)

    @override
    def commit(self, location: ArtefactLocation, content: Mapping[str, Any], *, replaces: Success | None) -> Success:
        key = success_key(location)
        data = to_bytes({**content, "format": FORMAT, "database": self._owner.identity})
        if replaces is None:
            self._objects.create(key, data)
        else:
            reached(FaultPoint.SUCCESS_REPLACING)
            self._replace(key, data, replaces.etag)
        held = self.success(location)
        if held is None:
            raise StorageError(f"The file {key} was removed while it was written.", code="E_ARTEFACT_CONFLICT")
        return held

    def _replace(self, key: str, data: bytes, etag: str) -> None:
        try:
            self._objects.replace(key, data, etag)
        except StorageError as error:
            if error.code != DENIED:
                raise
            # The attempt's own file was put there a moment ago, so what is refused is this object: it is locked.
            raise PlaceTaken(
                f"The store keeps the file {key} from being replaced.",
                code="E_ARTEFACT_LOCKED",
                hint="Wait until its lock or retention ends, then `bec queue redrive JOB --reason E_ARTEFACT_LOCKED`; "
                "the older one holds until then.",
            ) from error

    @override
    def name_conventionally(self, success: Success) -> bool:
        if not self._owner.owns(success.mark):
            return False
        return put_copy(self._objects, self._owner, success.location, self.success)

    def has_conventional_name(self, success: Success) -> bool | None:
        """Return whether the conventional name holds the file of a `success.json` of ours; None: it can be put there.

        Raises:
            StorageError: the store is away.
        """
        return holds_copy(self._objects, self._owner, success)

    @override
    def sweep(self, success: Success, *, ended: int = 0) -> int:
        return remove(self._objects, self.litter(self.holding(success.location), success, ended=ended))

    def litter(self, holding: Holding, success: Success, *, ended: int = 0) -> list[str]:
        """Return the keys of what our attempts left beside a `success.json`; those up to `ended` have ended."""
        return litter_of(holding, success, self._owner, ended=ended)

    def holdings(self, root: str) -> Iterator[Holding]:
        """List what lies under the prefixes of a job's artefacts, one after the other; nothing is read.

        Raises:
            StorageError: the store is away.
        """
        return holdings(self._objects.walk(root))

    def holding(self, location: ArtefactLocation) -> Holding:
        """List what lies under the prefix of one artefact.

        Raises:
            StorageError: the store is away.
        """
        return holding_of(location, self._objects.walk(location.prefix))

    def partial(self, location: ArtefactLocation) -> str | None:
        """Return the key of the file that marks our newest partial artefact at a location; None where there is none.

        Raises:
            StorageError: the store is away.
        """
        found = partials_of(self.holding(location), self._owner)
        return found[max(found)][0] if found else None

    def inspect(self, file: ArtefactFile) -> FileFacts | None:
        """Look into a file of an artefact; None when it is gone, or is not a whole Parquet file.

        Raises:
            StorageError: the store is away.
        """
        return inspect(self._objects, file.key)

    def digest(self, file: StoredFile) -> tuple[int, str] | None:
        """Return the size and the SHA-256 of a file as it lies there; None when it is gone.

        Raises:
            StorageError: the store is away.
        """
        entry = self._objects.head(file.key)
        return None if entry is None else (entry.size, sha256_of(self._objects, entry))

    def retract(self, location: ArtefactLocation, etag: str | None) -> bool:
        """Remove a `success.json` of ours that was found to be wrong, and the copy of its file beside it.

        No reader meets it, and the work is done again.

        Args:
            location: where it is.
            etag: its own, as it was read; None for one that could not be read.

        Returns:
            Whether it is gone: another one that is there by now stays, somebody else's, and one that the store keeps.
        """
        blob = self._success_blob(location)
        if blob is None:
            return True
        if etag != self._readable_version(blob, location) or not self._owner.owns(mark_of(blob.data)):
            return False
        # First: readers of the name do not look whether there is a success.json.
        remove_copy(self._objects, self._owner, location)
        return remove(self._objects, [success_key(location)]) == 1

    def _readable_version(self, blob: Blob, location: ArtefactLocation) -> str | None:
        version = self._objects.version(blob)
        try:
            return parse(blob.data, version, location).etag
        except TerminalError:
            return None

    @override
    def read_rows(self, success: Success, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows of an artefact, all columns or some.

        Raises:
            StorageError: a file is gone or broken, or the store is away.
        """
        batches: list[pa.RecordBatch] = []
        size = 0
        for batch in self.row_batches(success, columns):
            size += batch.nbytes
            if size > _MOST_TABLE_BYTES:
                raise _unreadable(success.files[0], f"has more than {_MOST_TABLE_BYTES} bytes of rows")
            batches.append(batch)
        return pa.Table.from_batches(batches) if batches else pa.table({})

    def row_batches(
        self, success: Success, columns: Sequence[str] | None = None, batch_size: int = 512
    ) -> Iterator[pa.RecordBatch]:
        """Read the rows of an artefact in batches, so that a large one is never in memory."""
        for file in success.files:
            entry = self._objects.head(file.key)
            if entry is None:
                raise _unreadable(file, "is gone", code="E_ARTEFACT_GONE")
            try:
                if success.mark.format is None:
                    yield from self._batches_of_others(entry, columns, batch_size)
                else:
                    yield from self._batches(entry, columns, batch_size)
            except BrokenParquet as error:
                raise _unreadable(file, f"cannot be read ({said(error)})") from error

    def part_rows(
        self, location: ArtefactLocation, attempt: int, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        """Read what attempts left of pages whose volume is not done; None where that is nothing.

        Args:
            location: where its artefact would lie.
            attempt: the newest attempt that counts.
            columns: the columns that are wanted (default: all), as far as there are such; `page`, the index, stands
                before them.

        Raises:
            StorageError: the store is away.
        """
        return part_rows(self._objects, self._owner, location, attempt, columns)

    def _batches(self, entry: Entry, columns: Sequence[str] | None, batch_size: int) -> Iterator[pa.RecordBatch]:
        with self._objects.open(entry) as file:
            with reading():
                parquet = to_be_read(file, entry.size, columns)
                batches = parquet.iter_batches(batch_size, columns=None if columns is None else list(columns))
            with parquet:
                yield from checked(batches)

    def _batches_of_others(
        self, entry: Entry, columns: Sequence[str] | None, batch_size: int
    ) -> Iterator[pa.RecordBatch]:
        """Read all columns, since ours may be made of any of them."""
        for batch in self._batches(entry, None, batch_size):
            with reading():
                rows = self._in_our_columns(pa.Table.from_batches([batch]))
                wanted = (
                    rows.column_names if columns is None else [name for name in columns if name in rows.column_names]
                )
                told = rows.select(wanted).combine_chunks().to_batches()
            yield from told


def _unreadable(file: ArtefactFile, what: str, code: str = "E_ARTEFACT_BROKEN") -> StorageError:
    return StorageError(
        f"The artefact's file {file.key} {what}.",
        code=code,
        hint="`bec audit --deep` shows what else is lost; with `--fix`, a new run of the job makes it again.",
    )
