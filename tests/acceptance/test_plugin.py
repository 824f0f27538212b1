"""The package that docs/writing-a-job-worker.md builds is installed as it is written there, and its job type runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.acceptance.conftest import ROOT, Bec
from tests.support.jobs.plugin import wheel

DOC = ROOT / "docs" / "writing-a-job-worker.md"
_FILE = re.compile(r"^\*\*`([\w./]+)`\*\*[^\n]*\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package's folder, as somebody who follows the page has it."""
    folder = tmp_path / "page-statistics"
    folder.mkdir()
    for name, text in _FILE.findall(DOC.read_text("utf-8")):
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture
def site(package: Path, tmp_path: Path) -> Path:
    """A folder for the import path that pip installed the package into."""
    folder = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*pip, *options, str(wheel(package, tmp_path))], check=True)
    return folder


def test_its_own_tests_pass(package: Path, site: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(package), str(package)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, "3 passed" in told.stdout) == (0, True), told.stdout


def test_its_job_type_runs(bec: Bec, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    scans = tmp_path / "scans" / "W1" / "I1"
    scans.mkdir(parents=True)
    for number, grey in enumerate((0, 255, 200)):
        cv2.imwrite(str(scans / f"{number}.png"), np.full((64, 64), grey, np.uint8))

    assert '"ink_below"' in bec("jobs", "types", "--schema", "statistics").out
    run = ("run", "statistics", scans.parents[1], "--out", tmp_path / "out", "--json")
    ended = bec(*run)
    assert ended.code == 0, ended.err
    assert ended.json["counters"] == {"blank pages": 2}
    assert ended.json["pages"] == {"ok": 3, "skipped": 0, "error": 0}
    assert bec(*run, "--config-text", '{"ink_below": 201}').json["counters"] == {"blank pages": 1}
    refused = bec(*run, "--config-text", '{"ink_above": 201}')
    assert (refused.code, refused.err.split(":")[0]) == (2, "error E_JOB_CONFIG")
