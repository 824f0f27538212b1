"""What rows of `ldv1`, `ocrv1` and `importv1` say of a page."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from bec_orch.core.job_types.registry import content_of, types_with_exports
from bec_orch.core.transcripts import Line, PageContent
from bec_orch.io.artefacts.columns import column
from bec_orch.jobs.handed_on.outlines import baseline, outline
from bec_orch.jobs.handed_on.rows import IMPORTV1, LDV1, OCRV1
from bec_orch.jobs.importv1.worker import SCHEMA as IMPORTED
from bec_orch.jobs.importv1.worker import row_of
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.worker import SCHEMA as FOUND
from bec_orch.jobs.ocrv1.cut.straighten import straightening
from bec_orch.jobs.ocrv1.worker import SCHEMA as READ
from tests.unit.exports.made import FULL

LEFT = np.array([[10, 10], [100, 10], [100, 40], [10, 40]], np.int32)
RIGHT = np.array([[120, 12], [220, 12], [220, 42], [120, 42]], np.int32)
BELOW = np.array([[10, 60], [220, 60], [220, 90], [10, 90]], np.int32)


def table(schema: pa.Schema, row: Mapping[str, Any], **more: "pa.Array[Any]") -> pa.Table:
    arrays = {field.name: column([row.get(field.name)], field.type) for field in schema}
    return pa.table({**arrays, **more})


def found(**changed: Any) -> pa.Table:
    row = {"width": 300, "height": 100, "contours": [LEFT, RIGHT, BELOW], "line_ids": [0, 0, 1], **changed}
    return table(FOUND, row)


def read(**changed: Any) -> pa.Table:
    row = {
        "line_bboxes": np.array([[10, 10, 211, 33], [10, 60, 211, 31]], np.int32),
        "line_texts": ["one", "two"],
        "line_confidences": [0.5, float("nan")],
        **changed,
    }
    return table(READ, row)


def test_the_built_in_types_have_something_to_hand_on() -> None:
    assert {"importv1", "ldv1", "ocrv1"} <= set(types_with_exports())
    assert content_of("ocrv1") is OCRV1
    assert content_of("evalv1") is None
    assert OCRV1.usual == ("txt",)


def test_segments_of_a_line_are_one_outline_that_holds_them() -> None:
    polygon = np.array(outline([LEFT, RIGHT]))
    assert polygon.min(axis=0).tolist() == [10, 10]
    assert polygon.max(axis=0).tolist() == [220, 42]
    middle = cv2.pointPolygonTest(polygon.astype(np.float32), (110.0, 26.0), measureDist=False)
    above = cv2.pointPolygonTest(polygon.astype(np.float32), (110.0, 12.0), measureDist=False)
    assert (middle, above) == (1, -1)


def test_a_single_segment_is_the_outline_as_it_is() -> None:
    assert outline([LEFT]) == ((10, 10), (100, 10), (100, 40), (10, 40))


@pytest.mark.parametrize("contours", [[LEFT[:1], RIGHT], [LEFT[:2], RIGHT[:2]], [LEFT, LEFT]])
def test_degenerate_segments_have_an_outline(contours: list[Any]) -> None:
    assert len(outline(contours)) >= 2


def test_a_level_line_has_a_level_baseline_three_quarters_down() -> None:
    lines = PageLines(300, 100)
    assert baseline([LEFT], straightening(lines), (300, 100)) == ((10, 32), (100, 32))


def test_a_turned_line_has_a_turned_baseline() -> None:
    angle = np.deg2rad(3.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    leaning = np.rint((LEFT - (150, 50)) @ turn + (150, 50)).astype(np.int32)
    (x, y), (end_x, end_y) = baseline([leaning], straightening(PageLines(300, 100, 3.0)), (300, 100))
    assert np.rad2deg(np.arctan2(end_y - y, end_x - x)) == pytest.approx(3.0, abs=0.7)
    (left, top), (right, bottom) = leaning[0], leaning[3]
    assert x == pytest.approx(left + 0.75 * (right - left), abs=1.5)
    assert y == pytest.approx(top + 0.75 * (bottom - top), abs=1.5)


def test_a_curved_line_has_points_along_its_curve() -> None:
    xs = np.linspace(0, 1900, 20)
    rise = 40 * np.sin(xs / 1900 * np.pi)
    bent = np.column_stack([np.concatenate([xs, xs]), np.concatenate([100 + rise, 400 + rise])])
    level = np.column_stack([bent[:, 0], np.repeat([100.0, 400.0], 20)])
    points = np.column_stack([bent[:, 1], bent[:, 0], level[:, 1], level[:, 0]]).astype(np.float32)
    curved = np.rint(np.concatenate([bent[:20], bent[:20][::-1] + np.array([0, 60])])).astype(np.int32)
    found_line = np.array(baseline([curved], straightening(PageLines(1901, 600, None, points, 0.0)), (1901, 600)))
    expected = 145 + 40 * np.sin(found_line[:, 0] / 1900 * np.pi)
    assert len(found_line) > 20
    assert np.abs(found_line[:, 1] - expected).max() < 4


def test_lines_of_ldv1_have_places_and_no_text() -> None:
    (page,) = LDV1(found(rotation_angle=0.5), {})
    assert (page.size, page.rotation) == ((300, 100), 0.5)
    assert [line.text for line in page.lines] == [None, None]
    assert page.lines[0].box == (10, 10, 211, 33)
    assert [line.kind for line in page.lines] == ["main", "main"]


def test_kinds_are_those_of_each_line_and_unknown_ones_are_other() -> None:
    kinds = pa.array([["margin", "margin", "unheard-of"]], pa.list_(pa.string()))
    (page,) = LDV1(found().drop_columns("line_kinds").append_column("line_kinds", kinds), {})
    assert [line.kind for line in page.lines] == ["margin", "other"]


def test_baselines_are_those_of_the_job_where_it_states_them() -> None:
    told = [[{"x": 10, "y": 30}, {"x": 90, "y": 31}], [{"x": 95, "y": 31}, {"x": 220, "y": 33}], [{"x": 10, "y": 80}]]
    (page,) = LDV1(found(line_baselines=told), {})
    assert page.lines[0].baseline == ((10, 30), (90, 31), (95, 31), (220, 33))
    assert page.lines[1].baseline == ((10, 80),)


def test_text_of_ocrv1_has_the_outlines_of_the_job_that_found_its_lines() -> None:
    (page,) = OCRV1(read(), {"labels": pa.table({"img_file_name": ["a"]}), "lines": with_name(found())})
    assert [(line.text, line.confidence) for line in page.lines] == [("one", 0.5), ("two", None)]
    assert page.lines[1].polygon == ((10, 60), (220, 60), (220, 90), (10, 90))
    assert all(line.baseline for line in page.lines)
    assert page.size == (300, 100)


def with_name(rows: pa.Table) -> pa.Table:
    return rows.append_column("img_file_name", pa.array(["a.jpg"]))


@pytest.mark.parametrize(
    "inputs", [{}, {"lines": with_name(found(line_ids=[0, 1, 2]))}, {"lines": with_name(table(FOUND, {}))}]
)
def test_without_those_lines_boxes_stand_for_outlines(inputs: dict[str, pa.Table]) -> None:
    (page,) = OCRV1(read(), inputs)
    assert page.lines[0] == Line(((10, 10), (220, 10), (220, 42), (10, 42)), (), "one", 0.5)


def test_rows_of_pages_that_were_not_done_have_nothing() -> None:
    assert list(OCRV1(table(READ, {}), {})) == [PageContent()]
    assert list(LDV1(table(FOUND, {}), {})) == [PageContent()]
    assert list(IMPORTV1(table(IMPORTED, {}), {})) == [PageContent()]


def test_an_imported_page_is_what_its_document_says() -> None:
    assert FULL.content.size
    (page,) = IMPORTV1(table(IMPORTED, row_of(FULL.content, FULL.content.size)), {})
    assert [line.text for line in page.lines] == [line.text for line in FULL.content.lines]
    assert [line.kind for line in page.lines] == [line.kind for line in FULL.content.lines]
    assert [line.polygon for line in page.lines] == [line.polygon for line in FULL.content.lines]
    assert [line.baseline for line in page.lines] == [line.baseline for line in FULL.content.lines]
    assert (page.size, page.rotation) == (FULL.content.size, 1.25)


def test_places_outside_of_the_page_are_moved_to_its_edge() -> None:
    row = row_of(PageContent((Line(((-5, -5), (500, 3), (500, 900))),)), (100, 50))
    assert row["contours"][0].tolist() == [[0, 0], [99, 3], [99, 49]]
