"""The network's file, its contract, and how it sees a page."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bec_orch.errors import ConfigError
from bec_orch.jobs.ldv1.bec import network as module
from bec_orch.jobs.ldv1.bec.network import MOST_PIXELS, bundled_network
from bec_orch.jobs.ldv1.bec.network_input import CONTRACT, MULTIPLE, OUTPUTS, Bytes, normalised, padded
from bec_orch.jobs.ldv1.config import Ldv1Config
from bec_orch.jobs.ldv1.loading import load_detector
from bec_orch.jobs.shared.geometry import transform
from tests.unit.ldv1.drawn_maps import DarkPixels, network


def half_size_model(file: Path) -> str:
    """Write a network of the right shape, and return its digest."""
    weights = np.zeros((len(OUTPUTS), 1, 2, 2), np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["page", "weights"], ["maps"], strides=[2, 2])],
        "maps",
        [helper.make_tensor_value_info("page", TensorProto.FLOAT, ["pages", 1, "height", "width"])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["pages", len(OUTPUTS), "half", "wide"])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The card of a network that stands for the package's."""
    monkeypatch.setattr(module, "FILE", tmp_path / "lines.onnx")
    told = {"sha256": half_size_model(module.FILE), "input": dict(CONTRACT), "outputs": list(OUTPUTS)}
    module.FILE.with_suffix(".json").write_text(json.dumps(told))
    return told


def test_the_network_of_the_package_is_opened(card: dict[str, Any]) -> None:
    opened = bundled_network(1)
    assert (opened.name, opened.digest) == ("bec-lines", card["sha256"])
    view = opened.view(np.full((90, 200), 255, np.uint8), 24.0)
    (output,) = opened.infer([view.pixels])
    assert output.shape == (len(OUTPUTS), 48, 112)
    assert opened.maps(view, output).shape == (len(OUTPUTS), 45, 100)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("sha256", "0" * 64, "E_MODEL_DIGEST"),
        ("outputs", ["text"], "E_MODEL_INVALID"),
        ("input", {**CONTRACT, "pitch": 32.0}, "E_MODEL_INVALID"),
    ],
)
def test_a_network_that_is_not_what_its_card_says_is_refused(
    card: dict[str, Any], field: str, value: object, code: str
) -> None:
    module.FILE.with_suffix(".json").write_text(json.dumps({**card, field: value}))
    with pytest.raises(ConfigError) as caught:
        bundled_network(1)
    assert caught.value.code == code


@pytest.mark.parametrize("model", ["bec", "auto"])
def test_a_config_may_pin_the_network(card: dict[str, Any], model: str) -> None:
    assert load_detector(Ldv1Config(model=model, model_sha256=card["sha256"])).models[0].digest == card["sha256"]
    with pytest.raises(ConfigError, match="bec-lines") as caught:
        load_detector(Ldv1Config(model=model, model_sha256="0" * 64))
    assert caught.value.code == "E_MODEL_DIGEST"


def test_auto_has_both_models(card: dict[str, Any]) -> None:
    names = [model.name for model in load_detector(Ldv1Config(model="auto")).models]
    assert names[0] == "bec-lines"
    assert names[1].startswith("PP-OCR")


def test_a_view_maps_back_to_the_page() -> None:
    view = network(DarkPixels()).view(np.full((500, 1000), 255, np.uint8), 48.0)
    assert view.shown == (500, 250)
    assert view.pixels.shape == (256, 512)
    corner = transform(np.array([[-0.5, -0.5], [249.5, 124.5]]), view.to_image)
    assert corner == pytest.approx(np.array([[-0.5, -0.5], [999.5, 499.5]]))


def test_no_view_is_larger_than_what_one_run_may_take() -> None:
    view = network(DarkPixels()).view(np.full((2000, 3000), 255, np.uint8), 3.0)
    assert view.shown[0] * view.shown[1] <= MOST_PIXELS * 1.01


def test_the_input_is_measured_against_its_surroundings() -> None:
    rng = np.random.default_rng(1)
    page = np.full((200, 300), 200, np.uint8)
    page[50:150:6, 30:270] = 20
    dim = (page * 0.4 + 20).astype(np.uint8)
    assert np.abs(normalised(page) - normalised(dim)).mean() < 0.05
    assert np.abs(normalised(np.full((80, 80), 180, np.uint8))).max() == 0
    wide = padded(rng.integers(0, 255, (33, 65)).astype(np.uint8))
    assert wide.shape == (2 * MULTIPLE, 3 * MULTIPLE)


def test_what_shines_through_stays_paler_than_text() -> None:
    page = np.full((600, 600), 230, np.uint8)
    page[20:400, ::3] = 40
    page[420:600, ::3] = 200

    def contrast(grey: Bytes) -> float:
        return float(np.ptp(normalised(grey)[40:-40]))

    assert contrast(page[420:]) == pytest.approx(contrast(page[20:400]), rel=0.1), "alone, pale text is as good as dark"
    assert float(np.ptp(normalised(page)[470:560])) < 0.5 * contrast(page[20:400])
