from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from bec_orch.core.job_worker import JobContext
from bec_orch.core.models import PageOutcome, PageState
from bec_orch.errors import TerminalError
from bec_orch.jobs.ldv1.page_lines import PageLines
from bec_orch.jobs.ocrv1.found_lines import PageWithLines, lines_of, with_lines
from tests.unit.fakes import MemoryRows, context
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
)


def of_volume(*names: str, skipped: dict[str, str] | None = None, **tables: pa.Table) -> JobContext:
    volume = context(dict.fromkeys(names, b""), MemoryRows(), skipped=skipped)
    return replace(volume, dependencies={name: partial(pa.table, table) for name, table in tables.items()})


def test_lines_come_back_as_they_were_stored() -> None:
    found = lines_of(line_rows({"a": PageLines(9, 8), "b": FOUND}), 1)
    assert (found.width, found.height, found.rotation_angle, found.tps_alpha) == (400, 300, 1.5, 0.5)
    assert found.tps_points is not None
    assert np.array_equal(found.tps_points, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert all(np.array_equal(one, other) for one, other in zip(found.contours, FOUND.contours, strict=True))
    assert found.line_ids == (0, 0, 1)
    assert found.bboxes == FOUND.bboxes


def test_in_older_artefacts_every_contour_is_a_line() -> None:
    older = line_rows({"a": FOUND}).drop_columns(["line_ids", "scores", "nb_lines", "skipped", "skip_reason"])
    assert lines_of(older, 0).line_ids == (0, 1, 2)
    (page,) = with_lines(of_volume("a", ldv1=older)).manifest.pages
    assert page.skip_reason is None


def test_each_page_gets_its_row_by_name_and_its_reason() -> None:
    rows = line_rows(
        {
            "b": FOUND,
            "a": PageLines(9, 8),
            "cut": PageOutcome(2, PageState.ERROR, error_stage="decode", error_type="E_IMAGE_TRUNCATED"),
            "intro": PageOutcome(3, PageState.SKIPPED, skip_reason="intro"),
            "form": PageOutcome(4, PageState.SKIPPED, skip_reason="form"),
        }
    )
    volume = of_volume("a", "b", "cut", "intro", "form", "new", skipped={"intro": "intro"}, found=rows)
    pages = with_lines(volume).manifest.pages
    assert [page.skip_reason for page in pages] == [
        None,
        None,
        "found: E_IMAGE_TRUNCATED",
        "intro",
        "found: form",
        "found: no row",
    ]
    assert isinstance(pages[1], PageWithLines)
    assert pages[1].lines().line_count == 2
    assert [page.index for page in pages] == list(range(6))


def test_a_row_without_contours_is_a_page_without_lines() -> None:
    rows = line_rows({"a": PageOutcome(0, PageState.ERROR, error_type="E_X")})
    assert lines_of(rows, 0).contours == ()


def test_other_dependencies_do_not_matter() -> None:
    other = pa.table({"img_file_name": ["a"], "brightness": [1.0]})
    (page,) = with_lines(of_volume("a", light=other, ldv1=line_rows({"a": FOUND}))).manifest.pages
    assert page.skip_reason is None


@pytest.mark.parametrize("names", [(), ("one", "two")])
def test_one_job_must_tell_the_lines(names: tuple[str, ...]) -> None:
    tables = {name: line_rows({"a": FOUND}) for name in names}
    with pytest.raises(TerminalError, match="needs one job that finds text lines") as caught:
        with_lines(of_volume("a", **tables))
    assert caught.value.code == "E_OCR_NO_LINES"
    assert "--depends-on ldv1" in caught.value.hint
