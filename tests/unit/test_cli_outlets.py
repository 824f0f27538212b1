"""stdout and stderr whose reader is gone, or takes nothing."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bec_orch.cli.terminal.outlets import Outlet
from tests.support.pipes import fill


@dataclass
class Pipe:
    """A pipe, whose ends are closed at the end."""

    read: int
    write: int


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    found = Pipe(*os.pipe())
    yield found
    for end in (found.read, found.write):
        if end >= 0:
            os.close(end)


def test_what_is_written_arrives(pipe: Pipe) -> None:
    assert Outlet(pipe.write, 1.0).write(b"one line\n") == 9
    assert os.read(pipe.read, 100) == b"one line\n"


@pytest.mark.parametrize("patience", [None, 1.0])
def test_what_nobody_can_read_any_more_goes_nowhere(pipe: Pipe, patience: float | None) -> None:
    os.close(pipe.read)
    pipe.read = -1
    outlet = Outlet(pipe.write, patience)
    assert [outlet.write(b"x" * size) for size in (1, 100_000)] == [1, 100_000]


def test_what_nobody_reads_is_dropped_and_its_size_is_reported_to_who_reads_again(pipe: Pipe) -> None:
    filled = fill(pipe.write)
    outlet = Outlet(pipe.write, 0.05)
    writing = threading.Thread(target=outlet.write, args=(b"lost" * 2000,), daemon=True)
    writing.start()
    writing.join(10)
    assert not writing.is_alive(), "it waits for a reader"
    assert os.read(pipe.read, filled) == b"x" * filled
    outlet.write(b"found")
    assert os.read(pipe.read, 1000) == b"\n[8000 bytes were dropped here: nobody read them]\nfound"


def test_a_slow_reader_of_results_is_waited_for(pipe: Pipe) -> None:
    writing = threading.Thread(target=Outlet(pipe.write, None).write, args=(b"y" * 200_000,), daemon=True)
    writing.start()
    read = 0
    while read < 200_000:
        read += len(os.read(pipe.read, 65536))
    writing.join(10)
    assert not writing.is_alive()


def bec(arguments: str, redirection: str) -> "subprocess.CompletedProcess[str]":
    """Run the program by a shell, with what it prints redirected."""
    command = f"{sys.executable} -m bec_orch.cli.main {arguments} {redirection}"
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)


def test_closed_outlets_are_no_ones_files(tmp_path: Path) -> None:
    done = bec(f"--home {tmp_path} config show", ">&- 2>&- <&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_result_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    done = bec(f"--home {tmp_path} config show", ">/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error E_DISK_FULL: The disk is full: ")
