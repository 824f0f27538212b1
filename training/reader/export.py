"""Export a trained recogniser to ONNX in integers, and check that onnxruntime and OpenVINO read the same with it.

    python -m training.reader.export RUN/last.pt --out FILE.onnx [--data DIR] [--confidence FILE]

In floating point both have to return what torch does; in integers, on composed lines, the same symbol at nearly
each step. The file carries its symbols, and, where a table of confidences was made, that too. Beside it a `.json` is
written.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT
from training.exporting import Engines, tell, write_onnx
from training.reader.integers import composed, in_integers
from training.reader.material import composer_of
from training.reader.network import ReaderNetwork, Served
from training.reader.symbols import SYMBOLS
from training.shared import DATA, Floats

MOST_BYTES = 12 * 1024 * 1024
TOLERANCE = 1e-3
"""Probabilities may differ by this much between engines in f32."""
TRIED = (64, 512, 2048)
SHOWN, SHOWN_SEED = 100, 991
"""Composed lines that the ranges of the integers are taken from..."""
ASKED, ASKED_SEED = 60, 992
"""... and others, on which they are asked."""
AGREED = 0.985
"""Share of the steps at which integers have to give the symbol that floating point gives."""


def served(path: Path) -> tuple[Served, dict[str, int]]:
    """Read a run's mean weights, and where it stood."""
    state = torch.load(path, weights_only=True)
    network = ReaderNetwork()
    network.load_state_dict(state["mean"])
    return Served(network).eval(), {name: int(state[name]) for name in ("step", "spent", "seed")}


def export(network: Served, out: Path) -> None:
    """Write the network in floating point, for lines of any width."""
    axes = {"lines": {0: "lines", 3: "width"}, "chances": {0: "lines", 1: "steps"}}
    write_onnx(network, torch.zeros(1, 1, HEIGHT, 512), out, axes, MOST_BYTES, {})


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


def agreement(whole: Path, integers: Path, lines: Sequence[Floats]) -> dict[str, float]:
    """Return for both engines at which share of the steps integers give the symbol that floating point gives."""
    floating, integer = Engines(whole), Engines(integers)
    same: dict[str, list[bool]] = {}
    for line in lines:
        wanted = floating.outputs(line)["onnxruntime"].argmax(2)
        for engine, found in integer.outputs(line).items():
            same.setdefault(engine, []).extend((found.argmax(2) == wanted).ravel().tolist())
    return {engine: float(np.mean(each)) for engine, each in same.items()}


def main() -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--confidence", type=Path, help="table that `training.reader.judge` made")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, stood = served(options.state)
    facts = {"symbols": SYMBOLS}
    if options.confidence:
        facts["confidence"] = options.confidence.read_text("utf-8")
    composer = composer_of(options.data, [])
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.onnx"
        export(network, whole)
        apart = differences(network, whole)
        in_integers(whole, options.out, [*composed(composer, SHOWN_SEED, SHOWN)], facts)
        agreed = agreement(whole, options.out, [*composed(composer, ASKED_SEED, ASKED)])
    told = {"training": stood, "largest_difference_from_torch": apart, "tolerance": TOLERANCE, "agreement": agreed}
    tell(options.out, network, told)
    if max(apart.values()) > TOLERANCE:
        raise SystemExit("error: the engines differ by more than the tolerance.")
    if min(agreed.values()) < AGREED:
        raise SystemExit("error: integers do not read what floating point reads.")


if __name__ == "__main__":
    main()
