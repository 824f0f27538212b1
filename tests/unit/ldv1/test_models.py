"""The line models: what they take, what they return, and what they refuse."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from bec_orch.errors import ConfigError, extra_hint
from bec_orch.io.stores.model_store import CachedModels
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.ldv1.config import Ldv1Config
from bec_orch.jobs.ldv1.loading import find_model, load_line_model
from bec_orch.jobs.ldv1.one_map.ppocr import PpocrModel, bundled_model_path
from bec_orch.jobs.ldv1.one_map.tiles import load_tile_model
from bec_orch.jobs.ldv1.page.decoded_size import reduce_factor
from bec_orch.jobs.shared.model_session import ModelSession
from tests.unit.ldv1.drawn import PATCH, dark_pixel_model, model_folder, page

PHOTI = ("background", "image", "line", "margin", "caption")


@pytest.fixture(scope="module")
def ppocr() -> PpocrModel:
    return PpocrModel(ModelSession(bundled_model_path()), line_pitch=24.0)


# --- the library's own models


@pytest.mark.parametrize(
    "config",
    [
        {"onnx-model": "lines.onnx"},
        {"model_file": "lines.onnx", "input_channels": 1},
        {"cpu-model": "models/lines.onnx", "gpu-model": "gpu.onnx", "batch_size": "64", "patch_size": str(PATCH)},
        {"onnx-model": "lines.onnx", "input_width": "512", "version": "1.0"},
    ],
)
def test_published_configs_are_read_with_their_oddities(tmp_path: Path, config: dict[str, object]) -> None:
    model = load_tile_model(model_folder(tmp_path / "Lines", (), **config), threads=1)
    assert (model.name, model.kind, model.threshold) == ("Lines", "tiles", 0.9)
    assert model.digest == hashlib.sha256((tmp_path / "Lines" / "lines.onnx").read_bytes()).hexdigest()


def test_real_configs_are_read(shared_data: Path, tmp_path: Path) -> None:
    every = shared_data.glob("models/configs/**/*.json")
    configs = [config for config in every if "charset" not in json.loads(config.read_text())]
    assert len(configs) == 6
    for config in configs:
        classes = json.loads(config.read_text()).get("classes", ())
        model_folder(tmp_path, classes)
        values = json.loads(config.read_text()) | {"patch_size": PATCH}
        for key in {"onnx-model", "model_file", "cpu-model"} & values.keys():
            values[key] = "lines.onnx"
        (tmp_path / "config.json").write_text(json.dumps(values))
        assert load_tile_model(tmp_path, threads=1).threshold == (0.8 if classes else 0.9)


@pytest.mark.parametrize("classes", [(), PHOTI])
def test_the_map_is_high_where_the_binarised_page_is_dark(tmp_path: Path, classes: tuple[str, ...]) -> None:
    model = load_tile_model(model_folder(tmp_path, classes), threads=1)
    picture = page((200, 150), [(20, 40, 180, 40), (20, 100, 180, 100)], thickness=10)
    view = model.view(picture, None)
    assert len(view.items) == 4 * 3
    assert {item.shape for item in view.items} == {(PATCH, PATCH)}
    probability = model.probability(view, model.infer(view.items))
    assert probability.shape == (150, 200)
    assert probability[40, 100] > 0.99
    assert probability[70, 100] < 0.01


def test_large_pages_are_shrunk_and_the_map_follows_the_pitch(tmp_path: Path) -> None:
    model = load_tile_model(model_folder(tmp_path), threads=1)
    view = model.view(np.full((2000, 8192), 255, np.uint8), 200.0)
    assert view.shown == (4096, 1000)
    assert (view.width, view.height) == (1147, 280)
    assert view.pitch == pytest.approx(28)
    assert view.to_image[0, 0] == pytest.approx(8192 / 1147)
    assert model.reduce_factor(8192, 2000) == 2
    assert model.reduce_factor(20000, 5000) == 4
    assert model.reduce_factor(3000, 900) == 1


def test_a_page_smaller_than_a_tile_is_filled_up_with_paper(tmp_path: Path) -> None:
    model = load_tile_model(model_folder(tmp_path), threads=1)
    view = model.view(page((40, 30), [(5, 15, 35, 15)], thickness=4), None)
    assert len(view.items) == 1
    assert model.probability(view, model.infer(view.items)).shape == (30, 40)


def test_no_items_no_outputs(tmp_path: Path) -> None:
    assert load_tile_model(model_folder(tmp_path), threads=1).infer([]) == []


def test_several_tiles_are_one_batch_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_tile_model(model_folder(tmp_path), threads=1)
    tiles = [np.full((PATCH, PATCH), value, np.uint8) for value in (0, 255, 0)]
    alone = model.infer(tiles)
    monkeypatch.setattr(model._session, "on_gpu", True)
    assert np.array_equal(np.stack(model.infer(tiles)), np.stack(alone))


@pytest.mark.parametrize("missing", ["nothing/here", "empty"])
def test_a_missing_model_is_named(tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=missing) as caught:
        load_line_model(Ldv1Config(model=str(tmp_path / missing)))
    assert caught.value.code == "E_MODEL_NOT_FOUND"


def test_a_model_that_is_named_nearly_right_is_proposed(tmp_path: Path) -> None:
    models = CachedModels(Stores(), tmp_path / "cache")
    with pytest.raises(ConfigError, match=r"at autoo \(did you mean 'auto'") as caught:
        find_model("autoo", models)
    assert caught.value.code == "E_MODEL_NOT_FOUND"
    assert find_model(str(model_folder(tmp_path)), models).exists()


def test_a_config_whose_model_file_is_missing_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "lines.onnx").unlink()
    with pytest.raises(ConfigError, match=r"lines\.onnx") as caught:
        load_tile_model(folder, threads=1)
    assert caught.value.code == "E_MODEL_NOT_FOUND"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not a config"),
        ("[1]", "not a config"),
        ('{"patch_size": "many", "onnx-model": "lines.onnx"}', "patch_size"),
        ('{"patch_size": 64}', "names no ONNX file"),
        ('{"patch_size": 32, "onnx-model": "lines.onnx"}', "tiles of 64 pixels"),
        ('{"patch_size": 64, "onnx-model": "lines.onnx", "classes": ["line", "image"]}', "gives 1 classes"),
    ],
)
def test_a_broken_config_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    folder = model_folder(tmp_path)
    (folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=fault) as caught:
        load_tile_model(folder, threads=1)
    assert caught.value.code == "E_MODEL_INVALID"


def test_a_model_without_a_class_for_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no class `line`"):
        load_tile_model(model_folder(tmp_path, ("background", "text")), threads=1)


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "lines.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ConfigError, match="not an ONNX model") as caught:
        load_tile_model(folder, threads=1)
    assert caught.value.code == "E_MODEL_INVALID"


def test_a_model_of_one_channel_is_fed_one(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    dark_pixel_model(folder, channels=1)
    model = load_tile_model(folder, threads=1)
    assert model.infer([np.zeros((PATCH, PATCH), np.uint8)])[0].min() > 0.99


def test_a_model_that_takes_no_pictures_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    session = ModelSession(bundled_model_path())
    monkeypatch.setattr(session, "input_shape", ["N", 512])
    with pytest.raises(ConfigError, match="four axes"):
        session.require_image_input()


# --- the default model


def test_the_default_model_is_the_one_in_the_wheel() -> None:
    model = load_line_model(Ldv1Config())
    assert (model.name, model.kind) == ("PP-OCRv6_det_small", "ppocr")
    assert len(model.digest) == 64


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bec_orch.core.extras.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match="'rapidocr', which is not installed") as caught:
        bundled_model_path()
    assert caught.value.code == "E_EXTRA_MISSING"
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert extra_hint("ldv1") in caught.value.hint


def test_a_wheel_without_the_model_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"has no model other\.onnx") as caught:
        bundled_model_path("other.onnx")
    assert caught.value.code == "E_MODEL_NOT_FOUND"
    assert extra_hint("ldv1") in caught.value.hint


def test_the_digest_is_checked() -> None:
    good = load_line_model(Ldv1Config()).digest
    assert load_line_model(Ldv1Config(model_sha256=good)).digest == good
    with pytest.raises(ConfigError, match=good) as caught:
        load_line_model(Ldv1Config(model_sha256="0" * 64))
    assert caught.value.code == "E_MODEL_DIGEST"


def test_a_fetched_folder_stands_in_for_a_url(tmp_path: Path) -> None:
    config = Ldv1Config(model="s3://bucket/models/Lines")
    assert load_line_model(config, model_folder(tmp_path / "Lines")).name == "Lines"


def test_the_input_follows_the_pitch_in_steps_of_32(ppocr: PpocrModel) -> None:
    (item,) = ppocr.view(np.zeros((950, 3000, 3), np.uint8), 61.0).items
    assert item.shape == (384, 1184, 3)
    (item,) = ppocr.view(np.zeros((950, 3000), np.uint8), 40.0).items
    assert item.shape == (576, 1792)


def test_the_input_is_neither_tiny_nor_huge(ppocr: PpocrModel) -> None:
    for size, pitch in [((4000, 3000), 800.0), ((4000, 3000), 5.0), ((30000, 100), None), ((3, 3), None)]:
        (item,) = ppocr.view(np.zeros(size, np.uint8), pitch).items
        assert item.size <= 2.7e6
        assert min(item.shape) >= 32
    assert ppocr.view(np.zeros((4000, 3000), np.uint8), 800.0).items[0].size > 0.25e6


@pytest.mark.parametrize(
    ("width", "height", "factor"),
    [
        (3000, 935, 2),
        (2560, 640, 2),
        (2455, 449, 1),
        (1280, 232, 1),
        (1063, 1418, 1),
        (2550, 3300, 2),
        (3800, 5600, 4),
        (8775, 1627, 2),
        (11712, 2848, 4),
        (15000, 13000, 8),
    ],
)
def test_pages_are_decoded_as_small_as_they_may(width: int, height: int, factor: int) -> None:
    assert reduce_factor(width, height) == factor


def test_what_is_marked_on_blank_paper_is_taken_out(ppocr: PpocrModel) -> None:
    paper = np.full((320, 640), 220, np.uint8)
    paper[100:110, 100:300:4] = 60
    view = ppocr.view(paper, None)
    marked = np.zeros((view.height, view.width), np.float32)
    top, bottom = (round(y * view.height / 320) for y in (98, 112))
    left, right = (round(x * view.width / 640) for x in (100, 300))
    marked[top:bottom, left:right] = 0.9
    assert np.array_equal(ppocr.probability(view, [marked]), marked)
    marked[-60:-20, 50:500] = 0.9
    assert not ppocr.probability(view, [marked])[-60:-20].any()
    assert ppocr.probability(view, [marked])[top:bottom, left:right].all()


def test_sessions_have_the_threads_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = onnxruntime.InferenceSession

    def opened(path: str, options: object, **more: object) -> object:
        seen.append(options.intra_op_num_threads)  # type: ignore[attr-defined]
        return real(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    load_line_model(Ldv1Config(intra_op_threads=3, model=str(model_folder(tmp_path))))
    assert seen == [3]


def test_only_what_changes_the_lines_changes_the_config_hash() -> None:
    assert Ldv1Config(intra_op_threads=4).output_hash() == Ldv1Config().output_hash()
    assert Ldv1Config(line_pitch=30).output_hash() != Ldv1Config().output_hash()
