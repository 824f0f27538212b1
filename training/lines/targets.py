"""What the network is to return for a composed page: maps of half the page's size.

Offsets are distances from a pixel of a core to its line's top and bottom, in pixels of the page. Upright lines have a
core, but no offsets: those are about level script.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.bec.network_input import STRIDE
from training.lines.kinds import Kind, Page, Piece
from training.shared import Bytes

CORE = 0.42
"""Thickness of a line's core, as a share of its body."""
THINNEST_CORE = 2
LARGEST_OFFSET = 63.0
QUARTERS = 4
"""Offsets are kept in quarters of a pixel, in bytes."""
MAIN, OTHER = 1, 2
NO_OFFSET = 0


@dataclass(frozen=True, slots=True)
class Targets:
    """Maps of one page or crop.

    Attributes:
        core: 0 background, 1 main text, 2 other text.
        top: quarters of a pixel from here to the line's top plus one, 0 where no offset is known.
        bottom: the same to its bottom.
        gap: 1 between columns.
    """

    core: Bytes
    top: Bytes
    bottom: Bytes
    gap: Bytes


def targets(page: Page) -> Targets:
    """Draw the maps of a page; main lines are drawn last, so that nothing hides them."""
    size = tuple((side + STRIDE - 1) // STRIDE for side in page.grey.shape)
    core, top, bottom, gap = (np.zeros(size, np.uint8) for _ in range(4))
    for corners in page.gaps:
        cv2.fillPoly(gap, [np.round(corners / STRIDE).astype(np.int32)], 1)
    for line in sorted(page.lines, key=lambda line: line.kind is Kind.MAIN):
        label = MAIN if line.kind is Kind.MAIN else OTHER
        thick = max(THINNEST_CORE, round(CORE * line.body / STRIDE))
        for piece in line.pieces:
            if line.upright:
                points = np.round(piece.centre / STRIDE).astype(np.int32)
                cv2.polylines(core, [points], isClosed=False, color=label, thickness=thick)
            else:
                _draw(piece, thick, label, core, top, bottom)
    return Targets(core, top, bottom, gap)


def _draw(piece: Piece, thick: int, label: int, core: Bytes, top: Bytes, bottom: Bytes) -> None:
    left, right = piece.centre[0, 0] / STRIDE, piece.centre[-1, 0] / STRIDE
    columns = np.arange(max(0, round(float(left))), min(core.shape[1], round(float(right)) + 1))
    if not len(columns):
        return
    x = columns * float(STRIDE)
    centre, upper, lower = (
        np.interp(x, points[:, 0], points[:, 1]) for points in (piece.centre, piece.top, piece.bottom)
    )
    rows = np.round(centre / STRIDE - thick / 2).astype(int)[None] + np.arange(thick)[:, None]
    inside = (rows >= 0) & (rows < core.shape[0])
    rows, across = rows[inside], np.broadcast_to(columns, rows.shape)[inside]
    y = STRIDE * rows + STRIDE / 2
    core[rows, across] = label
    top[rows, across] = _quarters(y - np.broadcast_to(upper, inside.shape)[inside])
    bottom[rows, across] = _quarters(np.broadcast_to(lower, inside.shape)[inside] - y)


def _quarters(distance: NDArray[np.float64]) -> Bytes:
    return np.asarray(1 + np.clip(np.round(distance * QUARTERS), 0, LARGEST_OFFSET * QUARTERS), np.uint8)
