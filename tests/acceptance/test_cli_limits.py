"""A current folder that is gone, and limits of the shell: told with a code, a sentence and what to do."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bec_orch.cli import commands
from bec_orch.cli.process.surroundings import ADDRESS_SPACE_OF_JOBS
from bec_orch.cli.program import app
from tests.acceptance.conftest import ROOT, WAIT, Bec, Ended, write_scans
from tests.support.commands import COMMANDS


@pytest.fixture
def gone(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which was removed; the job `toy` is there."""
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    assert bec("jobs", "create", "toy").code == 0
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PWD", str(folder))
    folder.rmdir()
    return folder


@pytest.mark.parametrize(
    "line", ["--home here jobs list", "run toy {scans} --out here", "demo", "worker --job toy --until-empty"]
)
def test_a_command_that_needs_the_current_folder_says_that_it_is_gone(
    bec: Bec, gone: Path, tmp_path: Path, line: str
) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 1})
    ended = bec(*(word.format(scans=scans) for word in line.split()))
    assert ended.code == 2
    assert ended.err.splitlines()[-2:] == [
        f"error E_FOLDER_GONE: The current folder {gone} no longer exists.",
        "hint: Change to a folder that is there (`cd`), and run the same command again.",
    ]


# What does not end by itself, and the arguments with which it does.
ENDLESS = {"worker": ["--until-empty", "--job", "toy"], "serve": ["--port", "99999"]}


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_no_command_takes_a_folder_that_is_gone_for_a_fault_of_the_program(bec: Bec, gone: Path, words: str) -> None:
    for more in ([], ["toy"], ["x", "y", "z"]):
        ended = bec(*words.split(), *ENDLESS.get(words, more))
        assert "E_INTERNAL" not in ended.err, more


def limited(kind: int, limit: int, *arguments: str) -> Ended:
    """Run the program under a limit."""
    command = [sys.executable, "-m", "bec_orch.cli.main", *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT,
        preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)),
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("mebibytes", [150, 300])
@pytest.mark.parametrize("line", ["jobs list", "doctor", "queue enqueue toy --all", "run toy /scans", "worker --job x"])
def test_a_small_address_space_is_reported_before_libraries_crash(
    plain_settings: None, monkeypatch: pytest.MonkeyPatch, line: str, mebibytes: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ended = limited(resource.RLIMIT_AS, mebibytes * 2**20, *line.split())
    assert ended.code == 2
    assert ended.err.startswith(f"error E_ADDRESS_SPACE: The address space of this process is limited to {mebibytes} ")
    assert "ulimit -v" in ended.err


def test_an_address_space_in_which_no_job_can_run_is_reported_before_it_begins(
    fresh_database: None, plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{plugins}:{ROOT}")
    scans = write_scans(tmp_path / "scans", {"W1/I1": 1})
    ended = limited(resource.RLIMIT_AS, 1024 * 2**20, "run", "toy", str(scans), "--out", str(tmp_path / "out"))
    assert ended.code == 2
    assert "error E_ADDRESS_SPACE: " in ended.err


def test_room_for_a_job_is_asked_of_commands_in_which_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(commands, "require_address_space", asked.append)
    for line in (["--help"], ["jobs", "--help"]):
        assert CliRunner().invoke(app, line).exit_code == 0
    assert ADDRESS_SPACE_OF_JOBS not in asked
    assert CliRunner().invoke(app, ["run", "--help"]).exit_code == 0
    assert ADDRESS_SPACE_OF_JOBS in asked
