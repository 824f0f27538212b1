"""`bec demo`: the samples through the real path, with the real model."""

from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest

from tests.acceptance.conftest import ROOT, Bec


def test_the_demo_runs_the_samples_and_draws_them(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    out = tmp_path / "demo"
    ended = bec("demo", "--out", out)
    assert ended.code == 0, ended.err
    assert ended.err.count("done, 9 pages") == 2
    (total,) = (line.split() for line in ended.out.splitlines() if line.startswith("2 volumes"))
    assert total[2:5] == ["2", "done", "18"]
    assert total[-1] == "1", "the page that is cut off on purpose"
    assert "pages/s" in ended.out
    assert "Next, your own scans: bec run ldv1 PATH" in ended.out

    files = list(out.glob("artefacts/ldv1/*/*/*/*.a1-*.parquet"))
    assert sorted(pq.read_metadata(file).num_rows for file in files) == [9, 9]
    for picture in ("W1BEC001/I1BEC0001.jpg", "W1BEC002/I1BEC0002.jpg"):
        drawn = cv2.imread(str(out / "overlays" / picture))
        assert drawn is not None
        assert drawn.shape[1] == 2000
        assert f"Picture:   {out / 'overlays' / picture}" in ended.out

    again = bec("demo", "--out", out, "--json")
    assert (again.code, again.json["done"], again.json["pages_per_second"]) == (0, 2, None)


def test_without_samples_it_says_where_they_are(bec: Bec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bec_orch.__file__", str(tmp_path / "site-packages" / "bec_orch" / "__init__.py"))
    ended = bec("demo")
    assert ended.code == 2
    assert ended.err.startswith("error E_SAMPLES_MISSING: ")
    assert not Path("bec-demo").exists()
