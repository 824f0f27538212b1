"""The classes that docs/writing-a-job-worker.md shows beside its package do what the page says."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bec_orch.core.job_types.registry import create_job_worker
from bec_orch.core.ports.job_worker import JobWorker
from bec_orch.core.volumes import Page
from tests.support.jobs.plugin import install
from tests.unit import image_bytes as made
from tests.unit.fakes import MemoryRows, context, resources

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "writing-a-job-worker.md"
_FILE = re.compile(r"^\*\*`(\w+)\.py`\*\*[^\n]*\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass
class Beside:
    """Keeps files in a dict."""

    files: dict[str, bytes] = field(default_factory=dict)

    def put(self, name: str, data: bytes, page: Page | None = None) -> None:
        assert page is not None
        self.files[name] = data


def worker(job_type: str, target: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> JobWorker:
    module = target.partition(":")[0]
    code = dict(_FILE.findall(GUIDE.read_text("utf-8")))[module]
    monkeypatch.syspath_prepend(str(install(folder / "plugins", {job_type: target}, **{module: code})))
    return create_job_worker(job_type, {}, resources())


def rows_of(rows: MemoryRows, column: str) -> dict[int, Any]:
    return {index: outcome.row.get(column, outcome.state.value) for index, outcome in rows.flushed.items()}


def test_a_page_job_keeps_files_beside_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, beside = MemoryRows(), Beside()
    volume = replace(context({"a.png": made.png(Image.new("L", (64, 64), 9))}, rows), sidecars=beside)
    worker("thumbnails", "thumbnails:ThumbnailWorker", tmp_path, monkeypatch).run(volume)
    (name,) = beside.files
    assert name == "000000.jpg"
    assert rows_of(rows, "bytes") == {0: len(beside.files[name])}


def test_a_job_whose_pages_depend_on_each_other_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, counted = MemoryRows(earlier=frozenset({0})), list[int]()
    files: dict[str, bytes | Exception] = {"a.png": b"1", "b.png": b"123", "c.png": b"", "e.png": b"1234"}
    volume = context(files, rows, progress=counted.append, skipped={"c.png": "cover"})
    volume = replace(volume, manifest=replace(volume.manifest, pages=(*volume.manifest.pages, Page(4, "gone.png"))))
    job = worker("growth", "growth:GrowthJob", tmp_path, monkeypatch)
    metrics = job.run(volume)
    assert rows_of(rows, "growth") == {1: 2, 2: "skipped", 3: 1, 4: "error"}
    assert rows.flushed[4].error_type == "E_PAGE_MISSING"
    assert counted == [1, 2, 3, 4, 5]
    assert metrics.stages["fetch"].count == 4
    job.close()
