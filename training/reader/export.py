"""Export a trained recogniser to ONNX, and check that onnxruntime and OpenVINO return the same.

    python -m training.reader.export RUN/last.pt --out FILE.onnx [--confidence FILE]

The file carries its symbols, and, where a table of confidences was made, that too. Beside it a `.json` is written.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import torch

from bec_orch.jobs.ocrv1.bec_input import HEIGHT
from training.reader.network import ReaderNetwork, Served
from training.reader.symbols import SYMBOLS
from training.shared import parameters

OPSET = 17
MOST_BYTES = 12 * 1024 * 1024
TOLERANCE = 1e-3
"""Probabilities may differ by this much between engines in f32."""
TRIED = (64, 512, 2048)


def served(path: Path) -> tuple[Served, dict[str, int]]:
    """Read a run's mean weights, and where it stood."""
    state = torch.load(path, weights_only=True)
    network = ReaderNetwork()
    network.load_state_dict(state["mean"])
    return Served(network).eval(), {name: int(state[name]) for name in ("step", "spent", "seed")}


def export(network: Served, out: Path, facts: dict[str, str]) -> None:
    """Write the network, for lines of any width, with facts about it."""
    axes = {"lines": {0: "lines", 3: "width"}, "chances": {0: "lines", 1: "steps"}}
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, HEIGHT, 512),),
        str(out),
        input_names=["lines"],
        output_names=["chances"],
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(str(out))
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, str(out))
    onnx.checker.check_model(str(out), full_check=True)
    size = out.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"error: {out} has {size} bytes, more than {MOST_BYTES}.")


def differences(network: Served, out: Path) -> dict[str, float]:
    """Run the file in both engines: the largest differences of a probability from torch."""
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(str(out), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rng = np.random.default_rng(1)
    found = {"onnxruntime": 0.0, "openvino": 0.0}
    for width in TRIED:
        line = np.clip(rng.standard_normal((1, 1, HEIGHT, width), dtype=np.float32), -0.5, 1.5)
        with torch.no_grad():
            expected = network(torch.from_numpy(line)).numpy()
        given = {"onnxruntime": session.run(None, {"lines": line})[0], "openvino": compiled(line)[0]}
        for engine, chances in given.items():
            found[engine] = max(found[engine], float(np.abs(expected - chances).max()))
    return found


def main() -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--confidence", type=Path, help="table that `training.reader.judge` made")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, stood = served(options.state)
    facts = {"symbols": SYMBOLS}
    if options.confidence:
        facts["confidence"] = options.confidence.read_text("utf-8")
    export(network, options.out, facts)
    apart = differences(network, options.out)
    told = {
        "sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(),
        "bytes": options.out.stat().st_size,
        "parameters": parameters(network),
        "training": stood,
        "largest_difference_from_torch": apart,
        "tolerance": TOLERANCE,
    }
    options.out.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    print(json.dumps(told, indent=2))
    if max(apart.values()) > TOLERANCE:
        raise SystemExit("error: the engines differ by more than the tolerance.")


if __name__ == "__main__":
    main()
