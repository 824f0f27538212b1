"""Segments -> lines in reading order: columns from left to right, in them rows from top to bottom."""

from collections.abc import Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.one_map.joining import join_segments
from bec_orch.jobs.ldv1.page.layout import Boxes, column_of, groups_of, in_margin, level_boxes, rows_of
from bec_orch.jobs.ldv1.page.segment import Line, Segment, usual_thickness


def lines_in_order(segments: Sequence[Segment], slope: float) -> tuple[Line, ...]:
    """Join level segments to lines and put the lines in reading order.

    Small pieces in the margin that are higher than wide are left out: they are script that runs down the page.

    Args:
        segments: the level segments of a page.
        slope: slope of the page's lines.
    """
    if not segments:
        return ()
    thickness = usual_thickness(segments)
    groups = groups_of(level_boxes(segments, slope, thickness))
    kept = [not beside or part.height <= part.width for part, beside in zip(segments, in_margin(groups), strict=True)]
    segments, groups = list(compress(segments, kept)), groups[kept]
    lines = join_segments(segments, groups, slope)
    columns = column_of(np.array([groups[line[0]] for line in lines]))
    ordered: list[Line] = []
    for column in np.unique(columns):
        members = [[segments[index] for index in line] for line in compress(lines, columns == column)]
        ordered += _rows(members, slope, thickness)
    return tuple(ordered)


def _rows(lines: Sequence[Sequence[Segment]], slope: float, thickness: float) -> list[Line]:
    """Put the lines of one column in order: row by row, in a row from left to right."""
    boxes = Boxes(
        left=np.array([line[0].left for line in lines]),
        right=np.array([max(part.right for part in line) for line in lines]),
        y=np.array([_level(line, slope) for line in lines]),
        thickness=thickness,
    )
    return [tuple(lines[index]) for row in rows_of(boxes) for index in _across(boxes, row)]


def _level(line: Sequence[Segment], slope: float) -> float:
    """Return the height of a line on the page, the skew removed: the mean over its length."""
    middles = [(part.middle, part.width) for part in line]
    return sum((y - slope * x) * width for (x, y), width in middles) / sum(width for _, width in middles)


def _across(boxes: Boxes, row: NDArray[np.int_]) -> NDArray[np.int_]:
    """Order the lines of a row from left to right; if they lie above each other they stay from top to bottom."""
    order = row[np.argsort(boxes.left[row], kind="stable")]
    apart = boxes.right[order[:-1]] < boxes.left[order[1:]]
    return order if apart.all() else row
