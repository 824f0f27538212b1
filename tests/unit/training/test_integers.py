"""The recogniser in integers: what it reads, what it carries, and which weights it keeps as they are."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT
from training.reader.integers import Shown, composed, in_integers
from training.reader.picture import Picture

STEPS, FEATURES, SEVEN_BITS = 24, 8, 64
Floats = NDArray[np.float32]


def network_file(path: Path) -> Path:
    """Four convolutions as in the recogniser: the first, one of all features, one of each by itself, the last."""
    rng = np.random.default_rng(3)
    shapes = {"first": (FEATURES, 1, HEIGHT, 4), "wide": (FEATURES, FEATURES, 1, 1), "along": (FEATURES, 1, 1, 3)}
    shapes["last"] = (3, FEATURES, 1, 1)
    weights = {name: rng.standard_normal(shape).astype(np.float32) / 8 for name, shape in shapes.items()}
    nodes, given = [], "lines"
    for name in shapes:
        out = "maps" if name == "last" else f"{name}_out"
        more: dict[str, Any] = {"strides": [HEIGHT, 4]} if name == "first" else {}
        more |= {"group": FEATURES, "pads": [0, 1, 0, 1]} if name == "along" else {}
        nodes.append(helper.make_node("Conv", [given, name], [out], name=name, **more))
        given = out
    nodes.append(helper.make_node("Softmax", ["maps"], ["chances"], axis=1))
    graph = helper.make_graph(
        nodes,
        "reader",
        [helper.make_tensor_value_info("lines", TensorProto.FLOAT, ["lines", 1, HEIGHT, "width"])],
        [helper.make_tensor_value_info("chances", TensorProto.FLOAT, ["lines", 3, 1, "steps"])],
        [numpy_helper.from_array(each, name) for name, each in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.save(model, str(path))
    return path


def lines(count: int) -> list[Floats]:
    rng = np.random.default_rng(5)
    return [rng.random((1, 1, HEIGHT, 4 * STEPS), dtype=np.float32) for _ in range(count)]


def chances(path: Path, line: Floats) -> Floats:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"lines": line})[0], np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("integers")
    whole = network_file(folder / "whole.onnx")
    in_integers(whole, folder / "integers.onnx", lines(12), {"symbols": "ཀཁ"})
    return whole, folder / "integers.onnx"


def test_integers_give_what_floating_point_gives_for_lines_of_any_width(files: tuple[Path, Path]) -> None:
    for line in (lines(1)[0], lines(1)[0][..., : 4 * (STEPS // 2)]):
        wanted, found = (chances(file, line) for file in files)
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 0.05
        assert np.abs(found - wanted).max() > 0


def test_the_facts_go_into_the_file(files: tuple[Path, Path]) -> None:
    model = onnx.load(str(files[1]))
    assert {each.key: each.value for each in model.metadata_props}["symbols"] == "ཀཁ"


def test_weights_of_all_features_have_seven_bits_and_the_others_stay(files: tuple[Path, Path]) -> None:
    stored = [numpy_helper.to_array(each) for each in onnx.load(str(files[1])).graph.initializer]
    integers = [each for each in stored if each.dtype == np.int8 and each.ndim == 4]
    assert [each.shape for each in integers] == [(FEATURES, FEATURES, 1, 1)]
    assert np.abs(integers[0].astype(int)).max() <= SEVEN_BITS
    whole = {each.shape for each in stored if each.dtype == np.float32 and each.ndim == 4}
    assert whole == {(FEATURES, 1, HEIGHT, 4), (FEATURES, 1, 1, 3), (3, FEATURES, 1, 1)}


def test_each_line_is_shown_once() -> None:
    shown = Shown(lines(2))
    assert [given is not None for given in (shown.get_next(), shown.get_next(), shown.get_next())] == [
        True,
        True,
        False,
    ]


class Composing:
    """Composes blank lines, and keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def picture(self, rng: np.random.Generator, width: int, kind: str) -> Picture:
        self.asked.append(kind)
        return Picture(rng.integers(0, 256, (HEIGHT, width), np.uint8), "")


def test_lines_of_each_kind_are_composed_and_the_same_ones_again() -> None:
    composer = Composing()
    one, again = ([*composed(composer, 7, 4)] for _ in range(2))  # type: ignore[arg-type]
    assert [line.shape[:3] for line in one] == [(1, 1, HEIGHT)] * 4
    assert all(np.array_equal(*pair) for pair in zip(one, again, strict=True))
    assert not np.array_equal(one[0], one[1])
    assert len(set(composer.asked)) > 1
