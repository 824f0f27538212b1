"""Line images that spell symbols, recognisers (real ONNX files) that read them, and rows of found lines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pyarrow as pa
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bec_orch.core.volumes import Manifest, Page, PageOutcome, PageState
from bec_orch.io.artefacts.rows import outcomes_table
from bec_orch.jobs.ldv1 import worker as ldv1
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.shared.geometry import bounding_box
from tests.unit.fakes import VOLUME

Grey = NDArray[np.uint8]

HEIGHT, WIDTH = 40, 640
BANDS = 4
STEP = 4
"""Columns of one step of the recognisers."""
BAR = 3 * STEP
WYLIE = "kha§"
"""One symbol per band: what a bar in that band spells."""


def spelled(bands: Sequence[int], height: int = HEIGHT) -> Grey:
    """A line image: a full-height mark, a bar in the band of each symbol, and another mark."""
    unit = height * BAR // HEIGHT
    picture = np.full((height, unit * (2 * len(bands) + 3)), 255, np.uint8)
    picture[:, :unit] = picture[:, -unit:] = 0
    for place, band in enumerate(bands):
        left = unit * (2 + 2 * place)
        top, bottom = (round((band + part) * height / BANDS) for part in (0.2, 0.8))
        picture[top:bottom, left : left + unit] = 0
    return picture


def wylie_bands(text: str) -> list[int]:
    return [WYLIE.index(char) for char in text]


def band_model(
    path: Path,
    classes: Sequence[int | None],
    *,
    shape: tuple[int, int] = (WIDTH, HEIGHT),
    squeeze: bool = True,
    swap: bool = False,
    steps_first: bool = True,
    lines_second: bool = False,
    batch: int | str = "N",
) -> None:
    """Write a real ONNX recogniser: at each step, class `c` is likely where band `classes[c]` alone is dark.

    Classes of band None are blanks: the first of them is likely where no band, or every band, is dark.
    """
    width, height = shape
    size = height // BANDS
    weights = np.zeros((len(classes), 1, height, STEP), np.float32)
    bias = np.full(len(classes), -99, np.float32)
    bias[classes.index(None)] = 0
    for number, band in enumerate(classes):
        if band is not None:
            # 20 * (darkness of the band - darkness of the others) - 4, where a pixel's darkness is (1 - value) / 2
            weights[number] = 10 / (size * STEP)
            weights[number, :, band * size : (band + 1) * size] *= -1
            bias[number] = 10 * (2 - BANDS) - 4
    nodes, name = [], "input"
    if not squeeze:
        nodes.append(helper.make_node("Squeeze", [name, "one"], ["flat"]))
        name = "flat"
    if swap:
        nodes.append(helper.make_node("Transpose", [name], ["upright"], perm=[0, 2, 1]))
        name = "upright"
    nodes += [
        helper.make_node("Unsqueeze", [name, "one"], ["image"]),
        helper.make_node("Conv", ["image", "weights", "bias"], ["maps"], strides=[height, STEP]),
        helper.make_node("Squeeze", ["maps", "two"], ["by_class"]),
        helper.make_node(
            "Transpose", ["by_class"], ["output"], perm=_order(steps_first=steps_first, lines_second=lines_second)
        ),
    ]
    axes = [width, height] if swap else [height, width]
    graph = helper.make_graph(
        nodes,
        "bands",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, *([] if squeeze else [1]), *axes])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(np.array([2]), "two"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def _order(*, steps_first: bool, lines_second: bool) -> list[int]:
    if lines_second:
        return [2, 0, 1]
    return [0, 2, 1] if steps_first else [0, 1, 2]


def model_folder(folder: Path, classes: Sequence[int | None] = (None, 0, 1, 2, 3), **config: Any) -> Path:
    """A model folder; keywords are entries of its config (None: leave out), and options of `band_model`."""
    options = {name: config.pop(name) for name in ("steps_first", "lines_second", "batch") if name in config}
    values: dict[str, Any] = {
        "onnx-model": "OCRModel.onnx",
        "input_width": WIDTH,
        "input_height": HEIGHT,
        "input_layer": "input",
        "output_layer": "output",
        "squeeze_channel_dim": "yes",
        "swap_hw": "no",
        "encoder": "wylie",
        "add_blank": "yes",
        "charset": WYLIE,
    }
    values |= {name.replace("onnx_model", "onnx-model"): value for name, value in config.items()}
    folder.mkdir(parents=True)
    told = {name: value for name, value in values.items() if value is not None}
    (folder / "model_config.json").write_text(json.dumps(told), encoding="utf-8")
    shape = (int(values["input_width"]), int(values["input_height"]))
    squeeze, swap = values["squeeze_channel_dim"] != "no", values["swap_hw"] == "yes"
    band_model(folder / "OCRModel.onnx", classes, shape=shape, squeeze=squeeze, swap=swap, **options)
    return folder


def page_of(lines: Sequence[Grey], width: int = 900, gap: int = 60) -> tuple[Grey, PageLines]:
    """A page with these line images below each other, and where they are."""
    height = sum(line.shape[0] + gap for line in lines) + gap
    page = np.full((height, width), 240, np.uint8)
    top, contours = gap, []
    for line in lines:
        page[top : top + line.shape[0], 50 : 50 + line.shape[1]] = np.minimum(line, 240)
        contours.append(box_contour(50, top, *line.shape[::-1]))
        top += line.shape[0] + gap
    return page, lines_at(page, contours)


def box_contour(x: int, y: int, width: int, height: int) -> NDArray[np.int32]:
    right, bottom = x + width - 1, y + height - 1
    return np.array([[x, y], [right, y], [right, bottom], [x, bottom]], np.int32)


def lines_at(page: Grey, contours: Sequence[NDArray[np.int32]], **more: Any) -> PageLines:
    """One line per contour."""
    return PageLines(
        width=page.shape[1],
        height=page.shape[0],
        contours=tuple(contours),
        bboxes=tuple(bounding_box(contour) for contour in contours),
        line_ids=tuple(range(len(contours))),
        scores=(1.0,) * len(contours),
        **more,
    )


def line_rows(pages: dict[str, PageLines | PageOutcome]) -> pa.Table:
    """The artefact of an `ldv1` job: rows by file name; an outcome in place of lines keeps its state and reason."""
    manifest = Manifest(VOLUME, "0" * 32, tuple(Page(index, name) for index, name in enumerate(pages)))
    outcomes = [
        found if isinstance(found, PageOutcome) else PageOutcome(index, PageState.OK, "etag", ldv1.row_of(found))
        for index, found in enumerate(pages.values())
    ]
    return outcomes_table(outcomes, manifest, ldv1.SCHEMA).drop_columns(["page"])


def png(image: Grey) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])
