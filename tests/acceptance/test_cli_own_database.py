"""The embedded PostgreSQL dies in the middle of a run, or its disk is full: nobody but the program can see to it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from bec_orch.io.postgres.connection import libpq_variables
from tests.acceptance.conftest import WAIT, Start, pages_done, wait_for, write_scans
from tests.support.servers.postmasters import servers, until

# A cluster and its write-ahead log take about 40 MB.
_DISK = "96m"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    """Let what is tried again be tried again soon."""
    monkeypatch.setenv("BEC_BACKOFF_BASE_SECONDS", "0.2")
    monkeypatch.setenv("BEC_LEASE_SECONDS", "20")
    monkeypatch.setenv("BEC_BLACK_HOLE_GUARD", "1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, which can be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", f"size={_DISK},mode=755", "none", str(folder)]
    if os.geteuid() != 0 or mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_libpqs_environment_is_not_ours(
    tmp_path: Path, start: Start, conninfo: str, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    server = conninfo_to_dict(conninfo)
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    if shared:
        monkeypatch.setenv("BEC_SQL_HOST", str(server["host"]))
        monkeypatch.setenv("BEC_SQL_USER", str(server["user"]))
        monkeypatch.setenv("BEC_SQL_DATABASE", str(server["dbname"]))
    for name in libpq_variables():
        monkeypatch.setenv(name, "1")
    (tmp_path / ".pg_service.conf").write_text("[1]\nhost=/nowhere\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = start("db", "init", "--json")
    out, err = ended.communicate(timeout=WAIT)
    assert ended.returncode == 0, err
    assert json.loads(out)["identity"]
    assert not (tmp_path / "home" / "pg" / "data" / "postmaster.pid").exists(), "the server was stopped"


def fill(disk: Path) -> Path:
    """Write a file until nothing more fits onto its disk."""
    path = disk / "fill"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return path


def kill_database(out: Path) -> None:
    server = int((out / "pg" / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(server, signal.SIGKILL)


def arguments(tmp_path: Path, gate: Path, out: Path) -> tuple[str | Path, ...]:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 6, "W1/I2": 2})
    return ("run", "gated", scans, "--out", out, "--config-text", json.dumps({"gate": str(gate)}))


def test_a_database_that_dies_is_started_again(start: Start, gate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(*arguments(tmp_path, gate, out))
    wait_for(gate / "reached", process)
    kill_database(out)
    (gate / "open").touch()
    told, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err
    assert "2 volumes   2 done       8      80             0" in told
    assert sorted(pages_done(gate)) == [0, 0, 1, 1, 2, 3, 4, 5], "each page was computed once"
    assert err.splitlines() == ["[1/2] W1/I1: done, 6 pages, 0 errors", "[2/2] W1/I2: done, 2 pages, 0 errors"]


@pytest.mark.parametrize("killed", [False, True], ids=["runs", "died"])
def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    start: Start, gate: Path, tmp_path: Path, small_disk: Path, *, killed: bool
) -> None:
    run = arguments(tmp_path, gate, small_disk)
    process = start(*run)
    wait_for(gate / "reached", process)
    filling = fill(small_disk)
    if killed:
        kill_database(small_disk)
    begun = time.monotonic()
    (gate / "open").touch()
    _, err = process.communicate(timeout=WAIT)
    assert time.monotonic() - begun < WAIT / 2
    assert process.returncode == 1, err
    assert "E_DISK_FULL: " in err
    assert "hint: Free space, then run the same command again: what was finished is kept.\n" in err
    assert "Traceback" not in err
    if killed:
        assert f"error E_DISK_FULL: There is no room for the embedded PostgreSQL in {small_disk}/pg." in err

    filling.unlink()
    again = start(*run)
    told, err = again.communicate(timeout=WAIT)
    assert again.returncode == 0, err
    assert "2 volumes   2 done       8      80             0" in told


def test_a_disk_that_is_full_before_the_run_is_reported(
    start: Start, gate: Path, tmp_path: Path, small_disk: Path
) -> None:
    fill(small_disk)
    process = start(*arguments(tmp_path, gate, small_disk))
    told, err = process.communicate(timeout=WAIT)
    assert (process.returncode, told) == (1, "")
    assert err.splitlines() == [
        f"error E_DISK_FULL: There is no room in {small_disk}.",
        "hint: Free space, then run the same command again: what was finished is kept.",
    ]


def test_a_killed_run_leaves_no_database_behind(start: Start, gate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(*arguments(tmp_path, gate, out))
    wait_for(gate / "reached", process)
    assert servers(out)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: not servers(out))
    (gate / "open").touch()
    again = start(*arguments(tmp_path, gate, out))
    told, err = again.communicate(timeout=WAIT)
    assert again.returncode == 0, err
    assert (
        "warning: An attempt at W1/I1 came to no end, and is made again. Its worker vanished without a trace.\n" in err
    )
    assert "worker.died" not in err
    assert "2 volumes   2 done       8      80             0" in told
    assert not servers(out)


def test_a_copy_of_a_workspace_at_work_is_refused(start: Start, gate: Path, tmp_path: Path) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy"
    process = start(*arguments(tmp_path, gate, out))
    wait_for(gate / "reached", process)
    subprocess.run(["cp", "-a", out, copy], check=True)
    looking = start("--home", copy, "jobs", "list")
    told, err = looking.communicate(timeout=WAIT)
    assert (looking.returncode, told) == (2, "")
    assert err.startswith(f"error E_PG_COPY: The database in {copy}/pg is a copy")
    (gate / "open").touch()
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work in another user's workspace")
def test_root_leaves_a_users_workspace_alone(start: Start, gate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (gate / "open").touch()
    first = start(*arguments(tmp_path, gate, out))
    assert first.wait(WAIT) == 0
    (out / "run.lock").unlink()
    subprocess.run(["chown", "-R", "nobody", out], check=True)
    for command in (arguments(tmp_path, gate, out), ("--home", out, "jobs", "list")):
        process = start(*command)
        told, err = process.communicate(timeout=WAIT)
        assert (process.returncode, told) == (2, "")
        error, hint = err.splitlines()
        assert error == f"error E_PG_OWNER: The folder {out} belongs to nobody."
        assert hint.startswith("hint: Run as that user: `sudo -u nobody bec ...`")
    assert {path.owner() for path in (out, *out.rglob("*"))} == {"nobody"}
