"""The script for a machine with a GPU: which commands it runs, and what it makes of them."""

import json
import sys
from pathlib import Path

import pytest

from training.lines.on_gpu import at_once, module, planned, table


def test_each_seed_is_trained_and_a_wider_network_beside_them(tmp_path: Path) -> None:
    runs = planned(tmp_path, [4, 5], 1.5)
    assert [(run.seed, run.wide) for run in runs] == [(4, 1.0), (5, 1.0), (4, 1.5)]
    assert len({run.folder for run in runs}) == 3
    assert planned(tmp_path, [4], 1.0) == runs[:1]


def test_commands_name_what_the_modules_ask_for(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, [4], 1.0)
    command = run.training(tmp_path / "crops", 100, 32, "cuda", 2.5)
    assert command[:4] == [sys.executable, "-m", "training.lines.train", "--resume"]
    assert command[command.index("--minutes") + 1] == "2.5"
    assert run.exporting(tmp_path / "held")[2:4] == ["training.lines.export", str(tmp_path / "seed-4" / "last.pt")]


def test_a_composing_process_of_the_script_says_its_options() -> None:
    at_once([[*module("compose", {}), "--help"]])


def test_a_command_that_fails_ends_the_script() -> None:
    with pytest.raises(SystemExit, match="this command failed"):
        at_once([[sys.executable, "-c", "pass"], [sys.executable, "-c", "raise SystemExit(3)"]])


def test_the_best_of_the_networks_stands_first(tmp_path: Path) -> None:
    runs = planned(tmp_path, [4, 5], 1.0)
    for run, loss in zip(runs, (0.4, 0.3), strict=True):
        facts = {"parameters": 831606, "training": {"step": 50}, "held_out": {"loss": loss}}
        run.model.with_suffix(".json").write_text(json.dumps(facts), "utf-8")
    assert [line.split("\t")[0] for line in table(runs).splitlines()] == ["seed-5", "seed-4"]
