"""Layers of a volume: what each job found, of one that is done and of one that is not, and what is told of faults."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bec_orch.core.artefacts import ArtefactLocation, AttemptKey
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import Manifest, Page, PageOutcome, PageState, VolumeRef
from bec_orch.errors import StorageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import Stores
from bec_orch.orch.overview.layers import Layers
from tests.support.owners import owner
from tests.unit.orch.test_contents import MODEL, SCHEMA, VOLUME, images, publish, words


@pytest.fixture
def store() -> Objects:
    return Stores().open("memory://artefacts")


@pytest.fixture
def artefacts(store: Objects, tmp_path: Path) -> StoredArtefacts:
    return StoredArtefacts(store, tmp_path, owner())


def task(job: str, state: TaskState, number: int = 1, **more: Any) -> Any:
    given = {"volume": VOLUME, "manifest_etag": "abcdef", "attempt": 1, **more}
    return SimpleNamespace(id=number, job=job, root=job, state=state, **given)


def layers(artefacts: StoredArtefacts, *tasks: Any, reads: Any = words) -> Layers:
    overview: Any = SimpleNamespace(job=lambda name: Job(1, name, "reader", {}, "cfg"))
    listings: Any = SimpleNamespace(tasks_of_volume=lambda _w_id, _i_id: list(tasks))
    return Layers(overview, listings, artefacts, lambda _type: reads)


def begin(artefacts: StoredArtefacts, pages: list[int]) -> None:
    """Do some pages of a volume, and stop."""
    manifest = Manifest(VOLUME, "abcdef", tuple(Page(index, image) for index, image in enumerate(images())))
    key = AttemptKey("cfg", (MODEL,), "1", "ocr", {})
    files = artefacts.open_attempt(ArtefactLocation("ocr", VOLUME, manifest.version), manifest, 1, key, SCHEMA, {})
    for index in pages:
        files.rows.add(PageOutcome(index, PageState.OK, "e", {"word": f"ocr{index}"}))
    files.rows.flush()
    files.close()


def test_each_page_is_that_of_its_place(artefacts: StoredArtefacts) -> None:
    publish(artefacts, "ocr", images())
    found = layers(artefacts, task("ocr", TaskState.DONE))
    layer = found.layer("ocr", VOLUME)
    assert layer is not None
    assert (layer.origin.engine, layer.kept) == ("eyes", None)
    for index in (0, 31, 32, 74):
        page = found.page(layer, index, "")
        assert page is not None
        assert (page.index, page.image, page.content.lines[0].text) == (index, images()[index], f"ocr{index} None")
    assert found.page(layer, 75, "") is None
    skipped = found.page(layer, 3, "")
    assert skipped is not None
    assert (skipped.note, skipped.content.lines) == ("skipped: intro", ())
    assert [page.index for page in found.pages(layer)] == list(range(75))


def test_a_volume_that_is_not_done_has_what_its_attempts_left(artefacts: StoredArtefacts) -> None:
    begin(artefacts, [2, 40])
    found = layers(artefacts, task("ocr", TaskState.RUNNING))
    layer = found.layer("ocr", VOLUME)
    assert layer is not None
    assert layer.origin.is_partial
    for index in (2, 40):
        page = found.page(layer, index, images()[index])
        assert page is not None
        assert (page.image, page.content.lines[0].text) == (images()[index], f"ocr{index} None")
    assert found.page(layer, 3, images()[3]) is None


@pytest.mark.parametrize("more", [{}, {"manifest_etag": None}])
def test_a_volume_of_which_there_is_nothing_has_no_layer(artefacts: StoredArtefacts, more: dict[str, Any]) -> None:
    found = layers(artefacts, task("ocr", TaskState.QUEUED, **more))
    assert found.layer("ocr", VOLUME) is None
    assert found.layer("other", VOLUME) is None


def test_an_artefact_that_is_gone_is_reported(artefacts: StoredArtefacts) -> None:
    with pytest.raises(StorageError) as caught:
        layers(artefacts, task("ocr", TaskState.DONE)).layer("ocr", VOLUME)
    assert caught.value.code == "E_ARTEFACT_GONE"


def test_a_type_that_hands_nothing_on_has_pages_without_lines(artefacts: StoredArtefacts) -> None:
    publish(artefacts, "ocr", images())
    found = layers(artefacts, task("ocr", TaskState.DONE), reads=None)
    layer = found.layer("ocr", VOLUME)
    assert layer is not None
    assert {page.content.lines for page in found.pages(layer)} == {()}


def test_the_layer_is_that_of_the_volume_of_its_source(artefacts: StoredArtefacts) -> None:
    publish(artefacts, "ocr", images())
    other = VolumeRef("W1", "I1", "folder+file:///others")
    found = layers(artefacts, task("ocr", TaskState.DONE, 3, volume=other), task("ocr", TaskState.DONE, 2))
    layer = found.layer("ocr", VOLUME)
    assert layer is not None
    assert (layer.task.id, layer.kept) == (2, None)
