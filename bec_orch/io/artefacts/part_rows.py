"""Reads the part files of attempts that left no artefact, for who wants to see what became of the pages."""

import io
import logging
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.ownership import Owner
from bec_orch.errors import NotAFile
from bec_orch.io.artefacts.names import part_of
from bec_orch.io.artefacts.parquet import BrokenParquet, reading, to_be_read
from bec_orch.io.stores.objects import Objects

MOST_PART_BYTES = 256 * 1024 * 1024
"""64 rows of OCR or contours take some 1 MB; a part of this size is not ours."""

log = logging.getLogger(__name__)


def part_rows(
    objects: Objects, owner: Owner, location: ArtefactLocation, attempt: int, columns: Sequence[str] | None
) -> pa.Table | None:
    """Return the rows of our part files, each page once, in order; None where there are none. All columns by default.

    Attempts are counted over all tasks of a volume. What attempts after `attempt` left is passed over. Of rows that
    were made differently (config, models, code), those count that the newest attempt goes by; of a page that several
    attempts came to, the row of the newest one.
    """
    listed = objects.list(f"{location.prefix}/parts").objects
    ours = ((part_of(entry.name, owner), entry.key) for entry in listed)
    newest_first = sorted(((part, key) for part, key in ours if part and part.attempt <= attempt), reverse=True)
    made_with: str | None = None
    taken: set[int] = set()
    tables: list[pa.Table] = []
    for part, key in newest_first:
        table = _read(objects, key, columns) if made_with in {None, part.made_with} else None
        if table is not None:
            made_with = part.made_with
            tables.append(_others(table, taken))
    return pa.concat_tables(tables).sort_by("page") if tables else None


def _others(table: pa.Table, taken: set[int]) -> pa.Table:
    """Return the rows of pages that are not taken, and take them."""
    pages: list[Any] = table["page"].to_pylist()
    places = [place for place, page in enumerate(pages) if page not in taken]
    taken.update(pages)
    return table.take(pa.array(places, pa.int64()))


def _read(objects: Objects, key: str, columns: Sequence[str] | None) -> pa.Table | None:
    wanted = None if columns is None else ["page", *columns]
    try:
        blob = objects.read(key, limit=MOST_PART_BYTES)
        if blob is None:
            return None
        with reading():
            table = to_be_read(io.BytesIO(blob.data), blob.size, wanted).read(columns=wanted)
            table.validate(full=True)
    except (BrokenParquet, NotAFile) as error:
        log.warning("part_ignored", extra={"part": key, "reason": str(error)})
        return None
    return table.replace_schema_metadata() if {"page", "img_file_name"} <= {*table.column_names} else None
