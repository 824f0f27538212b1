"""What the library's earlier system left, told in our columns: each kind by its example, and by what could be in it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bec_orch.jobs.earlier.columns import ERROR, in_our_columns
from bec_orch.jobs.evalv1.ocr_rows import require_ocr
from bec_orch.jobs.ocrv1.found_lines import line_job, lines_of
from bec_orch.jobs.ocrv1.worker import SCHEMA as READ
from bec_orch.jobs.pipeline.page_input import InputRow, InputRows

TEXT = "བཀྲ་ཤིས་བདེ་ལེགས།"
OCR = {"ocrv1-ws-ldv1": 2, "ocr_qwen_v1": 2, "paddleocr_v2": 2, "gv": 1}
STATE = ("ok", "error_stage", "error_type", "error_message", "skipped", "skip_reason")


def example(shared_data: Path, job: str) -> pa.Table:
    found = sorted((shared_data / "earlier_system" / "artefacts" / job).rglob("*.parquet"))
    if not found:
        pytest.skip(f"the example of {job} is not there")
    rows = in_our_columns(pq.read_table(found[0]))
    rows.validate(full=True)
    return rows


def told(*, metadata: Any = None, **columns: Any) -> list[dict[str, Any]]:
    rows = in_our_columns(pa.table(columns).replace_schema_metadata(metadata))
    rows.validate(full=True)
    return rows.to_pylist()


@pytest.mark.parametrize("job", ["ldv1", "script_classification_v2", *OCR])
def test_each_page_has_a_state(shared_data: Path, job: str) -> None:
    rows = example(shared_data, job).to_pylist()
    good = [True, None, None, None, False, None]
    assert [[row[name] for name in STATE] for row in (rows[0], rows[1], rows[3])] == [good] * 3
    why = {"ldv1": "ValueError: truncated"}.get(job, "truncated")
    stage = None if job == "ocrv1-ws-ldv1" else "decode"
    bad = good if job == "gv" else [False, stage, ERROR, why, False, None]
    assert [rows[2][name] for name in STATE] == bad


def test_lines_feed_the_job_that_reads_them(shared_data: Path) -> None:
    rows = InputRows("ldv1", example(shared_data, "ldv1"))
    assert line_job("ocr", {"ldv1": rows}) == "ldv1"
    found = lines_of(InputRow("ldv1", rows.table, 0), (1000, 400))
    assert (found.width, found.height, found.rotation_angle, found.line_ids) == (1000, 400, 0.5, (0, 1))
    assert found.bboxes == ((100, 100, 801, 61), (100, 200, 801, 61))
    assert found.tps_alpha == 0.0
    assert InputRow("ldv1", rows.table, 2).skip_reason == f"ldv1: {ERROR}"
    assert rows.table.schema.field("contours").type == pa.list_(
        pa.list_(pa.struct([("x", pa.int32()), ("y", pa.int32())]))
    )


@pytest.mark.parametrize("job", OCR)
def test_text_feeds_the_job_that_evaluates_it(shared_data: Path, job: str) -> None:
    rows = example(shared_data, job)
    require_ocr({job: InputRows(job, rows)}, [job])
    first, _, third, _ = rows.to_pylist()
    assert first["line_texts"] == [TEXT] * OCR[job]
    assert first["page_text"] == "\n".join([TEXT] * OCR[job])
    assert first["nb_lines"] == OCR[job]
    assert first["line_confidences"] == (pytest.approx([0.9], abs=1e-3) if job == "gv" else None)
    if job != "gv":
        assert [third[name] for name in ("line_texts", "page_text", "nb_lines", "line_confidences")] == [None] * 4
    for name in ("line_texts", "page_text", "nb_lines", "line_confidences", "line_bboxes"):
        assert rows.schema.field(name).type == READ.field(name).type


def test_a_class_of_an_error_is_none(shared_data: Path) -> None:
    rows = example(shared_data, "script_classification_v2").to_pylist()
    assert [row["label"] for row in rows] == ["uchen", "uchen", None, "uchen"]
    assert [row["probs"] is None for row in rows] == [False, False, True, False]


def test_rows_of_ours_are_handed_on_as_they_are() -> None:
    ours = pa.table({"contours": [None], "ok": [True], "error_type": [None], "skipped": [False], "skip_reason": [None]})
    assert in_our_columns(ours) is ours


def test_columns_that_nobody_knows_are_handed_on() -> None:
    [row] = told(img_file_name=["a"], brightness=[1.5])
    assert (row["brightness"], row["ok"], row["skipped"]) == (1.5, True, False)


def test_an_angle_of_nothing_is_none_and_no_etag_too() -> None:
    rows = told(contours=[[], [], []], rotation_angle=[0.0, None, -1.5], source_etag=["", '"ab"', "ab"])
    assert [row["rotation_angle"] for row in rows] == [None, None, -1.5]
    assert [row["source_etag"] for row in rows] == [None, '"ab"', "ab"]


def test_a_page_of_whom_nothing_is_known_is_not_done() -> None:
    rows = told(page_text=["a", "b"], ok=[None, False], error_stage=["infer", "infer"])
    assert [(row["ok"], row["error_type"], row["error_message"]) for row in rows] == [(False, ERROR, "not told")] * 2
    [row] = told(text=[None], confidence=pa.array([None], pa.float16()))
    assert (row["ok"], row["error_type"]) == (False, ERROR)


def test_a_page_that_was_left_out_is_no_error() -> None:
    [row] = told(page_text=[None], ok=[True], skipped=[True], skip_reason=["blank"], error_message=["none"])
    assert [row[name] for name in STATE] == [False, None, None, None, True, "blank"]


def test_lines_of_a_page_are_cut_at_breaks_alone() -> None:
    [row] = told(page_text=["one\r\n\ntwo\u2028half\r three"], ok=[True])
    assert row["line_texts"] == ["one", "two\u2028half", " three"]
    assert row["page_text"] == "one\r\n\ntwo\u2028half\r three"


def test_lines_without_text_keep_their_place() -> None:
    [row] = told(texts=[["one", None, ""]], ok=[True])
    assert (row["line_texts"], row["page_text"], row["nb_lines"]) == (["one", "", ""], "one\n\n", 3)


@pytest.mark.parametrize(
    "columns",
    [
        {"contours": [5], "ok": [True]},
        {"texts": [[[1]]], "ok": [True]},
        {"texts": ["text"], "ok": [True]},
        {"page_text": [[1]], "ok": [True]},
        {"page_text": ["a"], "ok": ["perhaps"]},
        {"text": ["a"], "confidence": ["sure"]},
        {"status": [[1]], "label": ["a"]},
        {"contours": [[[{"x": 2**40, "y": 0}]]], "ok": [True]},
    ],
)
def test_columns_of_another_kind_are_refused(columns: dict[str, Any]) -> None:
    with pytest.raises((pa.ArrowException, ValueError)):
        in_our_columns(pa.table(columns))


@pytest.mark.parametrize("contours", [[[]], [None], [[{"x": -9, "y": 700}, {"x": 30000, "y": 5}]]])
def test_contours_that_reach_out_of_the_page_are_moved_into_it(contours: Any) -> None:
    kind = pa.list_(pa.list_(pa.struct([("x", pa.int16()), ("y", pa.int16())])))
    rows = in_our_columns(pa.table({"contours": pa.array([contours], kind), "ok": [True]}))
    found = lines_of(InputRow("", rows, 0), (100, 50))
    [(x, y, width, height)] = found.bboxes
    assert x >= 0 <= y
    assert x + width <= 100
    assert y + height <= 50


def test_a_page_without_a_size_is_as_large_as_its_lines_reach() -> None:
    kind = pa.list_(pa.list_(pa.struct([("x", pa.int16()), ("y", pa.int16())])))
    line = [{"x": 3, "y": 4}, {"x": 90, "y": 40}]
    rows = in_our_columns(pa.table({"contours": pa.array([[line], []], kind), "ok": [True, True]}))
    sizes = [(lines.width, lines.height) for lines in (lines_of(InputRow("", rows, place)) for place in (0, 1))]
    assert sizes == [(91, 41), (1, 1)]
