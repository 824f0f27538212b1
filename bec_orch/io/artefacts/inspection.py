"""Looks into the Parquet file of an artefact: digest, footer, and the page ledger. Reads no column of a job's own."""

import hashlib
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bec_orch.core.volumes import PageCounts
from bec_orch.io.artefacts.parquet import BrokenParquet, opened, reading
from bec_orch.io.artefacts.parquet_bounds import MOST_ROWS, check_sizes
from bec_orch.io.stores.objects import Entry, Objects

_LEDGER = {"img_file_name": pa.string(), "ok": pa.bool_(), "skipped": pa.bool_()}
_READ_AT_ONCE = 8 * 2**20


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a Parquet file holds. `names` are the pages in the order of the rows; None: no such column can be read."""

    size: int
    sha256: str
    rows: int
    names: tuple[str | None, ...] | None
    pages: PageCounts | None


def inspect(objects: Objects, key: str) -> FileFacts | None:
    """Look into a file; None when it is gone, or is not a whole Parquet file.

    Raises:
        StorageError: the store is away.
    """
    entry = objects.head(key)
    if entry is None:
        return None
    try:
        with reading(), objects.open(entry) as file, opened(file, entry.size) as parquet:
            rows = int(parquet.metadata.num_rows)
            table = _ledger(parquet, file) if rows <= MOST_ROWS else pa.table({})
    except BrokenParquet:
        return None
    return FileFacts(entry.size, sha256_of(objects, entry), rows, _names(table), _pages(table))


def _ledger(parquet: pq.ParquetFile, file: IO[bytes]) -> pa.Table:
    """Read the columns about pages, as far as they are there and of their types."""
    schema = parquet.schema_arrow
    there = [
        name for name, kind in _LEDGER.items() if schema.names.count(name) == 1 and schema.field(name).type == kind
    ]
    check_sizes(parquet, file, there)
    table = parquet.read(there) if there else pa.table({})
    table.validate(full=True)
    return table


def sha256_of(objects: Objects, entry: Entry) -> str:
    """Return the SHA-256 of an object, in hex; it is never whole in memory."""
    digest = hashlib.sha256()
    for start in range(0, entry.size, _READ_AT_ONCE):
        digest.update(objects.read_range(entry.key, start, min(start + _READ_AT_ONCE, entry.size)))
    return digest.hexdigest()


def _names(table: pa.Table) -> tuple[str | None, ...] | None:
    return tuple(table["img_file_name"].to_pylist()) if "img_file_name" in table.column_names else None


def _pages(table: pa.Table) -> PageCounts | None:
    if not {"ok", "skipped"} <= set(table.column_names):
        return None
    ok, skipped = (int(pc.sum(table[name]).as_py() or 0) for name in ("ok", "skipped"))
    return PageCounts(ok, skipped, table.num_rows - ok - skipped)
