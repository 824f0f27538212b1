"""A source is more than a store's keys: a layout whose manifest and pages come from a server, in the whole program.

The layout is named in `LAYOUTS`, and nowhere else in the program.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest

from bec_orch.io.sources.sources import LAYOUTS
from tests.acceptance.conftest import Bec
from tests.served_source import PageServer, open_served, serving
from tests.unit.ldv1 import drawn


def drawn_page(lines: int) -> bytes:
    """A PNG, in memory alone, with dark bars for lines of text."""
    bars = [(80.0, 60.0 + 50 * line, 1000.0, 60.0 + 50 * line) for line in range(lines)]
    return bytes(cv2.imencode(".png", drawn.page((1080, 420), bars, thickness=16))[1])


@pytest.fixture
def page_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PageServer]:
    monkeypatch.setitem(LAYOUTS, "served", open_served)
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    model = drawn.model_folder(tmp_path / "model")
    monkeypatch.setenv("BEC_LD_MODEL_PATH", str(model))
    with serving({"canvas 1": drawn_page(7), "canvas 2": None, "canvas 3": drawn_page(5)}) as server:
        yield server


@pytest.mark.usefixtures("fresh_database")
def test_a_real_job_runs_on_it(bec: Bec, page_server: PageServer, tmp_path: Path) -> None:
    source = f"served+{page_server.url}"
    assert bec("jobs", "create", "ldv1", "--max-page-error-rate", "0.5").code == 0

    asked = bec("queue", "enqueue", "ldv1", "--all", "--refresh", "--source", source)
    assert asked.code == 0, asked.err
    ended = bec("run-volume", "ldv1", "W1", "I1")

    assert ended.code == 3, ended.err
    (file,) = (tmp_path / "home" / "artefacts" / "ldv1" / "W1" / "I1").glob("abc123/*.a1-*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert [(row["img_file_name"], row["nb_lines"], row["error_type"]) for row in rows] == [
        ("canvas 1", 7, None),
        ("canvas 2", None, "E_PAGE_MISSING"),
        ("canvas 3", 5, None),
    ]
    assert [row["source_etag"] for row in rows] == ["served-0", None, "served-2"]


@pytest.mark.usefixtures("fresh_database", "page_server")
def test_a_server_that_is_away_is_reported(bec: Bec) -> None:
    assert bec("jobs", "create", "ldv1").code == 0
    away = "served+http://127.0.0.1:9"
    ended = bec("queue", "enqueue", "ldv1", "--volume", "W1/I1", "--refresh", "--source", away)
    assert ended.code == 1
    assert "cannot be reached" in ended.out + ended.err
