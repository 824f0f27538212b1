"""Rows as columns: what jobs hand in comes back from Parquet as the same values."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bec_orch.core.volumes import Manifest, Page, PageOutcome, PageState, VolumeRef
from bec_orch.errors import TerminalError
from bec_orch.io.artefacts.columns import column
from bec_orch.io.artefacts.local_files import read_parquet, write_parquet
from bec_orch.io.artefacts.rows import artefact_schema, outcomes_table

POINT = pa.struct([("x", pa.int32()), ("y", pa.int32())])
BOX = pa.struct([(name, pa.int32()) for name in "xywh"])
_COLUMNS: dict[str, pa.DataType] = {
    "width": pa.int32(),
    "rotation_angle": pa.float32(),
    "tps_points": pa.list_(pa.list_(pa.float32())),
    "contours": pa.list_(pa.list_(POINT)),
    "nb_contours": pa.int32(),
    "contours_bboxes": pa.list_(BOX),
    "line_texts": pa.list_(pa.string()),
}
SCHEMA = pa.schema(_COLUMNS)
INT32 = st.integers(-(2**31), 2**31 - 1)
POINTS = st.lists(st.tuples(INT32, INT32), max_size=5)
FLOATS = st.floats(width=32, allow_nan=False)


def row_strategy() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "width": st.none() | INT32,
            "rotation_angle": st.none() | FLOATS,
            "tps_points": st.none() | st.lists(st.tuples(FLOATS, FLOATS, FLOATS, FLOATS), max_size=4),
            "contours": st.none() | st.lists(POINTS, max_size=4),
            "nb_contours": st.none() | INT32,
            "contours_bboxes": st.none() | st.lists(st.tuples(INT32, INT32, INT32, INT32), max_size=4),
            "line_texts": st.none() | st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4),
        },
    )


def array(values: Any, width: int, kind: str) -> Any:
    return np.array(values, dtype=kind).reshape(-1, width)


def as_arrays(row: dict[str, Any]) -> dict[str, Any]:
    """The row as a job hands it in that computes with numpy."""
    made = dict(row)
    if row.get("tps_points") is not None:
        made["tps_points"] = array(row["tps_points"], 4, "float32")
    if row.get("contours") is not None:
        made["contours"] = [array(points, 2, "int32") for points in row["contours"]]
    if row.get("contours_bboxes") is not None:
        made["contours_bboxes"] = array(row["contours_bboxes"], 4, "int32")
    if row.get("width") is not None:
        made["width"] = np.int32(row["width"])
    return made


def as_plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row as a job hands it in that knows no numpy, and as Parquet returns it."""
    made: dict[str, Any] = {name: row.get(name) for name in SCHEMA.names}
    if made["contours"] is not None:
        made["contours"] = [[{"x": x, "y": y} for x, y in points] for points in made["contours"]]
    if made["contours_bboxes"] is not None:
        made["contours_bboxes"] = [dict(zip("xywh", box, strict=True)) for box in made["contours_bboxes"]]
    if made["tps_points"] is not None:
        made["tps_points"] = [list(point) for point in made["tps_points"]]
    return made


def manifest_of(count: int) -> Manifest:
    return Manifest(VolumeRef("W1", "I1", "s"), "e", tuple(Page(n, f"{n}.jpg", f"e{n}") for n in range(count)))


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    outcomes = [PageOutcome(n, PageState.OK, f"e{n}", row=row) for n, row in enumerate(rows)]
    return outcomes_table(outcomes[::-1], manifest_of(len(rows)), SCHEMA)


@settings(deadline=None)
@given(st.lists(row_strategy(), min_size=1, max_size=5))
def test_arrays_and_plain_values_come_back_as_the_same_rows(rows: list[dict[str, Any]]) -> None:
    from_arrays, from_plain = table_of([as_arrays(row) for row in rows]), table_of([as_plain(row) for row in rows])
    from_arrays.validate(full=True)
    assert from_arrays.equals(from_plain)
    assert from_arrays.select(SCHEMA.names).to_pylist() == [as_plain(row) for row in rows]
    assert from_arrays.column("page").to_pylist() == list(range(len(rows)))


def test_rows_come_back_from_a_file(tmp_path: Path) -> None:
    table = table_of([{"contours": [array([(1, 2), (3, 4)], 2, "int64")], "tps_points": np.zeros((0, 4))}, {}])
    write_parquet(tmp_path / "x.parquet", table.schema, [table])
    found = read_parquet(tmp_path / "x.parquet")
    assert found.schema.equals(table.schema)
    assert found.equals(table)


def test_arrays_of_no_width() -> None:
    kind = pa.list_(pa.list_(pa.float32()))
    assert column([np.zeros((3, 0), "float32"), None], kind).to_pylist() == [[[], [], []], None]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"width": "wide"}, "width"),
        ({"width": 2**31}, "width"),
        ({"contours": [np.zeros((2, 3), "int32")]}, "contours"),
        ({"contours": [np.full((2, 2), 2**40)]}, "contours"),
        ({"contours": 3}, "contours"),
        ({"line_texts": ["\ud800"]}, "line_texts"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_row_that_does_not_fit_is_terminal_and_named(row: dict[str, Any], name: str) -> None:
    with pytest.raises(TerminalError, match=name) as caught:
        table_of([row])
    assert caught.value.code == "E_ROW_SCHEMA"


def test_a_job_may_not_take_the_common_columns() -> None:
    with pytest.raises(TerminalError, match="ok, page"):
        artefact_schema(SCHEMA.append(pa.field("ok", pa.bool_())).append(pa.field("page", pa.int32())))


def test_messages_are_cut_and_made_storable() -> None:
    outcome = PageOutcome(0, PageState.ERROR, error_message="\udcff" + "x" * 5000)
    message = outcomes_table([outcome], manifest_of(1), SCHEMA).column("error_message")[0].as_py()
    assert message == r"\xff" + "x" * 1996
