"""`ocrv1` on real pages, after `ldv1`, as jobs: what the project promises of it."""

import json
import statistics
from pathlib import Path

import pytest

from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.ocrv1.worker import Ocrv1Worker
from bench.score_ocr import main, rows_of, scores
from bench.throughput import LocalModels

ONE_OF_EACH_BOOK = ("ngb_v05_out_0292", "sample_book1_out_004_2R", "sample_book3_out_002_2R", "sample_book5_out_004_1L")
BASELINE_MEDIAN = 0.045
"""Of Tesseract's own page layout over all 16 pages."""


def test_our_lines_read_better_than_tesseracts_own_layout(shared_data: Path) -> None:
    found = [score for name in ONE_OF_EACH_BOOK for score in scores(shared_data, name)]
    assert len(found) == len(ONE_OF_EACH_BOOK)
    assert statistics.median(score.ocrv1 for score in found) < BASELINE_MEDIAN
    assert [score.page for score in found if score.ocrv1 > score.plain] == []


def test_a_turned_page_reads_as_well(shared_data: Path) -> None:
    """A page that lies on its side, found by `ldv1`: all its lines have text."""
    folder = shared_data / "odd_images"
    names = ["noexif_sideways_I8LS738230116.jpg"]
    resources = WorkerResources(2, 2**29, LocalModels())
    lines = rows_of(Ldv1Worker.create({}, resources), folder, names)
    tessdata = str(shared_data / "models" / "tessdata")
    read = rows_of(Ocrv1Worker.create({"tessdata": tessdata}, resources), folder, names, {"ldv1": lines})
    (row,) = read.to_pylist()
    assert row["rotation_angle"] == pytest.approx(-90, abs=1)
    assert row["nb_lines"] == lines["nb_lines"][0].as_py()
    assert all(row["line_texts"])


def test_the_score_table_can_be_printed(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", str(shared_data), "--pages", "book5_out_004_2R"]
    assert main(arguments) == 0
    assert "median" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["ocrv1"] < BASELINE_MEDIAN
    assert main(["--data", str(shared_data), "--pages", "no such page"]) == 1
