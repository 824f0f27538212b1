"""Decoder processes of the real worker: what becomes of it and of its pages when they crash, hang or are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bec_orch.jobs import images
from bec_orch.jobs.decoders.pool import DecoderPool
from tests.acceptance.conftest import ROOT, Bec, ok
from tests.unit import image_bytes as made

WAIT = 60.0
PAGES = 100
GONE_WRONG = (sys.executable, "-P", str(ROOT / "tests" / "support" / "decoders_gone_wrong.py"))
CGROUP = Path("/sys/fs/cgroup/memory")

pytestmark = pytest.mark.timeout(300)


def write_pages(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"good{number:03}.jpg").write_bytes(made.jpeg())
    return folder


@pytest.fixture
def gone_wrong(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pool = DecoderPool(GONE_WRONG, seconds=2.0)
    monkeypatch.setattr(images, "_pool", pool)
    yield
    pool.close()


FAULTS = {
    "crash": "E_PAGE_CRASH",
    "kill": "E_PAGE_MEMORY",
    "hang": "E_PAGE_TIMEOUT",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_page_that_ends_its_decoder_is_one_row_and_the_rest_is_done(
    bec: Bec, gone_wrong: None, tmp_path: Path, fault: str
) -> None:
    volume = write_pages(tmp_path / "scans" / "W1" / "I1", 3)
    (volume / "bad.jpg").write_bytes(made.jpeg() + f"\n{fault}".encode())
    ended = bec("run", "ldv1", tmp_path / "scans", "--out", tmp_path / "out", "--max-page-error-rate", "0.3", "--json")
    assert ended.code == 3, ended.err
    assert (ended.json["pages"]["ok"], ended.json["pages"]["error"]) == (3, 1)
    (error,) = ended.json["page_errors"]
    assert (error["img_file_name"], error["code"]) == ("bad.jpg", FAULTS[fault])
    assert ended.json["counters"][FAULTS[fault]] == 1


def test_pages_that_all_end_their_decoders_are_charged_to_the_task(
    bec: Bec, gone_wrong: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEC_BACKOFF_BASE_SECONDS", "0.1")
    monkeypatch.setenv("BEC_BACKOFF_CAP_SECONDS", "0.1")
    volume = write_pages(tmp_path / "scans" / "W1" / "I1", 0)
    for number in range(8):
        (volume / f"bad{number}.jpg").write_bytes(made.jpeg() + b"\ncrash")
    ended = bec("run", "ldv1", tmp_path / "scans", "--out", tmp_path / "out", "--max-page-error-rate", "1", "--json")
    assert ended.code == 1
    (task,) = ended.json["tasks"]
    assert task["state"] == "terminal_failed"
    assert "E_DECODER_LOST" in f"{task['failure_code']} {task['failure_message']}"


@pytest.fixture
def run(bec: Bec, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`bec run` over many pages in a process group of its own, once its decoders are there."""
    write_pages(tmp_path / "scans" / "W1" / "I1", PAGES)
    command = (sys.executable, "-m", "bec_orch.cli.main", *arguments(tmp_path))
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT
    )
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def arguments(folder: Path) -> tuple[str, ...]:
    return ("run", "ldv1", str(folder / "scans"), "--out", str(folder / "out"), "--json")


def decoders_of(run: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Wait until the run has decoders."""
    give_up = time.monotonic() + WAIT
    while time.monotonic() < give_up:
        with suppress(psutil.NoSuchProcess):
            found = [
                child
                for child in psutil.Process(run.pid).children()
                if any("decoders.child" in c for c in child.cmdline())
            ]
            if found:
                return found
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    raise AssertionError("no decoder was started")


def test_a_decoder_that_is_killed_costs_no_page(run: "subprocess.Popen[str]", tmp_path: Path, bec: Bec) -> None:
    decoders_of(run)[0].kill()
    out, err = run.communicate(timeout=WAIT * 3)
    assert run.returncode == 0, err
    assert f'"ok": {PAGES}' in out


def test_decoders_end_with_a_worker_that_is_killed(run: "subprocess.Popen[str]") -> None:
    decoders = decoders_of(run)
    os.killpg(run.pid, signal.SIGKILL)
    assert psutil.wait_procs(decoders, timeout=WAIT)[1] == []


def test_ctrl_c_does_not_reach_decoders_before_the_worker_has_stopped(
    run: "subprocess.Popen[str]", bec: Bec, tmp_path: Path
) -> None:
    decoders = decoders_of(run)
    os.killpg(run.pid, signal.SIGINT)
    assert "E_PAGE" not in run.communicate(timeout=WAIT)[1]
    assert run.returncode == 130
    assert psutil.wait_procs(decoders, timeout=WAIT)[1] == []
    assert ok(bec(*arguments(tmp_path))).json["pages"]["ok"] == PAGES


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A control group of 640 MB, which only root can make, and only where the machine has groups of version 1."""
    if os.geteuid() != 0 or not (CGROUP / "memory.limit_in_bytes").exists():
        pytest.skip("needs root, and control groups of version 1")
    group = CGROUP / f"bec-test-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("640000000")
    yield group
    group.rmdir()


def test_a_bomb_on_a_machine_with_little_memory_is_one_row(little_memory: Path, tmp_path: Path, bec: Bec) -> None:
    volume = write_pages(tmp_path / "scans" / "W1" / "I1", 3)
    (volume / "bomb.png").write_bytes(made.png_of_zeros(12_000, 12_000, 16))
    inside = f'echo $$ > {little_memory}/cgroup.procs && exec "$@"'
    command = ("bash", "-c", inside, "bash", sys.executable, "-m", "bec_orch.cli.main", *arguments(tmp_path))
    ended = subprocess.run(
        (*command, "--max-page-error-rate", "0.3"), capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ended.returncode == 3, ended.stderr
    assert '"code": "E_PAGE_MEMORY"' in ended.stdout
    assert '"ok": 3' in ended.stdout
