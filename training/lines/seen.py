"""What can still be seen of a page's lines after all wear: a line that faded, was cut off or blotted out is no line.

The darkness that was drawn is carried along beside the picture. Where pixels that were drawn dark differ from those
around them by less than the paper's own unrest, the line is interrupted.
"""

from dataclasses import replace

import cv2
import numpy as np

from training.lines.kinds import BODY, Piece, TrueLine
from training.shared import Bytes, Floats

COARSE = 4
"""The map of what can be seen is made at this part of the size."""
WINDOW = 1.6 * BODY
LEAST_CONTRAST = 4.0
"""Grey levels by which ink stands out at least, as a mean over a window."""
UNREST = 0.25
"""Share of the paper's deviation by which it stands out at least."""
LEAST_INK = 0.02
BLANK = 2.5 * BODY
"""Shorter runs that cannot be seen do not interrupt a line."""


def contrast(grey: Bytes, drawn: Bytes) -> Floats:
    """Return by how much ink stands out, as a share of what is needed: 1 and more is seen, and so is no ink."""
    height, width = grey.shape
    size = max(1, width // COARSE), max(1, height // COARSE)
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
    ink = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA) / 255, np.float32)
    box = round(WINDOW / COARSE), round(WINDOW / COARSE)

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, box), np.float32)

    dark, bright = mean(ink), mean(1 - ink)
    of_ink = mean(ink * small) / np.maximum(dark, 1e-3)
    of_paper = mean((1 - ink) * small) / np.maximum(bright, 1e-3)
    unrest = np.sqrt(np.maximum(mean((1 - ink) * small * small) / np.maximum(bright, 1e-3) - of_paper**2, 0))
    out = np.abs(of_paper - of_ink) / np.maximum(LEAST_CONTRAST, UNREST * unrest)
    return np.asarray(np.where(dark < LEAST_INK, 1, out), np.float32)


def still_seen(line: TrueLine, seen: Floats) -> TrueLine | None:
    """Return the line without what cannot be seen of it; None where nothing is left."""
    pieces = tuple(part for piece in line.pieces for part in _parts(piece, seen))
    return replace(line, pieces=pieces) if pieces else None


def _parts(piece: Piece, seen: Floats) -> list[Piece]:
    columns, rows = (piece.centre / COARSE).astype(int).T
    inside = (columns >= 0) & (columns < seen.shape[1]) & (rows >= 0) & (rows < seen.shape[0])
    shown = inside & (seen[np.clip(rows, 0, seen.shape[0] - 1), np.clip(columns, 0, seen.shape[1] - 1)] >= 1)
    if shown.all():
        return [piece]
    at = np.flatnonzero(shown)
    if len(at) < 2:
        return []
    steps = np.linalg.norm(np.diff(piece.centre[at], axis=0), axis=1)
    breaks = np.flatnonzero(steps > BLANK)
    starts, ends = at[np.r_[0, breaks + 1]], at[np.r_[breaks, len(at) - 1]] + 1
    return [
        Piece(piece.centre[start:end], piece.top[start:end], piece.bottom[start:end])
        for start, end in zip(starts, ends, strict=True)
        if end - start > 1
    ]
