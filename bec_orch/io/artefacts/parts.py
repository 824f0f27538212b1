"""Part files: finished pages of an attempt that has not ended, kept for the next one.

A volume's pages are cut into fixed ranges of `RANGE` pages. Each part file holds rows of one range, under

    {prefix}/parts/{key}-{first page of the range}-a{attempt}-{tag of the database}-{random}.parquet

where `key` is a digest over what a row depends on beside its image: config, models, code version and columns. The ETag
of the image stands in the row, so it does not matter whose attempt made it; but only our own parts are removed. Each
file is put whole under a name that nobody else takes, so a kill at any byte leaves nothing half; a file that is broken,
cut or foreign all the same is passed over, and its pages are done again.

The local copies of all parts stay until the attempt is closed: the final file is made of them, range by range, so that
a volume of any length is never in memory.
"""

import hashlib
import io
import json
import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from bec_orch.core.artefacts import ArtefactLocation, AttemptKey
from bec_orch.core.ownership import Owner
from bec_orch.core.volumes import Manifest, PageOutcome
from bec_orch.core.wording import said
from bec_orch.errors import BecError, NotAFile
from bec_orch.io.artefacts.local_files import read_parquet, write_parquet
from bec_orch.io.artefacts.names import is_our_part, part_name
from bec_orch.io.artefacts.parquet import BrokenParquet, reading, to_be_read
from bec_orch.io.artefacts.part_rows import MOST_PART_BYTES
from bec_orch.io.artefacts.removal import remove
from bec_orch.io.artefacts.rows import artefact_schema, outcomes_table, part_schema, standing_rows
from bec_orch.io.artefacts.sidecars import SidecarFiles
from bec_orch.io.stores.objects import Objects

RANGE = 64
_KEY_FIELD = b"bec_part"
_SIDECARS_FIELD = b"bec_sidecars"

log = logging.getLogger(__name__)


def range_start(page: int) -> int:
    """Return the first page of the range that a page is in."""
    return page - page % RANGE


def key_digest(key: AttemptKey, schema: pa.Schema) -> str:
    """Hash what rows depend on: 16 hex digits."""
    models = sorted([model.name, model.digest] for model in key.models)
    values = [key.config_hash, key.code_version, models, dict(key.inputs), str(schema.remove_metadata())]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


class PartFiles:
    """The part files of one attempt. Used by one thread at a time."""

    def __init__(
        self,
        objects: Objects,
        folder: Path,
        owner: Owner,
        location: ArtefactLocation,
        manifest: Manifest,
        attempt: int,
        key: AttemptKey,
        job_schema: pa.Schema,
        sidecars: SidecarFiles,
    ) -> None:
        self._objects = objects
        self._owner = owner
        self._prefix = f"{location.prefix}/parts"
        self._manifest = manifest
        self._attempt = attempt
        self._job_schema = job_schema
        self._key = key_digest(key, job_schema)
        self._schema = part_schema(artefact_schema(job_schema)).with_metadata({_KEY_FIELD: self._key})
        self._folder = folder
        self._sidecars = sidecars
        self._local: dict[int, list[Path]] = defaultdict(list)

    def load(self, taken: Callable[[int], bool]) -> Iterator[pa.Table]:
        """Fetch the parts of earlier attempts, and yield the rows that stand, part by part, each page once.

        `taken` is asked for each page after the rows before were given.

        Raises:
            RetryableError: the store is away, or the local disk is full.
        """
        for entry in self._objects.list(self._prefix).objects:
            table = self._fetched(entry.key) if entry.name.startswith(f"{self._key}-") else None
            rows = None if table is None else self._standing(table, taken)
            if rows is not None and (rows := self._with_sidecars(rows, entry.key)):
                self._keep(rows)
                yield rows

    def _fetched(self, key: str) -> pa.Table | None:
        try:
            blob = self._objects.read(key, limit=MOST_PART_BYTES)
            if blob is None:
                return None
            with reading():
                table = to_be_read(io.BytesIO(blob.data), blob.size).read()
                table.validate(full=True)
        except (BrokenParquet, NotAFile) as error:
            log.warning("part_ignored", extra={"part": key, "reason": str(error)})
            return None
        if table.schema.equals(self._schema, check_metadata=False) and self._is_ours(table.schema):
            return table
        log.warning("part_ignored", extra={"part": key, "reason": "foreign"})
        return None

    def _is_ours(self, schema: pa.Schema) -> bool:
        return (schema.metadata or {}).get(_KEY_FIELD) == self._key.encode()

    def _standing(self, table: pa.Table, taken: Callable[[int], bool]) -> pa.Table | None:
        positions = standing_rows(table, self._manifest, taken)
        rows = table.take(pa.array(positions, type=pa.int64()))
        pages: list[Any] = rows.column("page").to_pylist()
        return rows if len({range_start(page) for page in pages}) == 1 else None

    def _with_sidecars(self, rows: pa.Table, part: str) -> pa.Table | None:
        """Take over the sidecar files of rows that stand; a row that lacks one does not."""
        pages: list[Any] = rows.column("page").to_pylist()
        try:
            lost = self._sidecars.take_over((rows.schema.metadata or {}).get(_SIDECARS_FIELD, b"[]"), pages)
        except (ValueError, TypeError, LookupError) as error:
            log.warning("part_ignored", extra={"part": part, "reason": said(error)})
            return None
        if lost:
            log.warning("part_lacks_sidecars", extra={"part": part, "pages": len(lost)})
            rows = rows.take(pa.array([n for n, page in enumerate(pages) if page not in lost], type=pa.int64()))
        return rows if rows.num_rows else None

    def write(self, outcomes: Sequence[PageOutcome]) -> None:
        """Keep the outcomes of pages of one range, here and in the store.

        Raises:
            RetryableError: the local disk is full, or the store is away.
            TerminalError: a row does not fit the job's columns.
        """
        # Whoever finds a row finds the files of its page, too.
        self._sidecars.settle()
        named = {_SIDECARS_FIELD: self._sidecars.stored(outcome.index for outcome in outcomes)}
        path = self._keep(outcomes_table(outcomes, self._manifest, self._job_schema), named)
        if not self._objects.create(f"{self._prefix}/{path.name}", path):
            log.info("part_was_there", extra={"part": path.name})

    def _keep(self, rows: pa.Table, named: Mapping[bytes, bytes] = MappingProxyType({})) -> Path:
        start = range_start(rows.column("page")[0].as_py())
        path = self._folder / part_name(self._key, start, self._attempt, self._owner, uuid.uuid4().hex[:8])
        write_parquet(path, self._schema.with_metadata({**self._schema.metadata, **named}), [rows])
        self._local[start].append(path)
        return path

    def ranges(self) -> Iterator[pa.Table]:
        """Yield the final rows, range by range in the order of the manifest.

        Raises:
            BecError: a page has no row (E_PAGES_UNACCOUNTED).
        """
        total = len(self._manifest.pages)
        for start in range(0, total, RANGE):
            yield self._range(start, min(start + RANGE, total))

    def _range(self, start: int, end: int) -> pa.Table:
        tables = [read_parquet(path) for path in self._local[start]]
        # The sort is stable: pictures of one file stay in their order.
        rows = pa.concat_tables(tables).sort_by("page") if tables else self._schema.empty_table()
        there = list(dict.fromkeys(rows.column("page").to_pylist()))
        if there != list(range(start, end)):
            raise BecError(f"Of the pages {start + 1} to {end}, {len(there)} have a row.", code="E_PAGES_UNACCOUNTED")
        return rows.drop_columns(["page"])

    def discard(self) -> None:
        """Remove the part files of all attempts of ours from the store."""
        found = (entry.key for entry in self._objects.list(self._prefix).objects)
        remove(self._objects, (key for key in found if is_our_part(key, self._owner)))
