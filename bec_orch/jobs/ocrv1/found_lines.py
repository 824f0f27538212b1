"""The rows of a line-detection job, as a job that reads those lines wants them: the columns of `ldv1`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bec_orch.core.transcripts import known
from bec_orch.errors import TerminalError
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.pipeline.page_input import InputRow, InputRows
from bec_orch.jobs.shared.geometry import bounding_box, on_pixels

NEEDED = ("img_file_name", "width", "height", "contours")


def line_job(job: str, rows: Mapping[str, InputRows]) -> str:
    """Return the name of the dependency that found the lines.

    Raises:
        TerminalError: not exactly one does (E_OCR_NO_LINES).
    """
    fitting = [name for name, found in rows.items() if set(NEEDED) <= set(found.table.column_names)]
    if len(fitting) != 1:
        found = " and ".join(f"'{name}'" for name in fitting) or "none of the jobs that it depends on"
        raise TerminalError(
            f"The job '{job}' needs one job that finds text lines; {found} does.",
            code="E_OCR_NO_LINES",
            hint=f"Make it anew with one: `bec jobs create {job} --type ocrv1 --depends-on ldv1`.",
        )
    return fitting[0]


def lines_of(row: InputRow, size: tuple[int, int] | None = None) -> PageLines:
    """Read the lines of a page that a line-detection job did, moved into the page where they reach out of it.

    Args:
        row: the page's row.
        size: (width, height) of a page whose row does not tell it, as those of the earlier system do not; None where
            that is not known: then the page is as large as its lines reach.
    """
    found = _contours(row)
    width, height = (row["width"], row["height"]) if row["width"] and row["height"] else size or _reach(found)
    contours = tuple(on_pixels(contour.astype(np.float64), width, height) for contour in found)
    line_ids = row["line_ids"]
    points = row["tps_points"]
    return PageLines(
        width=width,
        height=height,
        rotation_angle=row["rotation_angle"],
        tps_points=np.array(points, np.float32) if points else None,
        tps_alpha=row["tps_alpha"],
        contours=contours,
        bboxes=tuple(bounding_box(contour) for contour in contours),
        line_ids=tuple(range(len(contours)) if line_ids is None else line_ids),
        kinds=tuple(known(kind) for kind in row["line_kinds"] or ()),
    )


def _contours(row: InputRow) -> tuple[NDArray[np.int32], ...]:
    """Read a row's contours without making a Python value of each point."""
    cell = row.cell("contours")
    if not isinstance(cell, pa.ListScalar) or not cell.is_valid:
        return ()
    contours: Iterable[Any] = cell  # the stubs take a list's members for arrays
    return tuple(_points(contour.values) for contour in contours)


def _points(values: pa.StructArray | None) -> NDArray[np.int32]:
    """Return the points of a contour; one that has none is a pixel in the corner, so that others keep their numbers."""
    if not values:
        return np.zeros((1, 2), np.int32)
    flat = [field.to_numpy(zero_copy_only=False) for field in (values.field("x"), values.field("y"))]
    return np.column_stack(flat).astype(np.int32)


def _reach(contours: Sequence[NDArray[np.int32]]) -> tuple[int, int]:
    """Return the size of the smallest page that holds some contours."""
    right, bottom = np.concatenate([*contours, np.zeros((1, 2), np.int32)]).max(axis=0)
    return int(right) + 1, int(bottom) + 1
