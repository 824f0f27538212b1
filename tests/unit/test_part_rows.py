"""The rows of attempts that left no artefact, as `bec pages` reads them; and that they are there."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from bec_orch.core.artefacts import ArtefactLocation, AttemptKey
from bec_orch.core.life.computing import _too_many_failed
from bec_orch.core.volumes import Manifest, Page, PageCounts, PageOutcome, PageState, VolumeRef
from bec_orch.errors import StorageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.objects import Retries
from tests.support.owners import OURS, THEIRS, owner

SCHEMA = pa.schema([("lines", pa.int32())])
KEY = AttemptKey("cfg", (), "v1", "toy")
PAGES = tuple(Page(n, f"{n}.jpg", f'"{n}"') for n in range(70))
MANIFEST = Manifest(VolumeRef("W1", "I1", "folder+file:///x"), "abcdef99", PAGES)
LOCATION = ArtefactLocation("toy", MANIFEST.volume, MANIFEST.version)
COLUMNS = ("img_file_name", "ok", "lines", "none_such")


class Scene:
    """A destination into which attempts put rows and end."""

    def __init__(self, folder: Path) -> None:
        self.objects = FolderObjects(folder / "out", Retries(2, 0.001, 0.001), create=True)
        self._folder = folder

    def store(self, identity: str = OURS) -> StoredArtefacts:
        return StoredArtefacts(self.objects, self._folder / "work", owner(identity))

    def attempt(self, number: int, *outcomes: PageOutcome, key: AttemptKey = KEY, identity: str = OURS) -> None:
        files = self.store(identity).open_attempt(LOCATION, MANIFEST, number, key, SCHEMA, {})
        for outcome in outcomes:
            files.rows.add(outcome)
        files.rows.flush()
        files.close()

    def rows(self, attempt: int = 99) -> list[tuple[int, bool, int | None]]:
        table = self.store().part_rows(LOCATION, attempt, COLUMNS)
        found: list[dict[str, Any]] = [] if table is None else table.to_pylist()
        assert all(row["img_file_name"] == f"{row['page']}.jpg" for row in found)
        return [(row["page"], row["ok"], row["lines"]) for row in found]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def ok(page: int, lines: int) -> PageOutcome:
    return PageOutcome(page, PageState.OK, f'"{page}"', row={"lines": lines})


def error(page: int) -> PageOutcome:
    return PageOutcome(page, PageState.ERROR, f'"{page}"', error_stage="decode", error_type="E_X", error_message="x")


def test_there_is_nothing(scene: Scene) -> None:
    assert scene.store().part_rows(LOCATION, 1, COLUMNS) is None


def test_each_page_once_in_order_the_newest_row(scene: Scene) -> None:
    scene.attempt(9, error(3), ok(69, 1), error(65))
    scene.attempt(10, ok(3, 7))
    assert scene.rows() == [(3, True, 7), (65, False, None), (69, True, 1)]
    assert scene.rows(attempt=9) == [(3, False, None), (65, False, None), (69, True, 1)]


def test_rows_that_the_newest_attempt_does_not_go_by_are_passed_over(scene: Scene) -> None:
    scene.attempt(1, ok(0, 1), ok(1, 1))
    scene.attempt(2, ok(0, 2), key=replace(KEY, config_hash="other"))
    assert scene.rows() == [(0, True, 2)]


def test_rows_of_others_and_broken_files_are_passed_over(scene: Scene) -> None:
    scene.attempt(1, ok(0, 1))
    scene.attempt(2, ok(1, 1), identity=THEIRS)
    (ours,) = (entry.key for entry in scene.objects.walk(LOCATION.prefix) if "-a1-" in entry.key)
    scene.objects.create(ours.replace("-a1-", "-a3-"), b"no parquet")
    assert scene.rows() == [(0, True, 1)]


def test_a_partial_artefact_takes_the_place_of_our_earlier_ones_and_of_nothing_else(scene: Scene) -> None:
    def leave(attempt: int, identity: str = OURS, *, is_marked: bool) -> None:
        files = scene.store(identity).open_attempt(LOCATION, MANIFEST, attempt, KEY, SCHEMA, {})
        for page in range(len(PAGES)):
            files.rows.add(error(page))
        files.assemble()
        if is_marked:
            files.mark_partial({"attempt": attempt})
        files.close()

    leave(1, is_marked=True)
    leave(2, THEIRS, is_marked=True)
    leave(3, is_marked=False)
    leave(9, is_marked=True)
    leave(4, is_marked=True)
    ours, theirs = owner(OURS).tag, owner(THEIRS).tag
    found = {entry.name for entry in scene.objects.walk(LOCATION.prefix) if "/parts/" not in entry.key}
    marked = [(2, theirs), (4, ours), (9, ours)]
    assert found == {
        *(f"{LOCATION.stem}.a{attempt}-{tag}.partial.json" for attempt, tag in marked),
        *(f"{LOCATION.stem}.a{attempt}-{tag}.parquet" for attempt, tag in [*marked, (3, ours)]),
    }


def test_a_volume_fails_only_once_its_rows_are_stored() -> None:
    def away() -> None:
        raise StorageError("The store is away.")

    every = frozenset(range(len(MANIFEST.pages)))
    rows = SimpleNamespace(counts=lambda: PageCounts(error=70), finished=lambda: every, flush=away)
    files = SimpleNamespace(rows=rows, error_summary=lambda: ("E_X", error(0)))
    job = SimpleNamespace(max_page_error_rate=0.05, name="toy")
    pinned = SimpleNamespace(manifest=MANIFEST, claim=SimpleNamespace(job=job, volume=MANIFEST.volume))
    with pytest.raises(StorageError):
        _too_many_failed(cast("Any", pinned), cast("Any", files))
