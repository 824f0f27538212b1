"""What every `ArtefactStore` must do. A back-end's module derives from `StoreSuite` and has the fixture `objects`.

The store under test keeps its artefacts in `objects`, an object store that is empty when each test begins.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, AttemptKey, ModelInfo, StoredFile, Success
from bec_orch.core.frames import are_rows_of
from bec_orch.core.ports.artefact_store import ArtefactStore, AttemptFiles
from bec_orch.core.tasks import MISSING
from bec_orch.core.volumes import Manifest, Page, PageCounts, PageOutcome, PageState, VolumeRef
from bec_orch.errors import BecError, NameUnsafeError, StorageError, TerminalError
from bec_orch.io.artefacts import sidecars
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.names import attempt_key, sidecar_folder
from bec_orch.io.stores.errors import DENIED
from bec_orch.io.stores.objects import Objects
from tests.support.owners import OURS, THEIRS, contents, owner

SCHEMA = pa.schema([("width", pa.int32()), ("nb_lines", pa.int32())])
COUNTED = {"lines": "nb_lines"}
KEY = AttemptKey("c0ffee", (ModelInfo("lines", "ab" * 32),), "toy-1", "toy")


def manifest_of(count: int, *, changed: int | None = None, skipped: int = 0) -> Manifest:
    pages = (
        Page(
            n, f"{n:05d} ༀ#.jpg", f'"{n}{"-new" if n == changed else ""}"', skip_reason="intro" if n < skipped else None
        )
        for n in range(count)
    )
    return Manifest(VolumeRef("W1 ཀ", "I1", "folder+file:///x"), '"abcdef0123456789-2"', tuple(pages))


def location_of(manifest: Manifest) -> ArtefactLocation:
    return ArtefactLocation("lines", manifest.volume, manifest.version)


def ok(page: Page, lines: int = 2) -> PageOutcome:
    return PageOutcome(page.index, PageState.OK, page.etag, row={"width": page.index, "nb_lines": lines})


def pictures(page: Page, count: int) -> PageOutcome:
    """What came of a page whose file has several pictures."""
    further = (replace(ok(page), frame=frame) for frame in range(2, count + 1))
    return replace(ok(page), further=tuple(further))


def skipped(page: Page, reason: str = "intro") -> PageOutcome:
    return PageOutcome(page.index, PageState.SKIPPED, page.etag, skip_reason=reason)


def failed(page: Page, code: str = "E_IMAGE_CORRUPT") -> PageOutcome:
    return PageOutcome(
        page.index, PageState.ERROR, page.etag, error_stage="decode", error_type=code, error_message=f"{code} \ud800"
    )


@contextmanager
def opened(store: ArtefactStore, manifest: Manifest, attempt: int = 1, key: AttemptKey = KEY) -> Iterator[AttemptFiles]:
    files = store.open_attempt(location_of(manifest), manifest, attempt, key, SCHEMA, COUNTED)
    try:
        yield files
    finally:
        files.close()


def content_of(file: ArtefactFile, **more: Any) -> dict[str, Any]:
    return {
        "manifest_etag": '"abcdef0123456789-2"',
        "config_hash": "c0ffee",
        "models": [{"name": "lines", "digest": "ab" * 32}],
        "task": "uid",
        "attempt": 1,
        "code_version": "toy-1",
        "pages": {"total": 3, "ok": 2, "skipped": 1, "error": 0},
        "files": [{"key": file.key, "size": file.size, "sha256": file.sha256, "rows": file.rows}],
        **more,
    }


def _naming(key: str) -> bytes:
    return json.dumps({"format": 1, "files": [{"key": key, "size": 1, "sha256": "", "rows": 1}]}).encode()


def _data(objects: Objects, key: str) -> bytes:
    blob = objects.read(key)
    assert blob, key
    return blob.data


class StoreSuite:
    """The tests."""

    @pytest.fixture
    def work_dir(self, tmp_path: Path) -> Path:
        return tmp_path / "work"

    @pytest.fixture
    def store(self, objects: Objects, work_dir: Path) -> ArtefactStore:
        return StoredArtefacts(objects, work_dir, owner())

    def finished(self, store: ArtefactStore, manifest: Manifest, attempt: int = 1, lines: int = 2) -> ArtefactFile:
        with opened(store, manifest, attempt) as files:
            for page in manifest.pages:
                if page.index not in files.rows.finished():
                    files.rows.add(ok(page, lines))
            return files.assemble()

    def finished_with(
        self, store: ArtefactStore, manifest: Manifest, content: Mapping[str, bytes]
    ) -> tuple[ArtefactFile, tuple[StoredFile, ...]]:
        """Finish an attempt that keeps these sidecar files."""
        with opened(store, manifest) as files:
            for name, data in content.items():
                files.sidecars.put(name, data)
            for page in manifest.pages:
                files.rows.add(ok(page))
            return files.assemble(), files.sidecar_files()

    # The artefact

    def test_one_row_per_page_in_order_with_its_state(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(150, skipped=2)
        with opened(store, manifest) as files:
            for page in reversed(manifest.pages):
                outcome = {0: skipped, 1: skipped, 7: failed}.get(page.index, ok)(page)
                files.rows.add(outcome)
            assert files.rows.counts() == PageCounts(147, 2, 1)
            assert files.counters() == {"lines": 294, "E_IMAGE_CORRUPT": 1}
            file = files.assemble()
        assert file.key == f"lines/W1 ཀ/I1/abcdef/W1 ཀ-I1-abcdef.a1-{owner().tag}.parquet"
        entry = objects.head(file.key)
        assert entry is not None
        assert (entry.size, file.rows) == (file.size, 150)
        rows = store.read_rows(store.commit(location_of(manifest), content_of(file), replaces=None)).to_pylist()
        assert [row["img_file_name"] for row in rows] == [page.filename for page in manifest.pages]
        assert rows[0] == {
            "img_file_name": "00000 ༀ#.jpg",
            "source_etag": '"0"',
            "width": None,
            "nb_lines": None,
            "ok": False,
            "error_stage": None,
            "error_type": None,
            "error_message": None,
            "skipped": True,
            "skip_reason": "intro",
        }
        assert (rows[7]["ok"], rows[7]["error_type"], rows[7]["error_message"]) == (
            False,
            "E_IMAGE_CORRUPT",
            "E_IMAGE_CORRUPT \\ud800",
        )
        assert (rows[8]["ok"], rows[8]["width"], rows[8]["error_stage"], rows[8]["skipped"]) == (True, 8, None, False)

    def test_a_page_without_a_row_is_never_an_artefact(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(70)
        with opened(store, manifest) as files:
            for page in manifest.pages[:-1]:
                files.rows.add(ok(page))
            with pytest.raises(BecError) as caught:
                files.assemble()
        assert caught.value.code == "E_PAGES_UNACCOUNTED"
        assert [entry.name for entry in objects.list(location_of(manifest).prefix).objects] == []

    def test_a_page_has_one_row(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        with opened(store, manifest) as files:
            files.rows.add(ok(manifest.pages[1]))
            with pytest.raises(BecError, match="has a row already"):
                files.rows.add(failed(manifest.pages[1]))
            with pytest.raises(BecError, match="no page with the index"):
                files.rows.add(ok(Page(3, "x.jpg")))
            assert files.rows.counts() == PageCounts(ok=1)

    def test_pictures_of_one_file_follow_each_other(self, store: ArtefactStore) -> None:
        manifest = manifest_of(70)
        with opened(store, manifest) as files:
            for page in reversed(manifest.pages):
                files.rows.add(pictures(page, 3) if page.index in {1, 65} else ok(page))
            assert (len(files.rows.finished()), files.rows.counts()) == (70, PageCounts(ok=74))
            assert files.counters() == {"lines": 148, "further_frames": 4}
            file = files.assemble()
        assert file.rows == 74
        held = store.commit(location_of(manifest), content_of(file), replaces=None)
        names: list[Any] = store.read_rows(held)["img_file_name"].to_pylist()
        one, other = manifest.pages[1].filename, manifest.pages[65].filename
        assert names[1:4] == [one, f"{one}#2", f"{one}#3"]
        assert names[67:70] == [other, f"{other}#2", f"{other}#3"]
        assert are_rows_of(names, [page.filename for page in manifest.pages])
        assert store.verify(held, 74)
        assert not store.verify(held, 70)

    def test_pictures_of_one_file_are_kept_together_or_done_again(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        with opened(store, manifest) as files:
            files.rows.add(pictures(manifest.pages[0], 3))
            broken = replace(failed(manifest.pages[1]), frame=2)
            files.rows.add(replace(ok(manifest.pages[1]), further=(broken,)))
            assert files.rows.counts() == PageCounts(ok=4, error=1)
            summary = files.error_summary()
            assert summary is not None
            assert (summary[1].index, summary[1].frame) == (1, 2)
            files.rows.flush()
        with opened(store, manifest, attempt=2) as files:
            assert files.rows.finished() == {0}
            assert files.rows.counts() == PageCounts(ok=3)
            for page in manifest.pages[1:]:
                files.rows.add(ok(page))
            assert files.counters() == {"lines": 10, "further_frames": 2}
            assert files.assemble().rows == 5

    def test_rows_come_from_many_threads(self, store: ArtefactStore) -> None:
        manifest = manifest_of(500)
        with opened(store, manifest) as files, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda page: files.rows.add(ok(page)), manifest.pages))
            assert files.assemble().rows == 500
            assert files.counters() == {"lines": 1000}

    def test_the_commonest_page_error_is_reported_with_an_example(self, store: ArtefactStore) -> None:
        manifest = manifest_of(4)
        with opened(store, manifest) as files:
            assert files.error_summary() is None
            for page, code in zip(manifest.pages, ["E_A", "E_B", "E_B", "E_C"], strict=True):
                files.rows.add(failed(page, code))
            summary = files.error_summary()
            assert summary is not None
            assert (summary[0], summary[1].index) == ("E_B", 1)

    def test_the_commonest_page_error_does_not_hang_on_the_order_in_which_pages_end(self, store: ArtefactStore) -> None:
        manifest = manifest_of(4)
        with opened(store, manifest) as files:
            for page, code in reversed(list(zip(manifest.pages, ["E_B", "E_A", "E_A", "E_B"], strict=True))):
                files.rows.add(failed(page, code))
            summary = files.error_summary()
            assert summary is not None
            assert (summary[0], summary[1].index) == ("E_B", 0)

    def test_assembling_again_is_the_same_file(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        first = self.finished(store, manifest)
        assert self.finished(store, manifest) == first

    def test_a_foreign_file_under_the_key_is_not_overwritten(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        objects.create(attempt_key(location_of(manifest), 1, owner()), b"foreign")
        with pytest.raises(StorageError) as caught:
            self.finished(store, manifest)
        assert caught.value.code == "E_ARTEFACT_CONFLICT"
        assert self.finished(store, manifest, attempt=2).rows == 3

    def test_closing_leaves_nothing_here(self, store: ArtefactStore, work_dir: Path) -> None:
        manifest = manifest_of(3)
        with opened(store, manifest) as files:
            files.rows.add(ok(manifest.pages[0]))
            files.rows.flush()
            assert list(work_dir.iterdir())
            files.close()
        assert list(work_dir.iterdir()) == []

    # Resuming

    def test_finished_pages_are_kept_for_the_next_attempt(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(200)
        with opened(store, manifest) as files:
            for page in manifest.pages[:100]:
                files.rows.add(ok(page, lines=5))
            files.rows.flush()
        with opened(store, manifest, attempt=2) as files:
            assert files.rows.finished() == frozenset(range(100))
            assert files.rows.counts() == PageCounts(ok=100)
            assert files.counters() == {"lines": 500}
            for page in manifest.pages[100:]:
                files.rows.add(ok(page, lines=1))
            file = files.assemble()
            held = store.commit(location_of(manifest), content_of(file), replaces=None)
            files.discard_parts()
        rows = store.read_rows(held, ["nb_lines"]).column("nb_lines").to_pylist()
        assert rows == [5] * 100 + [1] * 100
        assert not objects.list(f"{location_of(manifest).prefix}/parts").exists

    def test_a_full_range_is_kept_without_a_flush(self, store: ArtefactStore) -> None:
        manifest = manifest_of(200)
        with opened(store, manifest) as files:
            for page in manifest.pages[:150]:
                files.rows.add(ok(page))
            # No flush: as if killed. What waits to be written is waited for here, and only that.
            files.close()
        with opened(store, manifest, attempt=2) as files:
            assert files.rows.finished() <= frozenset(range(128))
            assert files.rows.finished() >= frozenset(range(64))

    def test_errors_are_tried_again_and_skips_stand(self, store: ArtefactStore) -> None:
        manifest = manifest_of(5, skipped=1)
        with opened(store, manifest) as files:
            files.rows.add(skipped(manifest.pages[0]))
            files.rows.add(ok(manifest.pages[1]))
            files.rows.add(failed(manifest.pages[2]))
            files.rows.add(skipped(manifest.pages[3], "no text"))
            files.rows.flush()
        with opened(store, manifest, attempt=2) as files:
            assert files.rows.finished() == {0, 1, 3}
            assert files.error_summary() is None
            files.rows.add(ok(manifest.pages[2]))
            files.rows.add(ok(manifest.pages[4]))
            assert files.assemble().rows == 5
            assert files.rows.counts() == PageCounts(ok=3, skipped=2)

    def test_a_changed_image_is_done_again(self, store: ArtefactStore) -> None:
        with opened(store, manifest_of(3)) as files:
            for page in manifest_of(3).pages:
                files.rows.add(ok(page))
            files.rows.flush()
        with opened(store, manifest_of(3, changed=1), attempt=2) as files:
            assert files.rows.finished() == {0, 2}

    def test_a_changed_skip_rule_is_followed(self, store: ArtefactStore) -> None:
        before = manifest_of(4, skipped=2)
        with opened(store, before) as files:
            for page in before.pages:
                files.rows.add(skipped(page) if page.skip_reason else ok(page))
            files.rows.flush()
        with opened(store, manifest_of(4, skipped=0), attempt=2) as files:
            assert files.rows.finished() == {2, 3}
        with opened(store, manifest_of(4, skipped=3), attempt=3) as files:
            assert files.rows.finished() == {0, 1, 3}

    def test_another_config_model_code_or_input_shares_nothing(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        with opened(store, manifest) as files:
            files.rows.add(ok(manifest.pages[0]))
            files.rows.flush()
        others = [
            AttemptKey("other", KEY.models, KEY.code_version),
            AttemptKey(KEY.config_hash, (ModelInfo("lines", "cd" * 32),), KEY.code_version),
            AttemptKey(KEY.config_hash, KEY.models, "toy-2"),
            replace(KEY, inputs={"labels": "labels/W1/I1/abcdef/W1-I1-abcdef.a1.parquet"}),
            replace(KEY, inputs={"labels": MISSING}),
        ]
        for attempt, key in enumerate(others, 2):
            with opened(store, manifest, attempt, key) as files:
                assert files.rows.finished() == frozenset()

    def test_broken_and_foreign_parts_are_passed_over(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        with opened(store, manifest) as files:
            files.rows.add(ok(manifest.pages[0]))
            files.rows.flush()
        prefix = f"{location_of(manifest).prefix}/parts"
        [part] = objects.list(prefix).objects
        whole = objects.read(part.key)
        assert whole is not None
        objects.delete([part.key])
        stem = part.key.removesuffix(".parquet")
        for number, cut in enumerate([0, 4, len(whole.data) // 2, len(whole.data) - 1]):
            objects.create(f"{stem}{number}.parquet", whole.data[:cut])
        objects.create(f"{prefix}/readme.txt", b"")
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, SCHEMA):
            pass
        objects.create(f"{stem}-ipc.parquet", sink.getvalue().to_pybytes())
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"page": [0]}), sink)
        objects.create(f"{stem}-columns.parquet", sink.getvalue().to_pybytes())
        with opened(store, manifest, attempt=2) as files:
            assert files.rows.finished() == frozenset()
        objects.create(f"{stem}-again.parquet", whole.data)
        objects.create(f"{stem}-twice.parquet", whole.data)
        with opened(store, manifest, attempt=3) as files:
            assert files.rows.finished() == {0}
            for page in manifest.pages[1:]:
                files.rows.add(ok(page))
            assert files.assemble().rows == 3

    # Sidecar files

    def test_sidecar_files_lie_beside_and_are_named(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        content = {"a b?.json": b"1", "100%.txt": b"", "ཀ.png": b"x" * 70_000, "success.json": b"no"}
        file, sidecars = self.finished_with(store, manifest, content)
        held = store.commit(
            location_of(manifest), content_of(file, sidecars=[asdict(one) for one in sidecars]), replaces=None
        )
        folder = f"lines/W1 ཀ/I1/abcdef/W1 ཀ-I1-abcdef.a1-{owner().tag}"
        assert held.sidecars == sidecars
        assert [one.key for one in sidecars] == [f"{folder}/{name}" for name in sorted(content)]
        for one, data in zip(sidecars, (content[name] for name in sorted(content)), strict=True):
            blob = objects.read(one.key)
            assert blob
            assert (blob.data, one.size, one.sha256) == (data, len(data), hashlib.sha256(data).hexdigest())
        assert store.verify(held, 3)
        store.sweep(held, ended=1)
        assert store.verify(held, 3)

    def test_a_sidecar_file_that_is_gone_or_cut_is_noticed(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        file, sidecars = self.finished_with(store, manifest, {"1.json": b"first", "2.json": b"second"})
        held = store.commit(
            location_of(manifest), content_of(file, sidecars=[asdict(one) for one in sidecars]), replaces=None
        )
        objects.delete([sidecars[1].key])
        assert not store.verify(held, 3)
        objects.create(sidecars[1].key, b"secon")
        assert not store.verify(held, 3)
        objects.delete([sidecars[1].key])
        objects.create(sidecars[1].key, b"second")
        assert store.verify(held, 3)

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "../x", "a/b", "a\\b", "a\n", "\ud800", "x" * 201, " a", "a#1", "\x00", "/etc/passwd"]
    )
    def test_a_sidecar_file_of_a_hostile_name_is_refused(
        self, store: ArtefactStore, objects: Objects, name: str
    ) -> None:
        with opened(store, manifest_of(3)) as files, pytest.raises(NameUnsafeError):
            files.sidecars.put(name, b"x")
        assert contents(objects) == {}

    def test_two_sidecar_files_have_two_names(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        with opened(store, manifest) as files:
            files.sidecars.put("1.json", b"x", manifest.pages[0])
            files.sidecars.put("1.json", b"x", manifest.pages[0])
            with pytest.raises(TerminalError) as caught:
                files.sidecars.put("1.json", b"y", manifest.pages[0])
            assert caught.value.code == "E_SIDECAR_TWICE"
            assert [one.size for one in files.sidecar_files()] == [1]

    def test_there_are_not_more_sidecar_files_than_success_json_can_name(
        self, store: ArtefactStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sidecars, "MOST_FILES", 2)
        with opened(store, manifest_of(3)) as files:
            files.sidecars.put("1", b"")
            files.sidecars.put("2", b"")
            with pytest.raises(TerminalError) as caught:
                files.sidecars.put("3", b"")
            assert caught.value.code == "E_SIDECAR_LIMIT"
            assert len(files.sidecar_files()) == 2

    def test_a_file_of_others_under_the_key_of_a_sidecar_is_left(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        key = f"{sidecar_folder(location_of(manifest), 1, owner())}/1.json"
        objects.create(key, b"theirs")
        with opened(store, manifest) as files:
            files.rows.add(ok(manifest.pages[0]))

            def put() -> None:
                files.sidecars.put("1.json", b"ours")
                files.rows.flush()

            with pytest.raises(StorageError) as caught:
                put()
        assert caught.value.code == "E_ARTEFACT_CONFLICT"
        assert contents(objects) == {key: b"theirs"}

    def test_what_is_kept_of_a_page_is_kept_with_its_sidecar_files(
        self, store: ArtefactStore, objects: Objects
    ) -> None:
        manifest = manifest_of(130)
        with opened(store, manifest) as files:
            files.sidecars.put("of the volume", b"first")
            for page in manifest.pages[:100]:
                files.sidecars.put(f"{page.index}.json", f"{page.index}".encode(), page)
                files.rows.add(failed(page) if page.index == 7 else ok(page))
            files.rows.flush()
            files.sidecars.put("100.json", b"its page has no row", manifest.pages[100])
        objects.delete([f"{sidecar_folder(location_of(manifest), 1, owner())}/50.json"])
        with opened(store, manifest, attempt=2) as files:
            assert files.rows.finished() == frozenset(range(100)) - {7, 50}
            for page in manifest.pages:
                if page.index not in files.rows.finished():
                    files.sidecars.put(f"{page.index}.json", b"anew", page)
                    files.rows.add(ok(page))
            files.sidecars.put("of the volume", b"second")
            file = files.assemble()
            found = files.sidecar_files()
        folder = sidecar_folder(location_of(manifest), 2, owner())
        wanted = {f"{folder}/{n}.json": f"{n}".encode() for n in range(130)}
        wanted |= {f"{folder}/{n}.json": b"anew" for n in (7, 50, *range(100, 130))}
        wanted[f"{folder}/of the volume"] = b"second"
        assert {one.key: _data(objects, one.key) for one in found} == wanted
        content = content_of(file, attempt=2, sidecars=[asdict(one) for one in found])
        held = store.commit(location_of(manifest), content, replaces=None)
        assert store.sweep(held) > 100
        assert store.verify(held, 130)
        there = {key for key in contents(objects) if not key.endswith((".parquet", "success.json"))}
        assert there == set(wanted)

    def test_a_part_that_names_sidecar_files_of_others_is_passed_over(
        self, store: ArtefactStore, objects: Objects
    ) -> None:
        manifest = manifest_of(3)
        with opened(store, manifest) as files:
            files.sidecars.put("0.json", b"x", manifest.pages[0])
            files.rows.add(ok(manifest.pages[0]))
            files.rows.flush()
        prefix = location_of(manifest).prefix
        [part] = objects.list(f"{prefix}/parts").objects
        rows = pq.read_table(pa.BufferReader(_data(objects, part.key)))
        secret = f"{prefix}/secret"
        objects.create(secret, b"x")
        named = [{"page": 0, "key": secret, "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}]
        for told in (json.dumps(named).encode(), b"[{}]", b"nothing"):
            sink = pa.BufferOutputStream()
            pq.write_table(rows.replace_schema_metadata({**rows.schema.metadata, b"bec_sidecars": told}), sink)
            objects.delete([part.key])
            objects.create(part.key, sink.getvalue().to_pybytes())
            with opened(store, manifest, attempt=2) as files:
                assert files.rows.finished() == frozenset()
                assert files.sidecar_files() == ()

    def test_sidecar_files_of_others_stay(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        location = location_of(manifest)
        theirs = {
            f"{sidecar_folder(location, 0, owner(THEIRS))}/1.json": b"of another database",
            f"{location.prefix}/{location.stem}.a0/1.json": b"of nobody",
            f"{sidecar_folder(location, 0, owner())}/deeper/1.json": b"of something else",
            f"lines/W1 ཀ/I1/x.a0-{owner().tag}/1.json": b"of another version",
        }
        for key, data in theirs.items():
            objects.create(key, data)
        ours = f"{sidecar_folder(location, 0, owner())}/1.json"
        objects.create(ours, b"of an older attempt")
        held = store.commit(location, content_of(self.finished(store, manifest)), replaces=None)
        store.sweep(held, ended=5)
        there = contents(objects)
        assert ours not in there
        assert {key: there.get(key) for key in theirs} == theirs

    def test_a_success_json_names_no_sidecar_file_elsewhere(self, store: ArtefactStore, objects: Objects) -> None:
        location = location_of(manifest_of(3))
        folder = sidecar_folder(location, 1, owner())
        for key in (
            *("x", f"{location.prefix}/1.json", f"{location.prefix}/parts/x", f"{folder}/", f"{folder}/..", folder),
            *(
                f"{folder}/a/b",
                f"/{folder}/x",
                f"{location.prefix}/../{location.stem}.a1-abc/x",
                f"{location.prefix}/x/x",
            ),
        ):
            objects.delete([f"{location.prefix}/success.json"])
            named = {"format": 1, "files": [], "sidecars": [{"key": key, "size": 1, "sha256": ""}]}
            objects.create(f"{location.prefix}/success.json", json.dumps(named).encode())
            with pytest.raises(TerminalError) as caught:
                store.success(location)
            assert caught.value.code == "E_ARTEFACT_BROKEN"

    # Commit

    def test_nothing_is_there_before_the_commit(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        self.finished(store, manifest)
        assert store.success(location_of(manifest)) is None

    def test_commit_returns_what_success_reads(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        file = self.finished(store, manifest)
        held = store.commit(location_of(manifest), content_of(file, name="བོད"), replaces=None)
        assert held == store.success(location_of(manifest))
        assert held.files == (file,)
        assert (held.manifest_etag, held.config_hash, held.task_uid, held.attempt) == (
            manifest.etag,
            "c0ffee",
            "uid",
            1,
        )
        assert held.models == KEY.models
        assert held.pages == PageCounts(2, 1, 0)
        assert held.content is not None
        assert held.content["name"] == "བོད"

    def test_the_first_commit_wins(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        file = self.finished(store, manifest)
        location = location_of(manifest)
        barrier = threading.Barrier(8)

        def commit(number: int) -> Success:
            barrier.wait(10)
            return store.commit(location, content_of(file, number=number), replaces=None)

        with ThreadPoolExecutor(8) as pool:
            held = list(pool.map(commit, range(8)))
        assert len({found.etag for found in held}) == 1

    def test_a_redo_replaces_exactly_the_one_it_knew(self, store: ArtefactStore) -> None:
        manifest = manifest_of(3)
        file = self.finished(store, manifest)
        location = location_of(manifest)
        first = store.commit(location, content_of(file, n=1), replaces=None)
        second = store.commit(location, content_of(file, n=2), replaces=first)
        late = store.commit(location, content_of(file, n=3), replaces=first)
        assert (second.content or {})["n"] == 2
        assert late == second

    def test_a_success_that_is_removed_meanwhile_is_tried_again(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        file = self.finished(store, manifest)
        first = store.commit(location_of(manifest), content_of(file), replaces=None)
        objects.delete([f"{first.location.prefix}/success.json"])
        with pytest.raises(StorageError) as caught:
            store.commit(location_of(manifest), content_of(file), replaces=first)
        assert caught.value.code == "E_ARTEFACT_CONFLICT"

    # Reading and verifying

    def test_verifies_what_is_whole(self, store: ArtefactStore) -> None:
        manifest = manifest_of(130)
        held = store.commit(location_of(manifest), content_of(self.finished(store, manifest)), replaces=None)
        assert store.verify(held, 130)
        assert not store.verify(held, 129)

    @pytest.mark.parametrize("damage", ["gone", "cut", "empty", "garbage"])
    def test_does_not_verify_what_is_damaged(self, store: ArtefactStore, objects: Objects, damage: str) -> None:
        manifest = manifest_of(3)
        file = self.finished(store, manifest)
        held = store.commit(location_of(manifest), content_of(file), replaces=None)
        whole = objects.read(file.key)
        assert whole is not None
        objects.delete([file.key])
        pieces = {"cut": whole.data[:-1], "empty": b"", "garbage": b"x" * file.size}
        if damage in pieces:
            objects.create(file.key, pieces[damage])
        assert not store.verify(held, 3)
        with pytest.raises(StorageError) as caught:
            store.read_rows(held)
        assert caught.value.code == ("E_ARTEFACT_GONE" if damage == "gone" else "E_ARTEFACT_BROKEN")

    def test_a_store_that_is_away_is_not_a_damaged_file(
        self, store: ArtefactStore, objects: Objects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manifest = manifest_of(3)
        held = store.commit(location_of(manifest), content_of(self.finished(store, manifest)), replaces=None)

        def away(*_: object) -> None:
            raise StorageError("The store is away.")

        monkeypatch.setattr(objects, "read_range", away)
        for action in (lambda: store.verify(held, 3), lambda: store.read_rows(held)):
            with pytest.raises(StorageError, match="The store is away"):
                action()

    def test_sweeps_what_older_attempts_left(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        for attempt in (1, 3):
            self.finished(store, manifest, attempt)
        file = self.finished(store, manifest, 2)
        held = store.commit(location_of(manifest), content_of(file, attempt=2), replaces=None)
        objects.create(f"{held.location.prefix}/notes.txt", b"")
        assert store.sweep(held) > 1
        names = [
            entry.name.removeprefix(f"{held.location.stem}.") for entry in objects.list(held.location.prefix).objects
        ]
        tag = owner().tag
        assert names == [f"a2-{tag}.parquet", f"a3-{tag}.parquet", "notes.txt", "success.json"]
        assert not objects.list(f"{held.location.prefix}/parts").exists
        assert store.sweep(held) == 0

    def test_sweeps_newer_attempts_that_are_known_to_have_ended(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        held = store.commit(location_of(manifest), content_of(self.finished(store, manifest), attempt=1), replaces=None)
        for attempt in (2, 3):
            self.finished(store, manifest, attempt)
        assert store.sweep(held, ended=2) > 0
        names = [entry.name.removeprefix(f"{held.location.stem}.") for entry in objects.walk(held.location.prefix)]
        assert names == [f"a1-{owner().tag}.parquet", f"a3-{owner().tag}.parquet", "success.json"]

    def test_sweeps_nothing_of_other_databases(self, objects: Objects, work_dir: Path) -> None:
        """They have older attempts and parts beside ours, and we beside theirs."""
        manifest, ours, theirs = manifest_of(3), owner(OURS), owner(THEIRS)
        mine, other = (StoredArtefacts(objects, work_dir, one) for one in (ours, theirs))
        self.finished(other, manifest, 1)
        self.finished(mine, manifest, 1)
        held = mine.commit(
            location_of(manifest), content_of(self.finished(mine, manifest, 2), attempt=2), replaces=None
        )
        before = contents(objects)
        assert other.sweep(held, ended=9) == 0
        assert contents(objects) == before
        assert mine.sweep(held, ended=9) > 0
        gone = before.keys() - contents(objects).keys()
        assert [theirs.tag in key for key in gone] == [False] * len(gone)
        assert any(theirs.tag in key and "/parts/" in key for key in contents(objects))

    @pytest.mark.parametrize("changed", [{"attempt": "1"}, {}])
    def test_takes_back_only_what_says_that_it_is_ours(
        self, objects: Objects, work_dir: Path, changed: dict[str, Any]
    ) -> None:
        manifest, ours = manifest_of(3), StoredArtefacts(objects, work_dir, owner(OURS))
        location = location_of(manifest)
        held = ours.commit(location, content_of(self.finished(ours, manifest)), replaces=None)
        etag = None if changed else held.etag
        if changed:
            objects.delete([f"{location.prefix}/success.json"])
            objects.create(f"{location.prefix}/success.json", json.dumps({**(held.content or {}), **changed}).encode())
        for identity in (THEIRS, OURS):
            store = StoredArtefacts(objects, work_dir, owner(identity))
            assert store.owns_at(location) is (identity == OURS)
            assert store.retract(location, etag) is (identity == OURS)
        assert objects.head(f"{location.prefix}/success.json") is None

    @pytest.mark.parametrize("data", [b"{", b"{}", b'{"format": 9}', b'{"format": 1, "task": "unknown"}'])
    def test_takes_back_nothing_that_does_not_say_whose_it_is(
        self, store: StoredArtefacts, objects: Objects, data: bytes
    ) -> None:
        location = location_of(manifest_of(1))
        objects.create(f"{location.prefix}/success.json", data)
        blob = objects.read(f"{location.prefix}/success.json")
        assert blob
        for etag in (None, objects.version(blob)):
            assert not store.retract(location, etag)
        assert contents(objects) == {f"{location.prefix}/success.json": data}

    # The conventional name

    def published(
        self, store: StoredArtefacts, attempt: int, replaces: Success | None = None, lines: int = 2
    ) -> Success:
        manifest = manifest_of(3)
        file = self.finished(store, manifest, attempt, lines)
        return store.commit(location_of(manifest), content_of(file, attempt=attempt), replaces=replaces)

    def test_the_conventional_name_holds_what_success_names(self, store: StoredArtefacts, objects: Objects) -> None:
        held = self.published(store, 1)
        assert not store.has_conventional_name(held)
        assert store.name_conventionally(held)
        key = f"{held.location.prefix}/{held.location.stem}.parquet"
        assert _data(objects, key) == _data(objects, held.files[0].key)
        before = objects.head(key)
        assert store.name_conventionally(held)
        assert store.has_conventional_name(held)
        assert objects.head(key) == before
        assert store.sweep(held, ended=9) >= 0
        assert objects.head(key) == before

        newer = self.published(store, 2, held, lines=3)
        assert not store.has_conventional_name(newer)
        # Whoever still holds the older one puts what is published now.
        assert store.name_conventionally(held)
        assert _data(objects, key) == _data(objects, newer.files[0].key)

    def test_a_listing_shows_what_is_as_it_was_left(
        self, store: StoredArtefacts, objects: Objects, work_dir: Path
    ) -> None:
        held = self.published(store, 1)
        assert not store.is_untouched(held, 3), "there are part files, and no copy yet"
        store.name_conventionally(held)
        store.sweep(held)
        assert (store.is_untouched(held, 3), store.is_untouched(held, 4)) == (True, False)
        assert not StoredArtefacts(objects, work_dir, owner(THEIRS)).is_untouched(held, 3)
        for key in (held.files[0].key, f"{held.location.prefix}/{held.location.stem}.parquet"):
            whole = _data(objects, key)
            for harmed in (None, b"", whole + b"x"):
                objects.delete([key])
                if harmed is not None:
                    objects.create(key, harmed)
                assert not store.is_untouched(held, 3)
            objects.delete([key])
            objects.create(key, whole)
            assert store.is_untouched(held, 3)

    def test_of_two_that_put_their_copies_the_newer_one_stays(
        self, store: StoredArtefacts, objects: Objects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One stands still after it read `success.json`; meanwhile the work is done again, and its copy is put."""
        first = self.published(store, 1)
        assert store.name_conventionally(first)
        held = self.published(store, 2, first, lines=3)
        key = f"{held.location.prefix}/{held.location.stem}.parquet"
        read = objects.read
        newer: list[Success] = []

        def stand_still(wanted: str, **how: Any) -> Any:
            blob = read(wanted, **how)
            if wanted == held.files[0].key and not newer:
                newer.append(self.published(store, 3, held, lines=4))
                assert store.name_conventionally(newer[0])
            return blob

        monkeypatch.setattr(objects, "read", stand_still)
        assert store.name_conventionally(held)
        assert _data(objects, key) == _data(objects, newer[0].files[0].key)

    def test_a_file_of_others_keeps_the_conventional_name(
        self, store: StoredArtefacts, objects: Objects, work_dir: Path
    ) -> None:
        theirs = StoredArtefacts(objects, work_dir, owner(THEIRS))
        other = self.finished(theirs, manifest_of(3), 7)
        held = self.published(store, 1)
        key = f"{held.location.prefix}/{held.location.stem}.parquet"
        for data in (b"", b"an older file", _data(objects, other.key)):
            objects.create(key, data)
            assert not store.name_conventionally(held)
            assert not store.has_conventional_name(held)
            assert _data(objects, key) == data
            objects.delete([key])
        assert not theirs.name_conventionally(held)
        assert objects.head(key) is None

    def test_a_store_that_keeps_the_older_copy_is_no_outage(
        self, store: StoredArtefacts, objects: Objects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = self.published(store, 1)
        assert store.name_conventionally(held)
        newer = self.published(store, 2, held, lines=3)

        def refused(*_: Any) -> bool:
            raise StorageError("Access denied.", code=DENIED)

        monkeypatch.setattr(objects, "replace", refused)
        assert not store.name_conventionally(newer)

    def test_what_is_taken_back_goes_from_the_conventional_name_too(
        self, store: StoredArtefacts, objects: Objects, work_dir: Path
    ) -> None:
        held = self.published(store, 1)
        key = f"{held.location.prefix}/{held.location.stem}.parquet"
        assert store.name_conventionally(held)
        assert not StoredArtefacts(objects, work_dir, owner(THEIRS)).retract(held.location, held.etag)
        assert objects.head(key) is not None
        assert store.retract(held.location, held.etag)
        assert objects.head(key) is None
        again = self.published(store, 2)
        objects.create(key, b"an older file")
        assert store.retract(again.location, again.etag)
        assert _data(objects, key) == b"an older file"

    def test_reads_an_artefact_of_the_earlier_system_by_the_name_that_its_job_gave(
        self, store: StoredArtefacts, objects: Objects
    ) -> None:
        manifest = manifest_of(3)
        data = _data(objects, self.finished(store, manifest).key)
        location = location_of(manifest)
        beginning = f"{location.prefix}/{location.stem}"
        objects.create(f"{location.prefix}/success.json", b'{"total_images": 3, "nb_errors": 1}')
        for name in ("_ocrv1", "-gv"):
            objects.create(f"{beginning}{name}.parquet", data)
            found = store.success(location)
            assert found is not None
            assert [file.key for file in found.files] == [f"{beginning}{name}.parquet"]
            assert (found.pages, found.manifest_etag) == (PageCounts(ok=2, error=1), None)
            assert store.verify(found, 3)
            objects.delete([f"{beginning}{name}.parquet"])
        for name in ("_one", "-two"):
            objects.create(f"{beginning}{name}.parquet", data)
        with pytest.raises(TerminalError, match="2 could be it") as caught:
            store.success(location)
        assert caught.value.code == "E_ARTEFACT_BROKEN"
        objects.create(f"{beginning}.parquet", data)
        found = store.success(location)
        assert found is not None
        assert [file.key for file in found.files] == [f"{beginning}.parquet"]

    @pytest.mark.parametrize("counts", [{"total_images": 3}, {"total_images": 3, "nb_errors": 4}, {"nb_errors": True}])
    def test_counts_of_the_earlier_system_that_cannot_be_are_not_taken(
        self, store: StoredArtefacts, objects: Objects, counts: dict[str, Any]
    ) -> None:
        location = location_of(manifest_of(3))
        objects.create(f"{location.prefix}/success.json", json.dumps({"total_images": 3, **counts}).encode())
        found = store.success(location)
        assert found is not None
        assert found.pages is None

    def test_reads_an_artefact_of_the_older_layout(self, store: ArtefactStore, objects: Objects) -> None:
        manifest = manifest_of(3)
        file = self.finished(store, manifest)
        whole = objects.read(file.key)
        assert whole is not None
        objects.create("lines/W1 ཀ/I1/abcdef/W1 ཀ-I1-abcdef.parquet", whole.data)
        objects.create("lines/W1 ཀ/I1/abcdef/success.json", b'{"nb_images": 3}')
        found = store.success(location_of(manifest))
        assert found is not None
        assert (found.manifest_etag, found.config_hash, found.pages, found.models) == (None, None, None, ())
        assert store.verify(found, 3)
        assert not store.verify(found, 4)
        assert store.read_rows(found).num_rows == 3
        assert store.sweep(found) == 0

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"\xff",
            b'{"format": 1, "files": 3}',
            b'{"format": 1, "files": [{"key": "a"}]}',
            _naming("lines/other/x.parquet"),
            _naming("lines/W1 ཀ/I1/abcdef/.."),
            b'{"format": 1, "models": [1]}',
            b'{"format": 1, "pages": {"ok": 1}}',
            b'{"format": 1, "attempt": "1"}',
            b'{"format": 1, "manifest_etag": 1}',
        ],
    )
    def test_a_broken_success_json_is_terminal(self, store: ArtefactStore, objects: Objects, data: bytes) -> None:
        objects.create("lines/W1 ཀ/I1/abcdef/success.json", data)
        with pytest.raises(TerminalError) as caught:
            store.success(location_of(manifest_of(1)))
        assert caught.value.code == "E_ARTEFACT_BROKEN"
        assert "lines/W1 ཀ/I1/abcdef/success.json" in caught.value.message
