"""Export a trained recogniser to ONNX, and check that onnxruntime and OpenVINO return the same.

    python -m training.reader.export RUN/last.pt --out FILE.onnx [--confidence FILE]

The file carries its symbols, and, where a table of confidences was made, that too. Beside it a `.json` is written.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT
from training.exporting import Engines, tell, write_onnx
from training.reader.network import ReaderNetwork, Served
from training.reader.symbols import SYMBOLS

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
    write_onnx(network, torch.zeros(1, 1, HEIGHT, 512), out, axes, MOST_BYTES, facts)


def differences(network: Served, out: Path) -> dict[str, float]:
    """Run the file in both engines: the largest differences of a probability from torch."""
    engines, rng = Engines(out), np.random.default_rng(1)
    found: dict[str, float] = {}
    for width in TRIED:
        line = np.clip(rng.standard_normal((1, 1, HEIGHT, width), dtype=np.float32), -0.5, 1.5)
        with torch.no_grad():
            expected = network(torch.from_numpy(line)).numpy()
        for engine, chances in engines.outputs(line).items():
            found[engine] = max(found.get(engine, 0.0), float(np.abs(expected - chances).max()))
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
    tell(options.out, network, {"training": stood, "largest_difference_from_torch": apart, "tolerance": TOLERANCE})
    if max(apart.values()) > TOLERANCE:
        raise SystemExit("error: the engines differ by more than the tolerance.")


if __name__ == "__main__":
    main()
