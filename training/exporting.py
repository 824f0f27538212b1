"""What the export of both networks does alike: an ONNX file, and what onnxruntime and OpenVINO make of it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
from torch import Tensor, nn

from training.shared import Floats, parameters

OPSET = 17
Axes = Mapping[str, Mapping[int, str]]


def write_onnx(
    network: nn.Module, example: Tensor, out: Path, axes: Axes, most_bytes: int, facts: Mapping[str, str]
) -> None:
    """Write a network with one input and one output, and facts about it, as a file of so many bytes at most.

    Args:
        network: in the state in which it is used.
        example: an input.
        out: the file.
        axes: names of the input and of the output, each with those of its axes that are of any size.
        most_bytes: a larger file ends the program.
        facts: texts that go into the file.
    """
    given, returned = axes
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        network,
        (example,),
        str(out),
        input_names=[given],
        output_names=[returned],
        dynamic_axes={name: dict(sizes) for name, sizes in axes.items()},
        opset_version=OPSET,
        dynamo=False,
    )
    if facts:
        model = onnx.load(str(out))
        onnx.helper.set_model_props(model, dict(facts))
        onnx.save(model, str(out))
    onnx.checker.check_model(str(out), full_check=True)
    size = out.stat().st_size
    if size > most_bytes:
        raise SystemExit(f"error: {out} has {size} bytes, more than {most_bytes}.")


class Engines:
    """Runs an exported file in both engines, in f32."""

    def __init__(self, path: Path) -> None:
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def outputs(self, given: Floats) -> Mapping[str, Floats]:
        """Return what each engine makes of an input."""
        (name,) = (each.name for each in self._session.get_inputs())
        found = {"onnxruntime": self._session.run(None, {name: given})[0], "openvino": self._compiled(given)[0]}
        return {engine: np.asarray(output, np.float32) for engine, output in found.items()}


def tell(out: Path, network: nn.Module, facts: Mapping[str, Any]) -> None:
    """Write beside an exported file what it is, and print it."""
    data = out.read_bytes()
    told = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "parameters": parameters(network),
        **facts,
    }
    text = json.dumps(told, indent=2)
    out.with_suffix(".json").write_text(f"{text}\n", "utf-8")
    print(text)
