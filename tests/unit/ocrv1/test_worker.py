from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from bec_orch.core.job_types.registry import job_worker_class
from bec_orch.core.volumes import PageOutcome, PageState
from bec_orch.errors import ConfigError, TerminalError
from bec_orch.io.artefacts.rows import outcomes_table
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1 import worker
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import EMPTY, Grey, LineText, Recogniser
from bec_orch.jobs.ocrv1.worker import SCHEMA, Ocrv1Worker
from tests.unit.fakes import MemoryRows, context, resources
from tests.unit.ocrv1.made import box_contour, line_rows, lines_at, model_folder, page_of, png, spelled, wylie_bands

if TYPE_CHECKING:
    from bec_orch.core.ports.job_worker import JobWorker


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "bands")


def written(*texts: str) -> tuple[bytes, PageLines]:
    page, lines = page_of([spelled(wylie_bands(text)) for text in texts])
    return png(page), lines


def run(
    folder: Path, pages: Mapping[str, tuple[bytes, PageLines | PageOutcome]], **config: Any
) -> dict[int, PageOutcome]:
    rows = MemoryRows()
    table = line_rows({name: found for name, (_, found) in pages.items()})
    volume = replace(
        context({name: data for name, (data, _) in pages.items()}, rows), dependencies={"ldv1": lambda: table}
    )
    job: JobWorker = Ocrv1Worker.create({"engine": "ctc", "model": str(folder), **config}, resources())
    job.run(volume)
    job.close()
    assert outcomes_table(list(rows.flushed.values()), volume.manifest, job.schema).num_rows == len(pages)
    return rows.flushed


def test_it_is_the_job_type_that_is_installed() -> None:
    assert job_worker_class("ocrv1") is Ocrv1Worker


@pytest.mark.parametrize("batch_size", [None, 4])
def test_lines_become_text_in_reading_order(folder: Path, batch_size: int | None) -> None:
    pages = {
        "a.png": written("kha§ka", "ka", "ha§kha"),
        "b.png": written("k§kha"),
        "c.png": written(*["ka§" * count for count in range(1, 6)]),
    }
    found = run(folder, pages, **({"batch_size": batch_size} if batch_size else {}))
    assert [found[index].row["page_text"] for index in range(3)] == [
        "ཁ་ཀ\nཀ\nཧ་ཁ",
        "ཀ་ཁ",
        "\n".join("ཀ་" * count for count in range(1, 6)),
    ]
    row = found[0].row
    assert row["line_texts"] == ["ཁ་ཀ", "ཀ", "ཧ་ཁ"]
    assert row["nb_lines"] == 3
    assert all(0.9 < confidence <= 1 for confidence in row["line_confidences"])
    assert np.array_equal(row["line_bboxes"], pages["a.png"][1].bboxes)
    assert set(row) == set(SCHEMA.names)


def test_all_kinds_are_read_and_the_text_of_the_page_has_those_of_the_config(folder: Path) -> None:
    data, lines = written("kha", "ka", "ha")
    page = {"a.png": (data, replace(lines, kinds=("main", "running", "note")))}
    row = run(folder, page)[0].row
    assert row["line_texts"] == ["ཁ", "ཀ", "ཧ"]
    assert row["line_kinds"] == ["main", "running", "note"]
    assert row["page_text"] == "ཁ"
    wider = run(folder, page, page_text_kinds=["note", "main"])[0].row
    assert wider["page_text"] == "ཁ\nཧ"
    assert wider["line_texts"] == row["line_texts"]


def test_lines_of_artefacts_without_kinds_are_main_text(folder: Path) -> None:
    data, lines = written("kha", "ka")
    rows = MemoryRows()
    older = line_rows({"a.png": lines}).drop_columns(["line_kinds", "line_baselines", "line_model"])
    volume = replace(context({"a.png": data}, rows), dependencies={"ldv1": lambda: older})
    Ocrv1Worker.create({"engine": "ctc", "model": str(folder)}, resources()).run(volume)
    assert rows.flushed[0].row["line_kinds"] == ["main", "main"]
    assert rows.flushed[0].row["page_text"] == "ཁ\nཀ"


def test_the_kinds_of_a_pages_text_count_for_the_config_where_they_are_not_the_usual_ones() -> None:
    usual, both = Ocrv1Config(), Ocrv1Config.parse({"page_text_kinds": ["note", "main"]})
    assert "page_text_kinds" not in usual.hashed()
    assert both.hashed()["page_text_kinds"] == ["main", "note"]
    assert both.output_hash() == Ocrv1Config.parse({"page_text_kinds": ["main", "note"]}).output_hash()
    for wrong in ([], ["title"]):
        with pytest.raises(ConfigError):
            Ocrv1Config.parse({"page_text_kinds": wrong})


def test_pages_without_lines_are_carried_on(folder: Path) -> None:
    data, lines = written("ka")
    found = run(
        folder,
        {
            "a.png": (data, PageOutcome(0, PageState.ERROR, error_type="E_IMAGE_TRUNCATED")),
            "b.png": (data, PageOutcome(1, PageState.SKIPPED, skip_reason="form")),
            "c.png": (data, replace(lines, contours=(), bboxes=(), line_ids=(), scores=())),
            "d.png": (b"no image", lines),
        },
    )
    assert [found[index].state for index in range(4)] == ["skipped", "skipped", "ok", "error"]
    assert [found[index].skip_reason for index in range(2)] == ["ldv1: E_IMAGE_TRUNCATED", "ldv1: form"]
    assert (found[2].row["page_text"], found[2].row["nb_lines"]) == ("", 0)
    assert found[3].error_type == "E_IMAGE_NOT_IMAGE"


def test_an_empty_line_is_empty_text(folder: Path) -> None:
    page, lines = page_of([spelled(wylie_bands("ka")), spelled(wylie_bands("kha"))])
    empty = box_contour(700, 20, 150, 30)
    lines = lines_at(page, [lines.contours[0], empty, lines.contours[1]])
    row = run(folder, {"a.png": (png(page), lines)})[0].row
    assert row["line_texts"] == ["ཀ", "", "ཁ"]
    assert row["page_text"] == "ཀ\n\nཁ"
    assert row["line_confidences"][1] == 0.0


class Doubtful(Recogniser):
    """Reads lines with the confidences that it was given."""

    models = ()
    line_height = 40
    batch_size = 8
    unsure = 0.7

    def __init__(self, *read: LineText) -> None:
        self.left = list(read)

    def recognise(self, images: Sequence[Grey]) -> list[LineText]:
        return [self.left.pop(0) for _ in images]

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("read", "doubts"),
    [
        ((LineText("ཀ", 0.7), LineText("ཁ", 0.69), LineText("ག", 0.9, by_language=True)), (1, 0, 1)),
        ((LineText("ཀ", 0.8), LineText("ཁ", 0.6), EMPTY), (2, 1, 0)),
        ((LineText("ཀ", 0.8), LineText("ཁ", 0.6)), (1, 0, 0)),
        ((), (0, 0, 0)),
    ],
)
def test_lines_and_pages_that_are_hardly_read_are_counted(
    monkeypatch: pytest.MonkeyPatch, read: tuple[LineText, ...], doubts: tuple[int, int, int]
) -> None:
    """A line with ink in which nothing was read is unsure too; one without ink, as the first here, is not."""
    monkeypatch.setattr(worker, "load_recogniser", lambda *_: Doubtful(*read))
    page, lines = page_of([spelled(wylie_bands("ka"))] * 3)
    lines = lines_at(page, [box_contour(700, 20, 150, 30), *lines.contours[: len(read)]])
    rows = MemoryRows()
    table = line_rows({"a.png": lines})
    volume = replace(context({"a.png": png(page)}, rows), dependencies={"ldv1": lambda: table})
    Ocrv1Worker.create({"engine": "tesseract"}, resources()).run(volume)
    row = rows.flushed[0].row
    assert tuple(row[f"nb_{name}"] for name in ("unsure_lines", "unsure_pages", "language_lines")) == doubts


def test_a_page_of_another_size_than_its_lines_is_an_error(folder: Path) -> None:
    data, lines = written("ka")
    found = run(folder, {"a.png": (data, replace(lines, width=lines.width + 1))})
    assert found[0].error_type == "E_PAGE_OTHER_SIZE"


def test_how_the_page_was_straightened_is_carried_over(folder: Path) -> None:
    data, lines = written("ka", "ka")
    points = np.array([[y, x, y, x] for y in (10, 90) for x in (0, 400, 800)], np.float32)
    found = run(folder, {"a.png": (data, replace(lines, rotation_angle=0.25, tps_points=points, tps_alpha=0.5))})
    assert found[0].row["rotation_angle"] == 0.25
    assert np.array_equal(found[0].row["tps_points"], points)
    assert found[0].row["tps_alpha"] == 0.5
    assert found[0].row["line_texts"] == ["ཀ", "ཀ"]


def test_the_columns_are_those_of_the_stored_format() -> None:
    assert [f"{field.name}: {field.type}" for field in SCHEMA] == [
        "rotation_angle: float",
        "tps_points: list<item: list<item: float>>",
        "tps_alpha: float",
        "line_bboxes: list<item: struct<x: int32, y: int32, w: int32, h: int32>>",
        "line_texts: list<item: string>",
        "line_kinds: list<item: string>",
        "nb_lines: int32",
        "line_confidences: list<item: float>",
        "page_text: string",
        "nb_unsure_lines: int32",
        "nb_unsure_pages: int32",
        "nb_language_lines: int32",
    ]
    assert all(pa.types.is_int32(SCHEMA.field(name).type) for name in Ocrv1Worker.counted.values())


def test_without_lines_to_read_the_volume_fails_for_good(folder: Path) -> None:
    job = Ocrv1Worker.create({"engine": "ctc", "model": str(folder)}, resources())
    with pytest.raises(TerminalError, match="none of the jobs"):
        job.run(context({"a.png": b""}, MemoryRows()))


@pytest.mark.parametrize(
    ("config", "engine"),
    [
        ({}, "bec"),
        ({"lm": "none"}, "bec"),
        ({"language": "bod+eng"}, "tesseract"),
        ({"language": "eng"}, "tesseract"),
        ({"tessdata": "/some/bod.traineddata"}, "tesseract"),
    ],
)
def test_auto_takes_our_own_engine_for_tibetan_and_tesseract_else(config: dict[str, str], engine: str) -> None:
    assert Ocrv1Config.parse({"engine": "auto", **config}).chosen_engine == engine


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"engine": "ctc"}, "needs a `model`"),
        ({"engine": "ppocr", "language": "eng"}, "`language` is for the engine `tesseract`, not for `ppocr`"),
        ({"decoder": "beam"}, "`decoder` is for the engine `ctc`"),
        ({"engine": "auto", "lm": "none", "language": "eng"}, "`lm` is for the engine `bec`, not for `tesseract`"),
        ({"engine": "auto", "beam_width": 3}, "`beam_width` is for the engine `ctc`, not for `bec`"),
        ({"engine": "abbyy"}, "engine"),
        ({"language": "bod; rm"}, "language"),
        ({"language": "../../etc/x"}, "language"),
    ],
)
def test_configs_are_checked(config: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Ocrv1Worker.create(config, resources())
