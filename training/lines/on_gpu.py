"""Compose, train several seeds and a wider network at once, and export all of them: ten minutes of a GPU.

    python -m training.lines.on_gpu --out DIR [--data DIR] [--pages 6000] [--steps 4000] [--seeds 1 2 3] [--wide 1.5]

It needs the packages of `training/requirements.txt`, with a torch for the GPU, and the material that
`training/README.md` names. What it did not come to in `--minutes` stands at its last save: the same command goes on
from there. At the end it prints a table of what each network reaches on crops that none was trained on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from training.shared import DATA

HELD_OUT_PAGES, HELD_OUT_SEED = 240, 1000
EXPORT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Planned:
    """A training run: its folder, its seed, and the factor of the network's widths."""

    folder: Path
    seed: int
    wide: float

    def training(self, crops: Path, steps: int, batch: int, device: str, minutes: float) -> list[str]:
        """Return the command that trains it for some minutes."""
        facts = {"data": crops, "out": self.folder, "steps": steps, "seed": self.seed, "wide": self.wide}
        return module("train", {**facts, "batch": batch, "device": device, "minutes": minutes}, "--resume")

    def exporting(self, held_out: Path) -> list[str]:
        """Return the command that exports what was trained, and measures it."""
        return module("export", {"out": self.model, "held-out": held_out}, str(self.folder / "last.pt"))

    @property
    def model(self) -> Path:
        """The exported file."""
        return self.folder.with_suffix(".onnx")


def planned(out: Path, seeds: list[int], wide: float) -> list[Planned]:
    """Return a run for each seed, and one of the first seed with a wider network."""
    usual = [Planned(out / f"seed-{seed}", seed, 1.0) for seed in seeds]
    return [*usual, Planned(out / f"wide-{seeds[0]}", seeds[0], wide)] if wide != 1.0 else usual


def module(name: str, options: dict[str, object], *more: str) -> list[str]:
    """Return the command that runs a module of this package."""
    named = [part for option, value in options.items() for part in (f"--{option}", str(value))]
    return [sys.executable, "-m", f"training.lines.{name}", *more, *named]


def at_once(commands: list[list[str]]) -> None:
    """Run commands beside each other, and wait for all; the first that failed ends the script."""
    running = [subprocess.Popen(command) for command in commands]  # noqa: S603  (own modules)
    failed = [command for command, process in zip(commands, running, strict=True) if process.wait()]
    if failed:
        raise SystemExit(f"error: this command failed: {' '.join(failed[0])}")


def table(runs: list[Planned]) -> str:
    """Return what each exported network reaches on the crops held out, the best first."""
    facts = [(json.loads(run.model.with_suffix(".json").read_text("utf-8")), run) for run in runs]
    rows = [
        (each["held_out"]["loss"], run.folder.name, each["parameters"], each["training"]["step"], each["held_out"])
        for each, run in facts
    ]
    lines = [
        f"{name}\t{size:,} parameters\t{step} steps\t" + "\t".join(f"{key} {value}" for key, value in held.items())
        for _, name, size, step, held in sorted(rows, key=lambda row: row[0])
    ]
    return "\n".join(lines)


def main() -> None:
    """Do all of it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with line_images and fonts_text")
    parser.add_argument("--pages", type=int, default=6000)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--wide", type=float, default=1.5, help="factor of the widths of one more network; 1 for none")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="for composing")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of it")
    options = parser.parse_args()
    started = time.monotonic()
    crops, held_out = options.out / "crops", options.out / "held-out"
    shared = {"data": options.data, "processes": options.processes}
    held = {"out": held_out, "pages": HELD_OUT_PAGES, "seed": HELD_OUT_SEED}
    at_once([module("compose", {**shared, **held})])
    at_once([module("compose", {**shared, "out": crops, "pages": options.pages})])
    left = options.minutes - (time.monotonic() - started + EXPORT_SECONDS) / 60
    runs = planned(options.out, options.seeds, options.wide)
    at_once([run.training(crops, options.steps, options.batch, options.device, left) for run in runs])
    at_once([run.exporting(held_out) for run in runs])
    print(table(runs))


if __name__ == "__main__":
    main()
