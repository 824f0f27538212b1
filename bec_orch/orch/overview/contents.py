"""What a job found on pages of a volume, read from its artefact and those it was made from, a few rows at a time."""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, Success
from bec_orch.core.names import check_name
from bec_orch.core.ports.views import ContentOf
from bec_orch.core.tasks import Job
from bec_orch.core.transcripts import Origin, PageContent, PageRecord, state_note
from bec_orch.core.volumes import PageCounts
from bec_orch.errors import LOST_ARTEFACT, StorageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts

_ROWS = 32
# File systems hold names of up to 255 bytes.
_MOST_NAME_BYTES = 255
_STATE = ("img_file_name", "ok", "skipped", "skip_reason", "error_type")


class BatchReader(Protocol):
    """Reads the rows of a volume in batches."""

    def row_batches(
        self, success: Success, columns: Sequence[str] | None = None, batch_size: int = 512
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows, with all columns by default."""
        ...


@dataclass(frozen=True, slots=True)
class KeptRows(BatchReader):
    """The rows that attempts left of a volume that is not done: they stand for its artefact.

    Attributes:
        success: what a `success.json` would say of them.
        table: the rows.
        origin: how they were made.
    """

    success: Success
    table: pa.Table
    origin: Origin

    @override
    def row_batches(
        self, success: Success, columns: Sequence[str] | None = None, batch_size: int = 512
    ) -> Iterator[pa.RecordBatch]:
        wanted = self.table if columns is None else self.table.select(list(columns))
        yield from wanted.to_batches(max_chunksize=batch_size)


def kept_rows(artefacts: StoredArtefacts, location: ArtefactLocation, attempt: int, job: Job) -> KeptRows:
    """Return the rows that attempts up to one left of a volume.

    Raises:
        StorageError: there are none (E_ARTEFACT_GONE), or the store is away.
    """
    found = artefacts.part_rows(location, attempt)
    if found is None:
        raise StorageError(
            f"No attempt at {location.volume} left any pages.",
            code="E_ARTEFACT_GONE",
            hint=f"`bec jobs tasks {job.name} {location.volume.as_option}` shows where it stands.",
        )
    table = found.drop_columns(["page"]).combine_chunks()
    ok, skipped = (int(pc.sum(table[name]).as_py() or 0) for name in ("ok", "skipped"))
    pages = PageCounts(ok, skipped, table.num_rows - ok - skipped)
    success = Success(location, _digest(table), (), pages=pages)
    engine = _text(job.config.get("engine"))
    return KeptRows(success, table, Origin(location.volume, job.name, job.type, engine, is_partial=True))


def _digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def origin_of(success: Success) -> Origin:
    """Return how an artefact was made, as far as it says."""
    content: Mapping[str, Any] = success.content or {} if success.manifest_etag else {}
    config = content.get("config")
    engine = config.get("engine") if isinstance(config, dict) else None
    return Origin(
        volume=success.location.volume,
        job=_text(content.get("job")) or success.location.root,
        job_type=_text(content.get("type")),
        engine=_text(engine),
        models=success.models,
        code_version=success.code_version or "",
        config_hash=success.config_hash or "",
        finished_at=_time(content.get("finished_at")),
        digest=success.files[0].sha256 if success.files else "",
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _time(value: Any) -> str:
    try:
        return dt.datetime.fromisoformat(_text(value)).isoformat(timespec="seconds")
    except ValueError:
        return ""


def image_names(artefacts: BatchReader, success: Success) -> list[str]:
    """Return the names of the images of all pages, which become names of documents.

    Raises:
        NameUnsafeError: one would leave its folder, or cannot be a name.
        StorageError: the artefact's file is gone or broken, or has no column of names (E_ARTEFACT_BROKEN).
    """
    names: list[str] = []
    for batch in artefacts.row_batches(success, ["img_file_name"]):
        if "img_file_name" not in batch.schema.names:
            raise _not_an_artefact(success)
        found: list[Any] = batch.column("img_file_name").to_pylist()
        if None in found:
            raise _not_an_artefact(success)
        names += found
    return [check_name("page", name, max_bytes=_MOST_NAME_BYTES) for name in names]


def skip_reasons(artefacts: BatchReader, success: Success) -> Counter[str]:
    """Return why pages of a volume were skipped, and how many for each reason.

    Raises:
        StorageError: the artefact's file is gone or broken, or the store is away.
    """
    batches = artefacts.row_batches(success, ["img_file_name", "skipped", "skip_reason"])
    rows = (row for batch in batches for row in batch.to_pylist())
    return Counter(row.get("skip_reason") or "" for row in rows if row.get("skipped"))


def inputs_beside(artefacts: StoredArtefacts, success: Success, needs: Mapping[str, str]) -> dict[str, Success]:
    """Return the artefacts that one of the earlier system was made from, by job; none of one that names them itself.

    They are those that the jobs which its job `needs` (name and folder of artefacts) left for the same version.

    Raises:
        StorageError: the store is away.
        TerminalError: a `success.json` cannot be read.
    """
    if success.manifest_etag is not None:
        return {}
    beside = {job: artefacts.success(replace(success.location, root=root)) for job, root in needs.items()}
    return {job: one for job, one in beside.items() if one}


def readable_inputs(
    artefacts: BatchReader, success: Success, beside: Mapping[str, Success] | None = None
) -> dict[str, Success]:
    """Return the artefacts that this one was made from, by job, as far as they are still there.

    Args:
        artefacts: the store of artefacts.
        success: says which they are.
        beside: those that it does not name, see `inputs_beside`.

    Raises:
        StorageError: the store is away.
    """
    files = {job: key for job, key in success.inputs.items() if key.endswith(".parquet")}
    every = {job: Success(success.location, "", (ArtefactFile(key, 0, "", 0),)) for job, key in files.items()}
    return {job: one for job, one in {**every, **(beside or {})}.items() if _is_readable(artefacts, one)}


def _is_readable(artefacts: BatchReader, success: Success) -> bool:
    try:
        next(artefacts.row_batches(success, ["img_file_name"]), None)
    except StorageError as error:
        if error.code not in LOST_ARTEFACT:
            raise
        return False
    return True


def pages_of(
    artefacts: BatchReader, success: Success, inputs: Mapping[str, Success], read: ContentOf
) -> Iterator[PageRecord]:
    """Read the pages of a volume in order.

    Args:
        artefacts: the store of artefacts.
        success: the volume's.
        inputs: those that it was made from, see `readable_inputs`.
        read: what reads rows of its job type.

    Raises:
        StorageError: a file is gone or broken, or the store is away.
    """
    index = 0
    for rows, beside in _together(artefacts, success, inputs):
        yield from _records(rows, beside, read, index)
        index += rows.num_rows


def page_of(
    artefacts: BatchReader, success: Success, inputs: Mapping[str, Success], read: ContentOf, index: int
) -> PageRecord | None:
    """Read one page of a volume, by its place in the manifest, from 0; None where the artefact has no such row.

    The other arguments and errors are those of `pages_of`.
    """
    first = 0
    for rows, beside in _together(artefacts, success, inputs):
        place = index - first
        if 0 <= place < rows.num_rows:
            alone = {job: table.slice(place, 1) for job, table in beside.items()}
            return next(_records(rows.slice(place, 1), alone, read, index))
        first += rows.num_rows
    return None


def _together(
    artefacts: BatchReader, success: Success, inputs: Mapping[str, Success]
) -> Iterator[tuple[pa.Table, dict[str, pa.Table]]]:
    """Read some rows at a time, with those of the inputs beside them."""
    tables_by_job = {job: _tables(artefacts, one) for job, one in inputs.items()}
    for rows in _tables(artefacts, success):
        yield rows, {job: table for job, tables in tables_by_job.items() if (table := next(tables, None)) is not None}


def _records(rows: pa.Table, beside: Mapping[str, pa.Table], read: ContentOf, first: int) -> Iterator[PageRecord]:
    states = rows.select([name for name in _STATE if name in rows.column_names]).to_pylist()
    same = {job: table for job, table in beside.items() if _same_pages(table, rows)}
    for index, (state, content) in enumerate(zip(states, read(rows, same), strict=True), start=first):
        note = state_note(state)
        yield PageRecord(index, state["img_file_name"], PageContent() if note else content, note)


def _same_pages(table: pa.Table, rows: pa.Table) -> bool:
    name = "img_file_name"
    return name in table.column_names and bool(table[name].to_pylist() == rows[name].to_pylist())


def _tables(artefacts: BatchReader, success: Success) -> Iterator[pa.Table]:
    """Read rows in batches of equal size, however the file groups them."""
    left: list[pa.Table] = []
    for batch in artefacts.row_batches(success, batch_size=_ROWS):
        left.append(pa.Table.from_batches([batch]))
        table = pa.concat_tables(left)
        while table.num_rows >= _ROWS:
            yield table.slice(0, _ROWS)
            table = table.slice(_ROWS)
        left = [table]
    if left and left[0].num_rows:
        yield left[0]


def _not_an_artefact(success: Success) -> StorageError:
    return StorageError(
        f"The artefact {success.location.prefix} does not say which pages it is of.", code="E_ARTEFACT_BROKEN"
    )
