import json
from pathlib import Path

import pytest

from bec_orch.errors import ConfigError, DiskFullError, NameUnsafeError, StorageError
from bec_orch.io.stores import model_store
from bec_orch.io.stores.model_store import CachedModels
from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import Stores


@pytest.fixture
def stores() -> Stores:
    return Stores()


@pytest.fixture
def bucket(stores: Stores) -> Objects:
    objects = stores.open("memory://models")
    objects.create("lines/model.onnx", b"weights")
    objects.create("lines/config.json", b"{}")
    return objects


@pytest.fixture
def models(stores: Stores, tmp_path: Path) -> CachedModels:
    return CachedModels(stores, tmp_path / "cache")


def test_local_paths_are_returned_as_they_are(models: CachedModels, tmp_path: Path) -> None:
    path = tmp_path / "my model#1"
    path.mkdir()
    assert models.local_path(str(path)) == path
    assert models.local_path(path.as_uri()) == path
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "url", ["/no/such/model", "file:///no/such", "memory://models/none", "memory://models", "C:x", "x" * 300]
)
def test_a_model_that_is_not_there_is_a_config_error(models: CachedModels, bucket: Objects, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        models.local_path(url)
    assert caught.value.code == "E_MODEL_NOT_FOUND"
    assert url in caught.value.message


def test_a_folder_is_fetched_once(models: CachedModels, bucket: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = models.local_path("memory://models/lines")
    assert (folder / "model.onnx").read_bytes() == b"weights"
    assert (folder / "config.json").read_bytes() == b"{}"
    monkeypatch.setattr(bucket, "read", None)
    assert models.local_path("memory://models/lines/") == folder


def test_a_single_file_is_fetched(models: CachedModels, bucket: Objects) -> None:
    assert models.local_path("memory://models/lines/model.onnx").read_bytes() == b"weights"


def test_a_changed_model_is_fetched_beside_the_old_one(models: CachedModels, bucket: Objects) -> None:
    before = models.local_path("memory://models/lines/model.onnx")
    bucket.delete(["lines/model.onnx"])
    bucket.create("lines/model.onnx", b"better!")
    after = models.local_path("memory://models/lines/model.onnx")
    assert (before.read_bytes(), after.read_bytes()) == (b"weights", b"better!")


@pytest.mark.parametrize("damage", ["changed", "gone", "digests gone", "digests broken", "digests empty"])
def test_a_damaged_copy_is_fetched_again(models: CachedModels, bucket: Objects, damage: str) -> None:
    folder = models.local_path("memory://models/lines")
    if damage == "changed":
        (folder / "model.onnx").write_bytes(b"weightz")
    elif damage == "gone":
        (folder / "model.onnx").unlink()
    elif damage == "digests gone":
        (folder / ".digests.json").unlink()
    else:
        (folder / ".digests.json").write_text("[1]" if damage == "digests broken" else "{}")
    assert models.local_path("memory://models/lines") == folder
    assert (folder / "model.onnx").read_bytes() == b"weights"
    assert set(json.loads((folder / ".digests.json").read_text())) == {"model.onnx", "config.json"}


def test_two_processes_may_fetch_at_once(
    models: CachedModels, bucket: Objects, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = model_store._put_in_place

    def late(whole: Path, folder: Path) -> None:
        monkeypatch.setattr(model_store, "_put_in_place", real)
        CachedModels(stores, tmp_path / "cache").local_path("memory://models/lines")
        real(whole, folder)

    monkeypatch.setattr(model_store, "_put_in_place", late)
    assert (models.local_path("memory://models/lines") / "model.onnx").read_bytes() == b"weights"
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_model_that_changes_while_it_is_fetched_is_tried_again_later(
    models: CachedModels, bucket: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "read", lambda _: None)
    with pytest.raises(StorageError, match="changed while"):
        models.local_path("memory://models/lines")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_prefix_with_too_much_in_it_is_no_model(models: CachedModels, bucket: Objects) -> None:
    for number in range(40):
        bucket.create(f"archive/{number}.jpg", b"")
    with pytest.raises(ConfigError, match="not a model"):
        models.local_path("memory://models/archive")


def test_a_model_of_gigabytes_is_not_fetched(
    models: CachedModels, bucket: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_store, "_MAX_BYTES", 10)
    bucket.create("large/a.onnx", b"x" * 6)
    bucket.create("large/b.onnx", b"x" * 5)
    with pytest.raises(ConfigError, match="has 11 bytes") as caught:
        models.local_path("memory://models/large")
    assert caught.value.code == "E_MODEL_INVALID"


def test_a_hostile_name_stays_out_of_the_cache(models: CachedModels, bucket: Objects) -> None:
    bucket.create("evil/a\\b.onnx", b"")
    with pytest.raises(NameUnsafeError):
        models.local_path("memory://models/evil")


def test_a_full_disk_is_reported(models: CachedModels, bucket: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError):
        models.local_path("memory://models/lines")
