"""The picture of a volume whose lines were read."""

from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from bec_orch.core.job_types.registry import types_with_pictures, volume_picture
from bec_orch.errors import PageError
from bec_orch.io.artefacts.rows import artefact_schema
from bec_orch.jobs.ocrv1.worker import SCHEMA

PAPER = 230


def rows_of(*pages: dict[str, Any]) -> pa.Table:
    common = {"source_etag": None, "skipped": False, "ok": True}
    schema = artefact_schema(SCHEMA)
    full = [
        {**dict.fromkeys(schema.names), **common, "img_file_name": f"{n}.jpg", **page} for n, page in enumerate(pages)
    ]
    return pa.Table.from_pylist(full, schema=schema)


def read(at: int) -> bytes:
    if at == 1:
        raise PageError("It is gone.", stage="fetch")
    return cv2.imencode(".jpg", np.full((300, 1000), PAPER, np.uint8))[1].tobytes()


def sheet_of(rows: pa.Table) -> Any:
    draw = volume_picture("ocrv1")
    assert draw is not None
    found = cv2.imdecode(np.frombuffer(draw("W1/I1", rows, read), np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return found.astype(int)


def test_boxes_of_lines_are_drawn_where_they_are() -> None:
    assert "ocrv1" in types_with_pictures()
    box = {"x": 100, "y": 30, "w": 300, "h": 40}
    drawn = sheet_of(rows_of({"line_bboxes": [box], "line_texts": ["ཀ"]}))
    blank = sheet_of(rows_of({"line_bboxes": [], "line_texts": []}))
    assert drawn.shape == blank.shape
    changed = np.abs(drawn - blank).sum(axis=2) > 60
    page = changed[44:320]  # below the title, above the caption
    assert page[50:60, 200:300].mean() > 0.9  # within the box, at the scale of the sheet
    assert not page[100:, 600:].any()


def test_pages_that_were_not_read_are_cards() -> None:
    error = {"ok": False, "error_type": "E_X", "error_message": "It is broken."}
    skipped = {"ok": False, "skipped": True, "skip_reason": "intro"}
    gone = {"line_bboxes": [{"x": 0, "y": 0, "w": 9, "h": 9}], "line_texts": [""]}
    assert sheet_of(rows_of(error, gone, skipped)).size
