"""The rows of a line-detection job, as a job that reads those lines wants them.

Read are the columns of `ldv1`. The library's older artefacts have no `line_ids`: there every contour is a line, in the
order in which they stand; and no columns for skipped pages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bec_orch.core.job_worker import JobContext
from bec_orch.core.models import Manifest, Page
from bec_orch.errors import TerminalError
from bec_orch.jobs.ldv1.page_lines import PageLines
from bec_orch.jobs.shared.geometry import bounding_box

NEEDED = ("img_file_name", "width", "height", "contours")


@dataclass(frozen=True, slots=True)
class PageWithLines(Page):
    """A page that knows where the lines that were found on it are told.

    Attributes:
        rows: the rows of the job that found them.
        row: the page's own; -1 when there is none.
    """

    rows: pa.Table = None
    row: int = -1

    def lines(self) -> PageLines:
        """Read the page's lines."""
        return lines_of(self.rows, self.row)


def with_lines(context: JobContext) -> JobContext:
    """Give a context whose pages are `PageWithLines`.

    Pages that the job which found the lines skipped or failed are to be skipped, with its name and its reason.

    Raises:
        TerminalError: E_OCR_NO_LINES, not exactly one dependency of the job tells lines.
    """
    name, table = _line_rows(context.job, context.dependencies)
    rows = {filename: row for row, filename in enumerate(table["img_file_name"].to_pylist())}
    reasons = _reasons(name, table)
    pages = tuple(_with_lines(page, table, rows, reasons, name) for page in context.manifest.pages)
    manifest = Manifest(context.manifest.volume, context.manifest.etag, pages)
    return replace(context, manifest=manifest)


def _with_lines(
    page: Page, table: pa.Table, rows: Mapping[str, int], reasons: Mapping[int, str], job: str
) -> PageWithLines:
    row = rows.get(page.filename, -1)
    missing = f"{job}: no row" if row < 0 else None
    return PageWithLines(
        index=page.index,
        filename=page.filename,
        etag=page.etag,
        size=page.size,
        width=page.width,
        height=page.height,
        skip_reason=page.skip_reason or missing or reasons.get(row),
        rows=table,
        row=row,
    )


def _line_rows(job: str, dependencies: Mapping[str, Callable[[], pa.Table]]) -> tuple[str, pa.Table]:
    tables = {name: read() for name, read in dependencies.items()}
    fitting = {name: table for name, table in tables.items() if set(NEEDED) <= set(table.column_names)}
    if len(fitting) != 1:
        found = " and ".join(f"'{name}'" for name in fitting) or "none of the jobs that it depends on"
        raise TerminalError(
            f"The job '{job}' needs one job that finds text lines; {found} does.",
            code="E_OCR_NO_LINES",
            hint=f"Make it anew with one: `bec jobs create {job} --type ocrv1 --depends-on ldv1`.",
        )
    name, table = next(iter(fitting.items()))
    return name, table.combine_chunks()


def _reasons(job: str, table: pa.Table) -> dict[int, str]:
    """Tell, by row, why pages have no lines that could be read."""
    columns = {name: _values(table, name) for name in ("ok", "skipped", "skip_reason", "error_type")}
    reasons = {}
    for row, ok in enumerate(columns["ok"]):
        if columns["skipped"][row]:
            reasons[row] = f"{job}: {columns['skip_reason'][row] or 'skipped'}"
        elif ok is False:
            reasons[row] = f"{job}: {columns['error_type'][row] or 'error'}"
    return reasons


def _values(table: pa.Table, column: str) -> list[Any]:
    return table[column].to_pylist() if column in table.column_names else [None] * table.num_rows


def lines_of(table: pa.Table, row: int) -> PageLines:
    """Read the lines of one row of a line-detection job."""
    contours = _contours(table, row)
    line_ids = _value(table, "line_ids", row)
    points = _value(table, "tps_points", row)
    return PageLines(
        width=_value(table, "width", row),
        height=_value(table, "height", row),
        rotation_angle=_value(table, "rotation_angle", row),
        tps_points=np.array(points, np.float32) if points else None,
        tps_alpha=_value(table, "tps_alpha", row),
        contours=contours,
        bboxes=tuple(bounding_box(contour) for contour in contours),
        line_ids=tuple(range(len(contours)) if line_ids is None else line_ids),
    )


def _value(table: pa.Table, column: str, row: int) -> Any:
    return table[column][row].as_py() if column in table.column_names else None


def _contours(table: pa.Table, row: int) -> tuple[NDArray[np.int32], ...]:
    """Read a row's contours without making a Python value of each point."""
    scalar = table["contours"][row]
    if not scalar.is_valid:
        return ()
    return tuple(_points(contour.values) for contour in scalar)


def _points(values: pa.StructArray) -> NDArray[np.int32]:
    flat = [field.to_numpy(zero_copy_only=False) for field in (values.field("x"), values.field("y"))]
    return np.column_stack(flat).astype(np.int32)
