"""The files of an attempt under faults: no room, a store that goes away, kills, and a volume larger than memory."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bec_orch.core.artefacts import ArtefactLocation, AttemptKey, ModelInfo
from bec_orch.core.volumes import Manifest, Page, PageOutcome, PageState, VolumeRef
from bec_orch.errors import DiskFullError, StorageError, TerminalError
from bec_orch.io.artefacts import local_files
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.attempt_files import StoredAttempt
from bec_orch.io.artefacts.conventional import METADATA_KEY
from bec_orch.io.artefacts.parts import RANGE, PartFiles, key_digest
from bec_orch.io.artefacts.row_store import PartRows
from bec_orch.io.artefacts.sidecars import SidecarFiles
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.objects import Objects, Retries
from tests.support.owners import owner

POINT = pa.struct([("x", pa.int32()), ("y", pa.int32())])
SCHEMA = pa.schema([("nb_contours", pa.int32()), ("contours", pa.list_(pa.list_(POINT)))])
KEY = AttemptKey("cfg", (ModelInfo("b", "1"), ModelInfo("a", "2")), "v1", "toy", job="toy")


def manifest_of(count: int) -> Manifest:
    pages = (Page(n, f"{n}.jpg", f'"{n}"') for n in range(count))
    return Manifest(VolumeRef("W1", "I1", "folder+file:///x"), "abcdef99", tuple(pages))


def ok(page: int, lines: int = 1) -> PageOutcome:
    return PageOutcome(page, PageState.OK, f'"{page}"', row={"nb_contours": lines})


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    return FolderObjects(tmp_path / "out", Retries(attempts=2, wait_initial=0.001, wait_max=0.001), create=True)


def open_attempt(objects: Objects, tmp_path: Path, manifest: Manifest, attempt: int = 1) -> StoredAttempt:
    store = StoredArtefacts(objects, tmp_path / "work", owner())
    location = ArtefactLocation("toy", manifest.volume, manifest.version)
    return store.open_attempt(location, manifest, attempt, KEY, SCHEMA, {"lines": "nb_contours"})


def test_the_file_says_where_it_comes_from(objects: FolderObjects, tmp_path: Path) -> None:
    manifest = manifest_of(600)
    files = open_attempt(objects, tmp_path, manifest)
    for page in range(600):
        files.rows.add(ok(page))
    file = files.assemble()
    files.close()
    with pq.ParquetFile(tmp_path / "out" / file.key) as parquet:
        provenance = json.loads(parquet.schema_arrow.metadata[METADATA_KEY])
        groups = [parquet.metadata.row_group(n).num_rows for n in range(parquet.num_row_groups)]
        compression = parquet.metadata.row_group(0).column(0).compression
    assert provenance == {
        "database": owner().identity,
        "job": "toy",
        "type": "toy",
        "w_id": "W1",
        "i_id": "I1",
        "source": "folder+file:///x",
        "version": "abcdef",
        "manifest_etag": "abcdef99",
        "attempt": 1,
        "config_hash": "cfg",
        "code_version": "v1",
        "models": [{"name": "b", "digest": "1"}, {"name": "a", "digest": "2"}],
        "bec_orch": provenance["bec_orch"],
    }
    assert groups == [512, 88]
    assert compression == "ZSTD"


def test_the_key_of_a_part_follows_what_rows_depend_on() -> None:
    same = AttemptKey("cfg", (ModelInfo("a", "2"), ModelInfo("b", "1")), "v1")
    assert key_digest(KEY, SCHEMA) == key_digest(same, SCHEMA.with_metadata({"a": "b"}))
    assert key_digest(KEY, SCHEMA) != key_digest(KEY, pa.schema([("nb_contours", pa.int32())]))


def test_a_fault_of_writing_reaches_whoever_adds(
    objects: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = open_attempt(objects, tmp_path, manifest_of(RANGE * 20))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def add_all() -> None:
        for page in range(RANGE * 20):
            files.rows.add(ok(page))

    monkeypatch.setattr(pq, "ParquetWriter", full)
    with pytest.raises(DiskFullError):
        add_all()
    with pytest.raises(DiskFullError):
        files.rows.flush()
    with pytest.raises(DiskFullError):
        files.assemble()
    files.close()
    files.close()


def test_a_store_that_is_away_is_retryable(objects: FolderObjects, tmp_path: Path) -> None:
    files = open_attempt(objects, tmp_path, manifest_of(3))
    files.rows.add(ok(0))
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").touch()
    with pytest.raises(StorageError):
        files.rows.flush()
    files.close()


def test_a_row_that_does_not_fit_is_terminal(objects: FolderObjects, tmp_path: Path) -> None:
    files = open_attempt(objects, tmp_path, manifest_of(3))
    files.rows.add(PageOutcome(0, PageState.OK, '"0"', row={"nb_contours": 1, "other": 1}))
    with pytest.raises(TerminalError) as caught:
        files.rows.flush()
    assert caught.value.code == "E_ROW_SCHEMA"
    files.close()


def test_a_work_folder_that_cannot_be_made_is_reported(objects: FolderObjects, tmp_path: Path) -> None:
    (tmp_path / "work").touch()
    with pytest.raises(StorageError, match="make a folder"):
        open_attempt(objects, tmp_path, manifest_of(3))


def test_what_killed_processes_left_is_removed_and_nothing_else(objects: FolderObjects, tmp_path: Path) -> None:
    living = open_attempt(objects, tmp_path, manifest_of(3))
    left = tmp_path / "work" / "attempt-left"
    left.mkdir()
    (left / ".lock").touch()
    (tmp_path / "work" / "other").mkdir()
    another = open_attempt(objects, tmp_path, manifest_of(3), attempt=2)
    assert not left.exists()
    assert len(list((tmp_path / "work").iterdir())) == 3
    living.rows.add(ok(0))
    living.rows.flush()
    living.close()
    another.close()
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["other"]


def test_a_part_that_is_removed_meanwhile_is_passed_over(
    objects: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_attempt(objects, tmp_path, manifest_of(3))
    first.rows.add(ok(0))
    first.rows.flush()
    monkeypatch.setattr(objects, "read", lambda *_, **__: None)
    second = open_attempt(objects, tmp_path, manifest_of(3), attempt=2)
    assert second.rows.finished() == frozenset()
    first.close()
    second.close()


def test_a_store_that_is_away_at_the_start_leaves_no_folder(objects: FolderObjects, tmp_path: Path) -> None:
    (tmp_path / "out").rmdir()
    with pytest.raises(StorageError):
        open_attempt(objects, tmp_path, manifest_of(3))
    assert list((tmp_path / "work").iterdir()) == []


def test_a_file_that_does_not_hold_what_was_written_is_not_uploaded(
    objects: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = open_attempt(objects, tmp_path, manifest_of(3))
    for page in range(3):
        files.rows.add(ok(page))
    real = PartFiles.ranges
    monkeypatch.setattr(PartFiles, "ranges", lambda self: (table.slice(1) for table in real(self)))
    with pytest.raises(StorageError, match="does not hold the pages"):
        files.assemble()
    files.close()
    assert objects.list("toy/W1/I1/abcdef").objects == ()


@pytest.mark.parametrize("killed_at", ["part staged", "part cut", "part a pipe", "artefact staged", "before success"])
def test_a_kill_at_any_step_leaves_a_state_that_a_retry_ends(
    objects: FolderObjects, tmp_path: Path, killed_at: str
) -> None:
    """What a kill leaves behind is put there by hand: staged files of obstore, and files that a power cut shortened."""
    manifest = manifest_of(100)
    files = open_attempt(objects, tmp_path, manifest)
    for page in range(70):
        files.rows.add(ok(page))
    files.rows.flush()
    prefix = tmp_path / "out" / "toy" / "W1" / "I1" / "abcdef"
    part = max((prefix / "parts").iterdir())
    if killed_at == "part staged":
        part.rename(part.with_name(f"{part.name}#1"))
    elif killed_at == "part cut":
        part.write_bytes(part.read_bytes()[:100])
    elif killed_at == "part a pipe":
        part.unlink()
        os.mkfifo(part)
    elif killed_at == "artefact staged":
        (prefix / "W1-I1-abcdef.a2.parquet#1").write_bytes(b"PAR1")
    else:
        for page in range(70, 100):
            files.rows.add(ok(page))
        files.assemble()
    again = open_attempt(objects, tmp_path, manifest, attempt=2)
    expected = {"part staged": 64, "part cut": 64, "part a pipe": 64, "artefact staged": 70, "before success": 100}[
        killed_at
    ]
    assert len(again.rows.finished()) == expected
    for page in set(range(100)) - again.rows.finished():
        again.rows.add(ok(page))
    file = again.assemble()
    assert (file.key, file.rows) == (f"toy/W1/I1/abcdef/W1-I1-abcdef.a2-{owner().tag}.parquet", 100)
    assert again.counters() == {"lines": 100}
    again.discard_parts()
    again.close()
    files.close()


def test_a_row_is_kept_after_the_sidecar_files_of_its_page(
    objects: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_fail = threading.Event()
    create = objects.create

    def create_no_sidecar(key: str, data: bytes | Path) -> bool:
        if key.endswith(".json"):
            may_fail.wait()
            raise StorageError("The store is away.")
        return create(key, data)

    monkeypatch.setattr(objects, "create", create_no_sidecar)
    manifest = manifest_of(3)
    files = open_attempt(objects, tmp_path, manifest)
    files.sidecars.put("1.json", b"answer", manifest.pages[1])
    files.rows.add(ok(1))
    may_fail.set()
    with pytest.raises(StorageError, match="is away"):
        files.rows.flush()
    files.close()
    assert not objects.list("toy/W1/I1/abcdef/parts")


def test_rows_that_wait_long_are_kept_before_their_range_is_full(objects: FolderObjects, tmp_path: Path) -> None:
    manifest = manifest_of(200)
    location = ArtefactLocation("toy", manifest.volume, manifest.version)
    tmp_path.joinpath("parts").mkdir()
    sidecars = SidecarFiles(objects, owner(), location, 1)
    parts = PartFiles(objects, tmp_path / "parts", owner(), location, manifest, 1, KEY, SCHEMA, sidecars)
    now = [0.0]
    rows = PartRows(manifest, parts, {}, clock=lambda: now[0])
    rows.add(ok(0))
    rows.add(ok(150))
    now[0] = 31.0
    rows.add(ok(1))
    rows.add(ok(2))
    rows.close()
    # The page after the flush was not kept: nothing waited for it.
    assert sum(read.num_rows for read in map(local_files.read_parquet, (tmp_path / "parts").iterdir())) == 3


def test_the_memory_of_a_long_volume_is_bounded(objects: FolderObjects, tmp_path: Path) -> None:
    """4,000 pages of some 10 kB each: Arrow never holds more than a few row groups of the 40 MB."""
    count = 4_000
    contours = [np.random.default_rng(n).integers(0, 10_000, (60, 2), dtype=np.int32) for n in range(20)]
    files = open_attempt(objects, tmp_path, manifest_of(count))
    before, peak = pa.total_allocated_bytes(), 0
    for page in range(count):
        files.rows.add(PageOutcome(page, PageState.OK, f'"{page}"', row={"nb_contours": 20, "contours": contours}))
        peak = max(peak, pa.total_allocated_bytes())
    assert peak - before < 10 * 1024 * 1024
    began = time.perf_counter()
    file = files.assemble()
    files.close()
    assert file.rows == count
    assert time.perf_counter() - began < 10
    assert files.counters() == {"lines": 20 * count}
