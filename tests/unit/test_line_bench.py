"""What scores the line models: which pages are drawn by lot, what is counted, and kraken as a process of its own."""

import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bench.kraken_layout import KrakenLayout
from bench.labelled import LABELLED, SETS, LabelledLine, LabelledPage, read_pages
from bench.line_models import Found, drawn_by_lot
from bench.other_readers import READERS
from training.lines.kinds import Kind

TASKS = """
class Line:
    boundary = [[2, 3], [12, 3], [12, 9]]


class Found:
    lines = [Line()]


class Nothing:
    lines = []


class SegmentationTaskModel:
    load_model = classmethod(lambda cls: cls())

    def predict(self, page, config):
        assert page.mode == "RGB"
        return Found() if page.getpixel((19, 9)) == (200, 200, 200) else Nothing()
"""


def test_the_same_pages_of_each_set_are_drawn_each_time() -> None:
    pages = [page for page in read_pages() if page.state == LABELLED]
    drawn = drawn_by_lot(pages, 2)
    assert Counter(page.set_name for page in drawn) == dict.fromkeys(SETS, 2)
    assert drawn == drawn_by_lot(pages, 2)
    assert drawn == [page for page in pages if page in drawn], "in their order"
    assert drawn_by_lot(pages, 1000) == pages


def test_lines_of_other_kinds_that_hold_nothing_are_spare() -> None:
    line = LabelledLine(1, Kind.MAIN, 10, np.array([[0, 5], [90, 5]], np.float64))
    page = LabelledPage("", "a/b.png", 100, 100, LABELLED, "", "", (line, line))
    lines = PageLines(100, 100, kinds=("main", "note", "running", "other"), line_ids=(0, 1, 2, 3))
    inside = np.array([[0.0, 0.7, 0.0, 0.2], [0.0, 0.0, 0.0, 0.4]])
    assert Found(page, lines, inside, 1.0).spare() == 2


def test_kraken_is_asked_in_an_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, package = tmp_path / READERS["kraken"].script, tmp_path / "site" / "kraken"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / "whole").touch()
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "configs.py").write_text("SegmentationInferenceConfig = object", encoding="utf-8")
    (package / "tasks.py").write_text(TASKS, encoding="utf-8")
    (package.parent / "torch.py").write_text("set_num_threads = int", encoding="utf-8")
    site = [str(package.parent), *(path for path in sys.path if "site-packages" in path)]
    monkeypatch.setenv("PYTHONPATH", ":".join(site))
    page = np.full((10, 20), 255, np.uint8)
    with closing(KrakenLayout(tmp_path)) as kraken:
        assert kraken.prepare(page, 20, 10).line_count == 0
        page[9, 19] = 200
        found = kraken.prepare(page, 20, 10)
    assert [outline.tolist() for outline in found.contours] == [[[2, 3], [12, 3], [12, 9]]]
    assert found.model == "blla"
    assert kraken.seconds >= 0
