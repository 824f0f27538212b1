"""Export a trained network to ONNX, and check that onnxruntime and OpenVINO return the same.

    python -m training.lines.export RUN/last.pt --out FILE.onnx [--held-out DIR]

Beside the file a `.json` is written: digest, size, where the training stood, what it reaches on crops that it was not
trained on, the input's contract, the differences.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from bec_orch.jobs.ldv1.bec.network_input import CONTRACT, OUTPUTS
from training.exporting import Engines, tell, write_onnx
from training.lines.held_out import measured
from training.lines.network import LineNetwork, Served
from training.shared import Floats

MOST_BYTES = 10 * 1024 * 1024
TOLERANCE = 1e-3
"""Probabilities may differ by this much between engines in f32; offsets, in pixels, by a hundred times as much."""
OFFSET_TOLERANCE = 0.1
TRIED = ((256, 640), (416, 384), (96, 1440))


def served(path: Path) -> tuple[Served, dict[str, int]]:
    """Read a run's mean weights, and where it stood."""
    state = torch.load(path, weights_only=True)
    network = LineNetwork(state["widths"])
    network.load_state_dict(state["mean"])
    return Served(network).eval(), {name: int(state[name]) for name in ("step", "steps", "seed")}


def export(network: Served, out: Path) -> None:
    """Write the network, for pages of any size."""
    axes = {"page": {0: "pages", 2: "height", 3: "width"}, "maps": {0: "pages", 2: "half height", 3: "half width"}}
    write_onnx(network, torch.zeros(1, 1, 256, 640), out, axes, MOST_BYTES, {})


def differences(network: Served, out: Path) -> dict[str, dict[str, float]]:
    """Run the file in both engines: the largest differences from torch of probabilities, and of offsets in pixels."""
    engines, rng = Engines(out), np.random.default_rng(1)
    found: dict[str, dict[str, float]] = {}
    for height, width in TRIED:
        page = np.clip(rng.standard_normal((1, 1, height, width), dtype=np.float32), -3, 3)
        with torch.no_grad():
            expected = network(torch.from_numpy(page)).numpy()
        for engine, maps in engines.outputs(page).items():
            apart = _apart(expected, maps)
            known = found.setdefault(engine, apart)
            found[engine] = {name: max(value, known[name]) for name, value in apart.items()}
    return found


def _apart(expected: Floats, given: Floats) -> dict[str, float]:
    away = np.abs(expected - given)
    chances = np.r_[0:3, 5]
    return {"probability": float(away[:, chances].max()), "offset": float(away[:, 3:5].max())}


def main() -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, help="folder of composed crops of another seed, to measure it on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, stood = served(options.state)
    export(network, options.out)
    apart = differences(network, options.out)
    facts = {
        "training": stood,
        **({"held_out": measured(network.network, options.held_out)} if options.held_out else {}),
        "input": CONTRACT,
        "outputs": list(OUTPUTS),
        "largest_difference_from_torch": apart,
        "tolerance": {"probability": TOLERANCE, "offset": OFFSET_TOLERANCE},
    }
    tell(options.out, network, facts)
    if any(each["probability"] > TOLERANCE or each["offset"] > OFFSET_TOLERANCE for each in apart.values()):
        raise SystemExit("error: the engines differ by more than the tolerance.")


if __name__ == "__main__":
    main()
