"""The job worker that docs/writing-a-job-worker.md shows works as it is written there."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.acceptance.conftest import ROOT, Bec
from tests.plugin import install


def test_the_job_worker_of_the_docs_runs(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = (ROOT / "docs" / "writing-a-job-worker.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", docs, re.MULTILINE | re.DOTALL)
    folder = install(tmp_path / "docs", {"brightness": "brightness:BrightnessWorker"}, brightness=code)
    monkeypatch.syspath_prepend(str(folder))
    scans = tmp_path / "scans" / "W1" / "I1"
    scans.mkdir(parents=True)
    for number, grey in enumerate((0, 255, 200)):
        cv2.imwrite(str(scans / f"{number}.png"), np.full((64, 64), grey, np.uint8))

    assert '"threshold"' in bec("jobs", "types", "--schema", "brightness").out
    ended = bec("run", "brightness", scans.parents[1], "--out", tmp_path / "out", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["counters"] == {"bright": 2}
    assert ended.json["pages"] == {"ok": 3, "skipped": 0, "error": 0}
