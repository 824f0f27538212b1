import numpy as np
import pyarrow as pa
import pytest

from bec_orch.core.volumes import Page, PageOutcome, PageState
from bec_orch.errors import TerminalError
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1.found_lines import line_job, lines_of
from bec_orch.jobs.pipeline.page_input import InputRow, InputRows
from tests.unit.ocrv1.made import box_contour, line_rows

FOUND = PageLines(
    width=400,
    height=300,
    rotation_angle=1.5,
    tps_points=np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32),
    tps_alpha=0.5,
    contours=(box_contour(10, 10, 50, 9), box_contour(70, 11, 50, 9), box_contour(10, 40, 50, 9)),
    bboxes=((10, 10, 50, 9), (70, 11, 50, 9), (10, 40, 50, 9)),
    line_ids=(0, 0, 1),
    scores=(1.0, 1.0, 1.0),
    kinds=("main", "main", "note"),
)


def row_of(table: pa.Table, name: str) -> InputRow:
    return InputRows("found", table).of(Page(0, name))


def test_lines_come_back_as_they_were_stored() -> None:
    found = lines_of(row_of(line_rows({"a": PageLines(9, 8), "b": FOUND}), "b"))
    assert (found.width, found.height, found.rotation_angle, found.tps_alpha) == (400, 300, 1.5, 0.5)
    assert found.tps_points is not None
    assert np.array_equal(found.tps_points, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert all(np.array_equal(one, other) for one, other in zip(found.contours, FOUND.contours, strict=True))
    assert found.line_ids == (0, 0, 1)
    assert found.bboxes == FOUND.bboxes
    assert found.kinds == FOUND.kinds
    assert found.kinds_by_line == {0: "main", 1: "note"}


def test_in_older_artefacts_every_contour_is_a_line() -> None:
    older = line_rows({"a": FOUND}).drop_columns(["line_ids", "scores", "nb_lines", "skipped", "skip_reason"])
    assert lines_of(row_of(older, "a")).line_ids == (0, 1, 2)
    assert lines_of(row_of(older.drop_columns("line_kinds"), "a")).kinds_by_line == dict.fromkeys(range(3), "main")
    assert row_of(older, "a").skip_reason is None


def test_a_row_without_contours_is_a_page_without_lines() -> None:
    rows = line_rows({"a": PageOutcome(0, PageState.ERROR, error_type="E_X")})
    assert lines_of(row_of(rows, "a")).contours == ()


def test_other_dependencies_do_not_matter() -> None:
    other = pa.table({"img_file_name": ["a"], "brightness": [1.0]})
    assert line_job("ocr", {"light": InputRows("light", other), "l": InputRows("l", line_rows({"a": FOUND}))}) == "l"


@pytest.mark.parametrize("names", [(), ("one", "two")])
def test_one_job_must_have_the_lines(names: tuple[str, ...]) -> None:
    rows = {name: InputRows(name, line_rows({"a": FOUND})) for name in names}
    with pytest.raises(TerminalError, match="needs one job that finds text lines") as caught:
        line_job("ocr", rows)
    assert caught.value.code == "E_OCR_NO_LINES"
    assert "--depends-on ldv1" in caught.value.hint
