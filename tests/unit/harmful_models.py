"""ONNX files and Tesseract languages that are made to do harm, made for the tests."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PATCH = 64
_IN, _OUT = ["N", 3, PATCH, PATCH], ["N", 1, PATCH, PATCH]


def saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    tensors: Mapping[str, np.ndarray[Any, Any]] | None = None,
    *,
    stored: tuple[onnx.TensorProto, ...] = (),
    inputs: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("y",),
    kind: int = TensorProto.FLOAT,
    domains: tuple[str, ...] = (),
) -> Path:
    """Write a model that takes tiles of three colours and returns maps."""
    graph = helper.make_graph(
        nodes,
        "harm",
        [helper.make_tensor_value_info(name, kind, _IN) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, _OUT) for name in outputs],
        [*(numpy_helper.from_array(value, name) for name, value in (tensors or {}).items()), *stored],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def mean(of: str = "x", name: str = "y") -> onnx.NodeProto:
    return helper.make_node("ReduceMean", [of], [name], axes=[1])


def plain(path: Path) -> Path:
    return saved(path, [mean()])


def not_numbers(path: Path) -> Path:
    nodes = [mean(name="m"), helper.make_node("Sub", ["m", "m"], ["z"]), helper.make_node("Div", ["z", "z"], ["y"])]
    return saved(path, nodes)


def smaller_map(path: Path) -> Path:
    shrink = helper.make_node("MaxPool", ["m"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    return saved(path, [mean(name="m"), shrink])


def of_whole_numbers(path: Path) -> Path:
    return saved(
        path, [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), mean("f")], kind=TensorProto.INT64
    )


def of_two_inputs(path: Path) -> Path:
    return saved(path, [helper.make_node("Add", ["x", "x2"], ["s"]), mean("s")], inputs=("x", "x2"))


def without_outputs(path: Path) -> Path:
    return saved(path, [mean()], outputs=())


def of_an_unknown_domain(path: Path) -> Path:
    return saved(path, [helper.make_node("Evil", ["x"], ["y"], domain="evil.org")], domains=("evil.org",))


def of_all_memory(path: Path) -> Path:
    """It fills a matrix of 4 TiB as it runs."""
    fill = helper.make_node("ConstantOfShape", ["shape"], ["c"])
    total = helper.make_node("ReduceSum", ["c"], ["s"], keepdims=0)
    nodes = [fill, total, mean(name="m"), helper.make_node("Add", ["m", "s"], ["y"])]
    return saved(path, nodes, {"shape": np.array([2**20, 2**20])})


def without_end(path: Path) -> Path:
    """It goes round 2**62 times."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    start = helper.make_node("ReduceMean", ["x"], ["v0"], axes=[0, 1, 2, 3], keepdims=0)
    loop = helper.make_node("Loop", ["times", "true", "v0"], ["l"], body=body)
    tensors = {"times": np.array(2**62), "true": np.array(True)}
    return saved(path, [start, loop, mean(name="m"), helper.make_node("Add", ["m", "l"], ["y"])], tensors)


def with_weights_in(path: Path, file: str, size: int = 16) -> Path:
    """A model whose weights lie in another file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[size // 4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", file), ("length", str(size))):
        weights.external_data.add(key=key, value=value)
    total = helper.make_node("ReduceSum", ["w", "axes"], ["s"], keepdims=0)
    nodes = [mean(name="m"), total, helper.make_node("Add", ["m", "s"], ["y"])]
    return saved(path, nodes, {"axes": np.array([0])}, stored=(weights,))


def traineddata(parts: Mapping[int, bytes], count: int = 24) -> bytes:
    """Put the components of a language of Tesseract together."""
    offsets, body, head = [], b"", 4 + 8 * count
    for number in range(count):
        offsets.append(head + len(body) if number in parts else -1)
        body += parts.get(number, b"")
    return struct.pack(f"<i{count}q", count, *offsets) + body


def components(data: bytes) -> dict[int, bytes]:
    """Take a language of Tesseract apart."""
    (count,) = struct.unpack_from("<i", data)
    offsets = [*struct.unpack_from(f"<{count}q", data, 4)]
    there = [offset for offset in offsets if offset >= 0] + [len(data)]
    return {
        number: data[offset : there[there.index(offset) + 1]] for number, offset in enumerate(offsets) if offset >= 0
    }
