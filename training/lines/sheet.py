"""The sheet that a page is drawn on: ink, and the lines that were written with it.

Coordinates are pixels; a usual line's body is `BODY` high. Ink is darkness, 0 to 255, and has no colour.
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from training.lines.kinds import Kind, Piece, TrueLine
from training.lines.strips import Strip
from training.shared import Bytes, Floats

STEP = 16
"""Points of a line stand this far apart, so that they follow any bend of the page."""


@dataclass
class Sheet:
    """A sheet of paper of `width` x `height` pixels.

    Attributes:
        ink: darkness of what is written and drawn.
        lines: the lines written so far.
        gaps: corners of the gaps between columns.
        spine: column at which two pages of an open book meet, if they do.
    """

    width: int
    height: int
    ink: Bytes = field(init=False)
    lines: list[TrueLine] = field(default_factory=list)
    gaps: list[Floats] = field(default_factory=list)
    spine: float | None = None

    def __post_init__(self) -> None:
        self.ink = np.zeros((self.height, self.width), np.uint8)

    def write(
        self, kind: Kind, parts: list[tuple[float, Strip]], y: float, *, strength: float = 1.0, upright: bool = False
    ) -> None:
        """Write one line.

        Args:
            kind: what it is.
            parts: its strips, each with its left edge (`x`; of an upright line its upper end).
            y: the row of its centre, of an upright line the column.
            strength: how dark the ink is.
            upright: the line runs up the page.
        """
        pieces = [piece for x, strip in parts for piece in self._written(strip, x, y, strength, upright)]
        if pieces:
            body = float(np.mean([strip.body for _, strip in parts]))
            self.lines.append(TrueLine(kind, tuple(pieces), body, upright))

    def _written(self, strip: Strip, x: float, y: float, strength: float, upright: bool) -> list[Piece]:  # noqa: FBT001
        left, top = round(x), round(y - float(np.median(strip.centre)))
        if upright:
            # Read from below: what is left on the strip is below on the sheet.
            ink = np.asarray(cv2.rotate(strip.ink, cv2.ROTATE_90_COUNTERCLOCKWISE), np.uint8)
            self.paste(ink, top, left, strength)
        else:
            self.paste(strip.ink, left, top, strength)
        pieces = []
        for start, end in strip.spans():
            at = np.unique(np.r_[np.arange(start, end - 1, STEP), end - 1])
            rows = strip.centre[at] + top
            edges = [rows, rows - strip.above, rows + strip.below]
            if upright:
                points = [np.column_stack([row, left + strip.width - 1 - at]) for row in edges]
            else:
                points = [np.column_stack([at + left, row]) for row in edges]
            pieces.append(Piece(*(np.asarray(each, np.float32) for each in points)))
        return [piece for piece in pieces if self._holds(piece.centre)]

    def _holds(self, points: Floats) -> bool:
        middle = points.mean(axis=0)
        return bool((middle >= 0).all() and middle[0] < self.width and middle[1] < self.height)

    def paste(self, ink: Bytes, left: int, top: int, strength: float = 1.0) -> None:
        """Lay ink on the sheet; what stands over its edge is cut off."""
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + ink.shape[1], self.width), min(top + ink.shape[0], self.height)
        if x0 >= x1 or y0 >= y1:
            return
        cut = ink[y0 - top : y1 - top, x0 - left : x1 - left]
        if strength != 1.0:
            cut = np.asarray(cv2.convertScaleAbs(cut, alpha=strength), np.uint8)
        part = self.ink[y0:y1, x0:x1]
        np.maximum(part, cut, out=part)

    def rule(self, start: tuple[float, float], end: tuple[float, float], thick: int, strength: float = 1.0) -> None:
        """Draw a straight rule."""
        ends = [(round(x), round(y)) for x, y in (start, end)]
        cv2.line(self.ink, ends[0], ends[1], round(255 * strength), max(1, thick), cv2.LINE_AA)

    def box(self, left: float, top: float, right: float, bottom: float, thick: int, strength: float = 1.0) -> None:
        """Draw a frame."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            self.rule(start, end, thick, strength)

    def clear(self, left: float, top: float, right: float, bottom: float) -> None:
        """Take all ink of a box away."""
        self.ink[max(round(top), 0) : max(round(bottom), 0), max(round(left), 0) : max(round(right), 0)] = 0

    def gap(self, left: float, top: float, right: float, bottom: float) -> None:
        """Note a gap between two columns of main text."""
        down = np.linspace(top, bottom, 2 + int((bottom - top) // (4 * STEP)))
        ups = [
            np.column_stack([np.full_like(down, left), down]),
            np.column_stack([np.full_like(down, right), down])[::-1],
        ]
        self.gaps.append(np.concatenate(ups).astype(np.float32))

    def add(self, other: "Sheet", left: int, top: int) -> None:
        """Lay another sheet's ink, lines and gaps on this one."""
        shift = np.array([left, top], np.float32)
        self.paste(other.ink, left, top)
        self.lines += [line.changed(lambda points: points + shift) for line in other.lines]
        self.gaps += [gap + shift for gap in other.gaps]

    def cut(self, left: int, right: int) -> "Sheet":
        """Return the columns from `left` to `right`: lines end where they are cut, those outside are gone."""
        part = Sheet(right - left, self.height, spine=None if self.spine is None else self.spine - left)
        part.ink = np.ascontiguousarray(self.ink[:, left:right])
        shift = np.array([left, 0], np.float32)
        for line in self.lines:
            pieces = tuple(short for piece in line.pieces if (short := _between(piece, left, right)))
            if pieces:
                part.lines.append(replace(line, pieces=pieces).changed(lambda points: points - shift))
        part.gaps = [gap - shift for gap in self.gaps]
        return part


def _between(piece: Piece, left: float, right: float) -> Piece | None:
    """Return what lies between two columns of a level piece of a line; None where it is less than two points."""
    inside = (piece.centre[:, 0] >= left) & (piece.centre[:, 0] < right)
    if inside.sum() < 2:
        return None
    return Piece(piece.centre[inside], piece.top[inside], piece.bottom[inside])
