"""Ctrl-C and SIGTERM: the finished pages are kept, and the work goes on there."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import WAIT, Bec, Start, pages_done, wait_for, write_scans


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_run_keeps_its_pages_and_goes_on_there(
    start: Start, gate: Path, tmp_path: Path, number: signal.Signals
) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 6})
    run = ("run", "gated", scans, "--out", tmp_path / "out", "--config-text", json.dumps({"gate": str(gate)}))
    process = start(*run)
    wait_for(gate / "reached", process)

    busy = start(*run)
    _, err = busy.communicate(timeout=WAIT)
    assert (busy.returncode, err.splitlines()[0]) == (
        2,
        f"error E_WORKSPACE_BUSY: Another `bec run` (process {process.pid}) is at work in {tmp_path / 'out'}.",
    )

    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (130, "")
    assert "Stopping at the next page." in err
    assert "error E_INTERRUPTED: The run was interrupted; 3 pages of it are finished and kept." in err
    assert "Traceback" not in err

    (gate / "open").touch()
    again = start(*run)
    out, err = again.communicate(timeout=WAIT)
    assert again.returncode == 0, err
    assert "1 volume   1 done       6      60             0" in out
    assert pages_done(gate) == [0, 1, 2, 3, 4, 5], "each page was computed once"


@pytest.fixture
def enqueued(bec: Bec, fresh_database: None, gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that waits at its gate, with one volume of five pages to do."""
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    monkeypatch.setenv("BEC_SOURCE_URL", write_scans(tmp_path / "scans", {"W1/I1": 5}).as_uri())
    assert bec("jobs", "create", "gated", "--config-text", json.dumps({"gate": str(gate)})).code == 0
    assert bec("queue", "enqueue", "gated", "--all").code == 0


def test_a_stopped_worker_ends_with_0_and_gives_its_task_back(
    start: Start, bec: Bec, enqueued: None, gate: Path
) -> None:
    worker = start("worker", "--job", "gated", "--json")
    wait_for(gate / "reached", worker)
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=WAIT)
    assert worker.returncode == 0, err
    assert json.loads(out)["stop_reason"] == "shutdown"
    assert '"event": "worker.ended"' in err

    (gate / "open").touch()
    pool = start("worker", "--job", "gated", "--until-empty", "--processes", "2")
    _, err = pool.communicate(timeout=WAIT)
    assert pool.returncode == 0, err
    assert pages_done(gate) == [0, 1, 2, 3, 4], "each page was computed once"
    (task,) = bec("jobs", "tasks", "gated", "--json").json
    assert (task["state"], task["attempt"], task["charged"]) == ("done", 2, 0)


def test_a_pool_of_workers_is_stopped_as_one(start: Start, enqueued: None, gate: Path) -> None:
    pool = start("worker", "--job", "gated", "--processes", "2")
    wait_for(gate / "reached", pool)
    pool.send_signal(signal.SIGINT)
    _, err = pool.communicate(timeout=WAIT)
    assert pool.returncode == 0, err
    assert '"outcome": "interrupted"' in err
    assert "Traceback" not in err
