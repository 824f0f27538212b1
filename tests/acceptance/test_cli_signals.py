"""Ctrl-C and SIGTERM: the finished pages are kept, and the work goes on there."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import ROOT, WAIT, Bec, Start, pages_done, wait_for, write_scans
from tests.support.pipes import fill


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl-c", "sigterm", "terminal-closed"]
)
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


def test_a_worker_that_is_stopped_before_all_is_done_ends_with_0_though_a_task_failed(
    start: Start, bec: Bec, enqueued: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEC_SOURCE_URL", (tmp_path / "scans").rename(tmp_path / "away").as_uri())
    worker = start("worker", "--job", "gated", "--until-empty", "--json")
    give_up = time.monotonic() + WAIT
    while bec("jobs", "tasks", "gated", "--json").json[0]["state"] != "retryable_failed":
        assert time.monotonic() < give_up, "its task does not fail"
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=WAIT)
    told = json.loads(out)
    assert (worker.returncode, told["failed"], told["stop_reason"]) == (0, 1, "shutdown"), err


def test_a_pool_of_workers_is_stopped_as_one(start: Start, enqueued: None, gate: Path) -> None:
    pool = start("worker", "--job", "gated", "--processes", "2")
    wait_for(gate / "reached", pool)
    pool.send_signal(signal.SIGINT)
    _, err = pool.communicate(timeout=WAIT)
    assert pool.returncode == 0, err
    assert err.count("Stopping: ") == 1
    assert '"outcome": "interrupted"' in err
    assert "Traceback" not in err


def ask_until_it_ended(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Send signals to a process and all that it started, one every few milliseconds, as long as it lives."""
    give_up = time.monotonic() + WAIT
    while process.poll() is None:
        os.killpg(process.pid, number)
        assert time.monotonic() < give_up, "it does not end"
        time.sleep(0.03)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_no_number_of_signals_changes_how_a_run_ends(
    start: Start, gate: Path, tmp_path: Path, number: signal.Signals
) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 6})
    run = start("run", "gated", scans, "--out", tmp_path / "out", "--config-text", json.dumps({"gate": str(gate)}))
    wait_for(gate / "reached", run)
    ask_until_it_ended(run, number)
    _, err = run.communicate()
    assert run.returncode == 130, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert not (tmp_path / "out" / "pg" / "data" / "postmaster.pid").exists(), "its server runs on"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl-c", "sigterm", "terminal-closed"]
)
def test_no_number_of_signals_changes_how_a_worker_ends(
    start: Start, bec: Bec, enqueued: None, gate: Path, number: signal.Signals
) -> None:
    worker = start("worker", "--job", "gated", "--processes", "2")
    wait_for(gate / "reached", worker)
    ask_until_it_ended(worker, number)
    _, err = worker.communicate()
    assert worker.returncode == 0, err
    assert "Traceback" not in err
    (task,) = bec("jobs", "tasks", "gated", "--json").json
    assert (task["state"], task["charged"]) == ("queued", 0)


def test_hundreds_of_failed_tasks_do_not_keep_a_worker_from_ending(
    start: Start, bec: Bec, enqueued: None, gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEC_BLACK_HOLE_GUARD", "1000")
    monkeypatch.setenv("BEC_BACKOFF_BASE_SECONDS", "0.1")
    # Of so much config, what 40 tasks hold is more than a pipe takes.
    config = {"gate": str(gate / ("x" * 200)) + "/." * 1500}
    assert bec("jobs", "create", "fat", "--type", "gated", "--config-text", json.dumps(config)).code == 0
    volumes = tmp_path / "volumes.csv"
    volumes.write_text("".join(f"W2,I{number}\n" for number in range(40)))
    assert bec("queue", "enqueue", "fat", "--file", volumes).code == 0
    worker = start("worker", "--job", "fat", "--until-empty", "--json")
    out, err = worker.communicate(timeout=WAIT)
    assert worker.returncode == 1, err
    twice = {"retryable_failed": 40, "terminal_failed": 40}
    assert json.loads(out) == {"outcomes": twice, "stop_reason": "empty", "failed": 40}


def test_a_worker_that_stops_itself_reports_what_it_did(
    start: Start, bec: Bec, enqueued: None, gate: Path, tmp_path: Path
) -> None:
    volumes = tmp_path / "volumes.csv"
    volumes.write_text("".join(f"W2,I{number}\n" for number in range(8)))
    assert bec("jobs", "create", "none", "--type", "gated", "--config-text", json.dumps({"gate": str(gate)})).code == 0
    assert bec("queue", "enqueue", "none", "--file", volumes).code == 0
    worker = start("worker", "--job", "none", "--until-empty", "--json")
    out, err = worker.communicate(timeout=WAIT)
    assert (worker.returncode, "error E_WORKER_STOPPED: " in err) == (1, True)
    told = json.loads(out)
    assert (told["failed"], told["stop_reason"]) == (5, "failing: E_MANIFEST_MISSING")


def test_processes_whose_parent_was_killed_give_their_task_back_and_end(
    start: Start, bec: Bec, enqueued: None, gate: Path
) -> None:
    worker = start("worker", "--job", "gated")
    wait_for(gate / "reached", worker)
    worker.kill()
    _, err = worker.communicate(timeout=WAIT)  # until the last that may write there has ended
    assert '"outcome": "interrupted"' in err
    assert "Traceback" not in err
    (task,) = bec("jobs", "tasks", "gated", "--json").json
    assert (task["state"], task["charged"]) == ("queued", 0)


def test_a_run_that_was_killed_is_lost_at_once_and_a_moved_folder_goes_on_where_it_lies(
    start: Start, bec: Bec, gate: Path, tmp_path: Path
) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 6}), tmp_path / "out"
    config = ("--config-text", json.dumps({"gate": str(gate)}))
    process = start("run", "gated", scans, "--out", out, *config)
    wait_for(gate / "reached", process)
    process.kill()
    process.communicate(timeout=WAIT)
    (worker,) = bec("--home", out, "workers", "--json").json
    assert worker["condition"] == "lost"

    (gate / "open").touch()
    moved = scans.rename(tmp_path / "moved")
    ended = bec("run", "gated", moved, "--out", out, *config, "--json")
    assert (ended.code, ended.json["done"], ended.json["moved"]) == (0, 1, {f"folder+{scans.as_uri()}": 1})
    tasks = bec("--home", out, "jobs", "tasks", "gated", "--json").json
    assert [(task["state"], task["charged"]) for task in tasks] == [("done", 0), ("canceled", 0)]


def suspend(process: "subprocess.Popen[str]") -> None:
    """Do as Ctrl-Z at a terminal does."""
    os.killpg(process.pid, signal.SIGTSTP)
    give_up = time.monotonic() + WAIT
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < give_up, "it does not stop"
        time.sleep(0.01)


def test_a_worker_that_is_suspended_for_longer_than_its_lease_goes_on(
    start: Start, bec: Bec, enqueued: None, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEC_LEASE_SECONDS", "2")
    worker = start("worker", "--job", "gated", "--until-empty")
    wait_for(gate / "reached", worker)
    suspend(worker)
    time.sleep(3)  # the lease is a matter of time
    (gate / "open").touch()
    os.killpg(worker.pid, signal.SIGCONT)
    _, err = worker.communicate(timeout=WAIT)
    assert worker.returncode == 0, err
    assert pages_done(gate) == [0, 1, 2, 3, 4], "each page was computed once"
    (task,) = bec("jobs", "tasks", "gated", "--json").json
    assert (task["state"], task["charged"]) == ("done", 0)


@pytest.mark.parametrize("command", ["worker", "run"])
def test_what_is_suspended_and_told_to_end_ends(
    start: Start, enqueued: None, gate: Path, tmp_path: Path, command: str
) -> None:
    config = json.dumps({"gate": str(gate)})
    words = {
        "worker": ("worker", "--job", "gated"),
        "run": ("run", "gated", tmp_path / "scans", "--out", tmp_path / "out", "--config-text", config),
    }
    process = start(*words[command])
    wait_for(gate / "reached", process)
    suspend(process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)  # to the one process alone: those that it started have to hear of it by it
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == {"worker": 0, "run": 130}[command], err


def test_a_worker_whose_log_nobody_reads_works_and_ends(
    bec: Bec, enqueued: None, gate: Path, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{plugins}{os.pathsep}{ROOT}")
    monkeypatch.setenv("BEC_GRACE_SECONDS", "0.01")
    read, write = os.pipe()
    fill(write)
    command = [sys.executable, "-m", "bec_orch.cli.main", "worker", "--job", "gated"]
    with subprocess.Popen(command, stdout=write, stderr=write, process_group=0, text=True) as worker:
        try:
            wait_for(gate / "reached", worker)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(WAIT) == 0
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            os.close(write)
            os.close(read)
    (task,) = bec("jobs", "tasks", "gated", "--json").json
    assert (task["state"], task["charged"]) == ("queued", 0)


def test_a_run_whose_readers_are_gone_does_its_work_and_reports_it_by_its_exit_code(
    start: Start, tmp_path: Path
) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2, "W1/I2": 2})
    run = start("run", "toy", scans, "--out", tmp_path / "out")
    for outlet in (run.stdout, run.stderr):
        assert outlet
        outlet.close()
    assert run.wait(WAIT) == 0
