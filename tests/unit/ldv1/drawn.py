"""Pages, maps and models drawn for the tests, with known lines."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

PATCH = 64


def bar(
    picture: NDArray[np.uint8] | NDArray[np.float32],
    start: tuple[float, float],
    end: tuple[float, float],
    thickness: int,
    value: float,
) -> None:
    """Draw a straight piece of a line; the ends are points (x, y) of its middle."""
    along = np.array(end, float) - start
    across = np.array([-along[1], along[0]]) / np.hypot(*along) * thickness / 2
    corners = np.array([start + across, end + across, end - across, start - across])
    cv2.fillConvexPoly(picture, np.rint(corners * 16).astype(np.int32), value, shift=4)


def marked(
    size: tuple[int, int], bars: Iterable[tuple[float, float, float, float]], thickness: int = 9
) -> NDArray[np.float32]:
    """A probability map (width, height) with bars (x, y, end x, end y) of probability 0.95."""
    picture = np.zeros((size[1], size[0]), np.float32)
    for x, y, end_x, end_y in bars:
        bar(picture, (x, y), (end_x, end_y), thickness, 0.95)
    return picture


def page(
    size: tuple[int, int], bars: Iterable[tuple[float, float, float, float]], thickness: int = 12
) -> NDArray[np.uint8]:
    """A grey page (width, height) with black bars (x, y, end x, end y) on white."""
    picture = np.full((size[1], size[0]), 255, np.uint8)
    for x, y, end_x, end_y in bars:
        bar(picture, (x, y), (end_x, end_y), thickness, 0)
    return picture


def dark_pixel_model(
    folder: Path, classes: Sequence[str] = (), *, channels: int = 3, outputs: int | None = None
) -> None:
    """Write a real ONNX file of the published shape, whose logit of a line is high where the tile is dark.

    The weights of a 1x1 convolution: 20 * (0.5 - mean of the channels) for the line, 0 for every other class.
    """
    count = outputs or max(1, len(classes))
    line = classes.index("line") if "line" in classes else 0
    weights = np.zeros((count, channels, 1, 1), np.float32)
    weights[line] = -20 / channels
    bias = np.zeros(count, np.float32)
    bias[line] = 10
    graph = helper.make_graph(
        [helper.make_node("Conv", ["input", "weights", "bias"], ["output"])],
        "dark_pixels",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", channels, PATCH, PATCH])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", count, PATCH, PATCH])],
        [onnx.numpy_helper.from_array(weights, "weights"), onnx.numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "lines.onnx"))


def model_folder(folder: Path, classes: Sequence[str] = (), **config: object) -> Path:
    """Write a line model of the library: the ONNX file and `config.json` (by default with `onnx-model`)."""
    dark_pixel_model(folder, classes)
    values: dict[str, object] = {"patch_size": PATCH, **config}
    if not {"onnx-model", "model_file", "cpu-model", "gpu-model"} & values.keys():
        values["onnx-model"] = "lines.onnx"
    if classes:
        values["classes"] = list(classes)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder
