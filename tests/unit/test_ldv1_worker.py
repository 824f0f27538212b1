import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from bec_orch.core.job_types.registry import job_worker_class
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.volumes import Page, PageState
from bec_orch.errors import ConfigError
from bec_orch.io.artefacts.columns import column
from bec_orch.jobs.formats import jpeg
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.worker import SCHEMA, Ldv1Worker, row_of
from bec_orch.jobs.pipeline.page_input import PageInput
from tests.unit import image_bytes as made
from tests.unit.fakes import MemoryRows, context, resources
from tests.unit.ldv1.drawn import model_folder, page

if TYPE_CHECKING:
    from bec_orch.core.ports.job_worker import JobWorker

LINES = 4


def written(width: int = 1400, height: int = 360) -> Image.Image:
    """A page with four bars as lines."""
    top = height / 2 - 120
    bars = [(80, top + 80 * line, width - 80, top + 80 * line) for line in range(LINES)]
    return Image.fromarray(page((width, height), bars))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "lines")


def test_it_is_the_job_type_that_is_installed() -> None:
    assert job_worker_class("ldv1") is Ldv1Worker


def test_pages_become_rows_of_the_schema(folder: Path) -> None:
    rows = MemoryRows()
    files: dict[str, bytes | Exception] = {
        "a.jpg": made.jpeg(written()),
        "b.png": made.png(written()),
        "c.tif": made.group4(written()),
        "blank.jpg": made.jpeg(Image.new("L", (900, 300), "white")),
        "cut.jpg": made.jpeg(written())[:-500],
        "text.jpg": b"no image",
    }
    worker: JobWorker = Ldv1Worker.create({"model": str(folder)}, resources())
    metrics = worker.run(context(files, rows))
    assert [rows.flushed[index].row["nb_lines"] for index in range(4)] == [LINES, LINES, LINES, 0]
    assert [rows.flushed[index].error_type for index in (4, 5)] == ["E_IMAGE_TRUNCATED", "E_IMAGE_NOT_IMAGE"]
    assert metrics.counters["pages"] == len(files)
    for outcome in rows.flushed.values():
        if outcome.state is PageState.OK:
            assert set(outcome.row) == set(SCHEMA.names)
    assert (rows.flushed[0].row["width"], rows.flushed[0].row["height"]) == (1400, 360)


def test_the_columns_are_those_of_the_stored_format() -> None:
    assert [f"{field.name}: {field.type}" for field in SCHEMA] == [
        "width: int32",
        "height: int32",
        "rotation_angle: float",
        "tps_points: list<item: list<item: float>>",
        "tps_alpha: float",
        "contours: list<item: list<item: struct<x: int32, y: int32>>>",
        "nb_contours: int32",
        "contours_bboxes: list<item: struct<x: int32, y: int32, w: int32, h: int32>>",
        "line_ids: list<item: int32>",
        "scores: list<item: float>",
        "line_kinds: list<item: string>",
        "line_baselines: list<item: list<item: struct<x: int32, y: int32>>>",
        "line_model: string",
        "line_engine: string",
        "nb_lines: int32",
        "nb_main_lines: int32",
        "nb_running_lines: int32",
        "nb_margin_lines: int32",
        "nb_note_lines: int32",
        "nb_other_lines: int32",
        "orientation: int32",
        "nb_unread_frames: int32",
        "colour_assumed: string",
        "nb_assumed: int32",
    ]
    assert all(pa.types.is_int32(SCHEMA.field(name).type) for name in Ldv1Worker.counted.values())


def test_rows_fit_their_columns() -> None:
    square = np.array([[0, 0], [4, 0], [4, 2]], np.int32)
    full = PageLines(
        width=40,
        height=20,
        rotation_angle=1.5,
        tps_points=np.array([[1, 2, 3, 4]], np.float32),
        tps_alpha=0.5,
        contours=(square, square[:2] + 5, square + 9),
        bboxes=((0, 0, 5, 3), (5, 5, 5, 1), (9, 9, 5, 3)),
        line_ids=(0, 0, 1),
        scores=(0.5, 0.75, 1.0),
        kinds=("main", "main", "note"),
        baselines=(square[:2], square[:2] + 5, square[1:]),
        model="bec-lines",
        engine="onnxruntime 1.32.0",
    )
    rows = [row_of(full), row_of(PageLines(8, 9))]
    table = pa.table({field.name: column([row.get(field.name) for row in rows], field.type) for field in SCHEMA})
    first, blank = table.to_pylist()
    assert first["contours"][1] == [{"x": 5, "y": 5}, {"x": 9, "y": 5}]
    assert first["contours_bboxes"][2] == {"x": 9, "y": 9, "w": 5, "h": 3}
    assert (first["nb_contours"], first["nb_lines"]) == (3, 2)
    assert first["tps_points"] == [[1, 2, 3, 4]]
    assert first["line_kinds"] == ["main", "main", "note"]
    assert first["line_baselines"][0] == [{"x": 0, "y": 0}, {"x": 4, "y": 0}]
    assert (first["nb_main_lines"], first["nb_note_lines"], first["nb_other_lines"]) == (1, 1, 0)
    assert first["line_model"] == "bec-lines"
    assert first["line_engine"] == "onnxruntime 1.32.0"
    assert blank["contours"] == blank["line_ids"] == blank["contours_bboxes"] == []
    assert blank["tps_points"] is blank["rotation_angle"] is None
    assert (blank["nb_contours"], blank["nb_lines"], blank["nb_main_lines"]) == (0, 0, 0)
    assert (blank["line_kinds"], blank["line_baselines"]) == ([], None)


def test_lines_of_models_that_state_no_kinds_are_main_text_of_that_model(folder: Path) -> None:
    rows = MemoryRows()
    worker = Ldv1Worker.create({"model": str(folder)}, resources())
    worker.run(context({"a.png": made.png(written())}, rows))
    row = rows.flushed[0].row
    assert list(row["line_kinds"]) == ["main"] * LINES
    assert row["line_model"] == worker.models[0].name
    assert row["line_baselines"] is None
    assert [row[worker.counted[f"{kind}_lines"]] for kind in ("main", "note")] == [LINES, 0]


def test_what_the_file_states_stands_in_the_row(folder: Path) -> None:
    turned = made.jpeg(written(1400, 360).transpose(Image.Transpose.ROTATE_180), exif=made.exif_block(3))
    ink = made.jpeg(written(1400, 360).convert("CMYK"))
    bare = re.sub(rb"\xff\xee\x00\x0eAdobe.{7}", b"", ink, flags=re.DOTALL)
    frames = made.tiff(written(1400, 360), save_all=True, append_images=[Image.new("L", (9, 9))] * 2)
    rows = MemoryRows()
    pages = {"a.jpg": turned, "b.jpg": bare, "c.tif": frames}
    Ldv1Worker.create({"model": str(folder)}, resources()).run(context(pages, rows))
    told = {page: outcome.row for page, outcome in rows.flushed.items()}
    assert [told[page]["orientation"] for page in range(3)] == [3, 1, 1]
    assert abs(told[0]["rotation_angle"]) == 180
    assert [told[page]["nb_unread_frames"] for page in range(3)] == [0, 0, 2]
    assert [told[page]["colour_assumed"] for page in range(3)] == [None, jpeg.AS_LIGHT, None]
    assert [told[page]["nb_assumed"] for page in range(3)] == [0, 1, 0]


def test_a_leaning_page_is_taken_a_second_time(folder: Path) -> None:
    leaning = written(1400, 700).rotate(8, fillcolor="white", resample=Image.Resampling.BILINEAR)
    rows = MemoryRows()
    metrics = Ldv1Worker.create({"model": str(folder)}, resources()).run(context({"a.png": made.png(leaning)}, rows))
    assert metrics.stages["finish"].count == 2
    assert rows.flushed[0].row["rotation_angle"] == pytest.approx(-8, abs=1)


def test_tiles_of_many_pages_go_together_in_batches(folder: Path) -> None:
    rows = MemoryRows()
    worker = Ldv1Worker.create({"model": str(folder), "batch_size": 4}, resources())
    worker.run(context({f"{name}.png": made.png(written()) for name in "abcdef"}, rows))
    assert [outcome.row["nb_lines"] for outcome in rows.flushed.values()] == [LINES] * 6


def test_the_model_is_that_of_the_config_else_of_the_worker_else_the_default(folder: Path) -> None:
    by_config = Ldv1Worker.create({"model": str(folder)}, resources())
    by_worker = Ldv1Worker.create({}, resources(model_path=str(folder)))
    assert by_worker.models == by_config.models
    default = Ldv1Worker.create({}, resources())
    assert [model.name.split("_")[0] for model in default.models] == ["bec-lines", "PP-OCRv6"]
    assert Ldv1Worker.create({"model": "auto"}, resources(model_path=str(folder))).models == default.models


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        Ldv1Worker.create({"model": str(tmp_path / "nowhere")}, resources())


def test_the_memory_of_a_page_follows_its_reduced_size() -> None:
    worker = Ldv1Worker.create({}, resources())
    page = PageInput(Page(0, "a.jpg"), {}, None)
    small = worker.measure(page.fetched(PageBytes(made.jpeg(Image.new("L", (1000, 500))), "etag")))
    large = worker.measure(page.fetched(PageBytes(made.jpeg(Image.new("L", (8000, 4000))), "etag")))
    assert small == 1000 * 500 * (2 + 6)
    assert large < 8000 * 4000 * (2 + 6) // 2
