"""The files of one attempt while it runs (an `AttemptFiles`): rows, part files, and the final Parquet file."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from typing_extensions import override

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, AttemptKey, StoredFile
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.frames import are_rows_of
from bec_orch.core.ownership import FORMAT, Owner
from bec_orch.core.ports.artefact_store import AttemptFiles
from bec_orch.core.volumes import Manifest, PageOutcome
from bec_orch.errors import BecError, StorageError
from bec_orch.io.artefacts.conventional import METADATA_KEY
from bec_orch.io.artefacts.holdings import holding_of, partials_of
from bec_orch.io.artefacts.local_files import ScratchFolder, read_parquet, write_parquet
from bec_orch.io.artefacts.names import attempt_key, partial_key
from bec_orch.io.artefacts.parts import RANGE, PartFiles
from bec_orch.io.artefacts.removal import remove
from bec_orch.io.artefacts.row_store import PartRows
from bec_orch.io.artefacts.rows import artefact_schema
from bec_orch.io.artefacts.sidecars import SidecarFiles
from bec_orch.io.artefacts.success_json import to_bytes
from bec_orch.io.stores.checksums import sha256_of
from bec_orch.io.stores.objects import Objects

# Larger row groups read faster; this many pages with contours take some 25 MB of memory.
ROW_GROUP = 8 * RANGE
if TYPE_CHECKING:
    from bec_orch.core.ports.job_worker import RowStore, Sidecars


class StoredAttempt(AttemptFiles):
    """One attempt's files: written in a local folder of its own, then put into the store."""

    def __init__(
        self,
        objects: Objects,
        work_dir: Path,
        owner: Owner,
        location: ArtefactLocation,
        manifest: Manifest,
        attempt: int,
        key: AttemptKey,
        schema: pa.Schema,
        counted: Mapping[str, str],
    ) -> None:
        self._objects = objects
        self._owner = owner
        self._location = location
        self._attempt = attempt
        self._manifest = manifest
        self._file_key = attempt_key(location, attempt, owner)
        provenance = {METADATA_KEY: _provenance(location, manifest, attempt, key, owner)}
        self._schema = artefact_schema(schema).with_metadata(provenance)
        self._folder = ScratchFolder(work_dir)
        self._sidecars = SidecarFiles(objects, owner, location, attempt)
        self._parts = PartFiles(
            objects, self._folder.path, owner, location, manifest, attempt, key, schema, self._sidecars
        )
        try:
            self._rows = PartRows(manifest, self._parts, counted)
        except BecError:
            self._sidecars.close()
            self._folder.close()
            raise

    @property
    @override
    def rows(self) -> "RowStore":
        return self._rows

    @property
    @override
    def sidecars(self) -> "Sidecars":
        return self._sidecars

    @override
    def assemble(self) -> ArtefactFile:
        self.rows.flush()
        self._sidecars.settle()
        path = self._folder.path / "artefact.parquet"
        write_parquet(path, self._schema, self._row_groups())
        rows = self._check(path)
        reached(FaultPoint.PARQUET_CLOSED)
        file = ArtefactFile(self._file_key, path.stat().st_size, sha256_of(path), rows)
        if not self._objects.create(self._file_key, path):
            self._check_ours(file)
        reached(FaultPoint.PARQUET_UPLOADED)
        return file

    def _row_groups(self) -> Iterator[pa.Table]:
        tables: list[pa.Table] = []
        for table in self._parts.ranges():
            tables.append(table)
            if len(tables) * RANGE >= ROW_GROUP:
                yield pa.concat_tables(tables)
                tables = []
        if tables:
            yield pa.concat_tables(tables)
        reached(FaultPoint.PARQUET_WRITING)

    def _check(self, path: Path) -> int:
        """Reopen the file, hold its rows against the manifest, and return their number."""
        names: list[Any] = read_parquet(path, ["img_file_name"]).column(0).to_pylist()
        whole = len(names) == self._rows.counts().total
        if not whole or not are_rows_of(names, [page.filename for page in self._manifest.pages]):
            raise StorageError(f"The file {path} does not hold the pages that were written.", code="E_ARTEFACT_BROKEN")
        return len(names)

    def _check_ours(self, file: ArtefactFile) -> None:
        blob = self._objects.read(file.key)
        if blob is None or hashlib.sha256(blob.data).hexdigest() != file.sha256:
            raise StorageError(
                f"There is another file under {file.key}.",
                code="E_ARTEFACT_CONFLICT",
                hint="The next attempt takes another key; look whether a copy of this database is at work.",
            )

    @override
    def mark_partial(self, content: Mapping[str, Any]) -> None:
        holding = holding_of(self._location, self._objects.walk(self._location.prefix))
        data = to_bytes({**content, "partial": True, "format": FORMAT, "database": self._owner.identity})
        self._objects.create(partial_key(self._location, self._attempt, self._owner), data)
        earlier = partials_of(holding, self._owner)
        remove(self._objects, [key for attempt, keys in earlier.items() if attempt < self._attempt for key in keys])

    @override
    def sidecar_files(self) -> tuple[StoredFile, ...]:
        return self._sidecars.files()

    @override
    def error_summary(self) -> tuple[str, PageOutcome] | None:
        return self._rows.error_summary()

    @override
    def counters(self) -> Mapping[str, float]:
        return self._rows.counters()

    @override
    def discard_parts(self) -> None:
        self._parts.discard()

    @override
    def close(self) -> None:
        self._rows.close()
        self._sidecars.close()
        self._folder.close()


def _provenance(location: ArtefactLocation, manifest: Manifest, attempt: int, key: AttemptKey, owner: Owner) -> bytes:
    values = {
        "database": owner.identity,
        "job": key.job,
        "type": key.job_type,
        "w_id": location.volume.w_id,
        "i_id": location.volume.i_id,
        "source": location.volume.source,
        "version": location.version,
        "manifest_etag": manifest.etag,
        "attempt": attempt,
        "config_hash": key.config_hash,
        "code_version": key.code_version,
        "models": [{"name": model.name, "digest": model.digest} for model in key.models],
        "bec_orch": importlib.metadata.version("bec-orch"),
    }
    return json.dumps(values, sort_keys=True, ensure_ascii=False).encode()
