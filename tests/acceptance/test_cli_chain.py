"""Lines, text and evaluation of real job types, as an operator types it: three workers, and one `bec run`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.acceptance.conftest import ROOT, Bec, ok

JOBS = ("ldv1", "ocr-uchen", "eval-uchen")
PAGES = {"W1BEC001/I1BEC0001": ("0001.jpg", "0003.jpg"), "W1BEC002/I1BEC0002": ("0001.jpg", "0005.tif")}
CUT_OFF = "W1BEC002/I1BEC0002/I1BEC00020007.jpg"
SAMPLES = ROOT / "samples"
# Much longer than it takes on a busy machine: what waits for ever fails the test here.
PATIENCE = 240.0


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    for volume, endings in PAGES.items():
        (folder / volume).mkdir(parents=True)
        for ending in endings:
            shutil.copy(SAMPLES / volume / f"{Path(volume).name}{ending}", folder / volume)
    return folder


@pytest.fixture
def home(shared_data: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TESSDATA_PREFIX", str(shared_data / "models" / "tessdata"))
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_URL", scans.as_uri())
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    return tmp_path / "home"


@contextmanager
def workers(home: Path) -> Iterator[None]:
    """A worker for each job, all at once, each ended by SIGTERM in the end."""
    home.mkdir(exist_ok=True)
    program = [sys.executable, "-m", "bec_orch.cli.main", "worker", "--job"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    logs = [(home / f"{job}.log").open("w+") for job in JOBS]
    started = [
        subprocess.Popen([*program, job], env=environment, stderr=log) for job, log in zip(JOBS, logs, strict=True)
    ]
    try:
        yield
        for worker in started:
            worker.send_signal(signal.SIGTERM)
        assert [worker.wait(timeout=PATIENCE) for worker in started] == [0, 0, 0], [log.read() for log in logs]
    finally:
        for worker, log in zip(started, logs, strict=True):
            with suppress(ProcessLookupError):
                worker.kill()
            worker.wait()
            log.close()


def wait_until_all_is_done(bec: Bec) -> None:
    give_up = time.monotonic() + PATIENCE
    graph = []
    while time.monotonic() < give_up:
        graph = ok(bec("jobs", "graph", "--json")).json
        if all(set(node["tasks"]) == {"done"} for node in graph):
            return
        time.sleep(0.5)
    raise AssertionError(f"something waits for ever: {graph}")


@pytest.mark.timeout(600)
def test_the_session_of_an_operator(bec: Bec, fresh_database: None, home: Path, tmp_path: Path) -> None:
    volumes = tmp_path / "volumes.csv"
    volumes.write_text("".join(f"{volume.replace('/', ',')}\n" for volume in PAGES))
    config = '{"engine": "tesseract", "language": "bod"}'
    ok(bec("jobs", "create", "ldv1"))
    ok(bec("jobs", "create", "ocr-uchen", "--type", "ocrv1", "--config-text", config, "--depends-on", "ldv1"))
    ok(bec("jobs", "create", "eval-uchen", "--type", "evalv1", "--depends-on", "ocr-uchen"))
    enqueued = ok(bec("queue", "enqueue", "eval-uchen", "--file", volumes, "--with-dependencies", "--json")).json
    assert {job: (report["queued"], report["waiting"]) for job, report in enqueued.items()} == {
        "ldv1": (2, 0),
        "ocr-uchen": (0, 2),
        "eval-uchen": (0, 2),
    }
    with workers(home):
        wait_until_all_is_done(bec)
    graph = ok(bec("jobs", "graph", "--json")).json
    assert [(node["name"], node["depends_on"], node["tasks"]) for node in graph] == [
        ("ldv1", [], {"done": 2}),
        ("ocr-uchen", ["ldv1"], {"done": 2}),
        ("eval-uchen", ["ocr-uchen"], {"done": 2}),
    ]
    report = ok(bec("eval", "report", "eval-uchen", "--json")).json
    assert report["pages"] == {"ok": 4, "skipped": 0, "error": 0}
    assert report["sums"]["nb_chars"] > 500
    for job in JOBS:
        assert ok(bec("jobs", "stale", job, "--json")).json == []


@pytest.mark.timeout(600)
def test_a_run_states_the_pages_that_the_first_job_could_not_read(
    bec: Bec, shared_data: Path, scans: Path, tmp_path: Path
) -> None:
    shutil.copy(SAMPLES / CUT_OFF, scans / CUT_OFF)
    shutil.rmtree(scans / "W1BEC001")
    config = json.dumps({"tessdata": str(shared_data / "models" / "tessdata")})
    run = ("run", "ocrv1", scans, "--out", tmp_path / "out", "--max-page-error-rate", "0.5", "--config-text", config)
    ended = bec(*run)
    assert ended.code == 3, ended.err
    assert "page error of ldv1 in W1BEC002/I1BEC0002, page 3 'I1BEC00020007.jpg': E_IMAGE_TRUNCATED" in ended.err
    again = bec(*run, "--json")
    assert (again.code, again.json["pages"]) == (3, {"ok": 2, "skipped": 1, "error": 0})
    assert [fault["job"] for fault in again.json["page_errors"]] == ["ldv1"]
    exported = bec("--home", tmp_path / "out", "export", "ocrv1", "--format", "txt", "--out", tmp_path / "text")
    assert exported.code == 3
    assert "W1BEC002/I1BEC0002: 1 page is skipped: it is an error of ldv1 (E_IMAGE_TRUNCATED)." in exported.err
