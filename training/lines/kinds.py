"""What a line is on a page, and how the composed truth holds it.

The kinds were decided before anything was trained, and the truth keeps all five. The network separates only `main` from
the rest; which of the finer kinds a line is follows from where it stands, and is for whoever traces the lines.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from training.shared import Bytes, Floats

BODY = 18.0
"""Height of the rows that hold the middle 80 % of a line's ink, in pixels of the sheet that a page is drawn on."""


class Kind(StrEnum):
    """What a line is on its page."""

    MAIN = "main"
    """The text, its headings and footnotes included, in the page's body."""
    RUNNING = "running"
    """Running heads and feet, page and folio numbers."""
    MARGIN = "margin"
    """Titles and notes in the margin beside the body, upright ones included."""
    NOTE = "note"
    """Small script between the lines, or in two rows within one."""
    OTHER = "other"
    """Labels and headings outside of the page's frame, stamps, captions."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a line's ink without a wide gap. All points are (n, 2), x and y, from the line's start to its end.

    Attributes:
        centre: the row of median ink: one definition for every script.
        top: the upper edge of the ink, without the 2 % that stand out most.
        bottom: the lower edge.
    """

    centre: Floats
    top: Floats
    bottom: Floats


@dataclass(frozen=True, slots=True)
class TrueLine:
    """A line of a composed page.

    Attributes:
        kind: what it is.
        pieces: its runs of ink, in order.
        body: height of the rows with the middle 80 % of its ink.
        upright: it runs down or up the page.
    """

    kind: Kind
    pieces: tuple[Piece, ...]
    body: float
    upright: bool = False

    def changed(self, change: Callable[[Floats], Floats], factor: float = 1.0) -> "TrueLine":
        """The line with its points changed, all of them at once, and its body `factor` times as high."""
        edges = [points for piece in self.pieces for points in (piece.centre, piece.top, piece.bottom)]
        bounds = np.cumsum([len(points) for points in edges])[:-1]
        new = np.split(change(np.concatenate(edges)), bounds)
        pieces = tuple(Piece(*new[at : at + 3]) for at in range(0, len(new), 3))
        return replace(self, pieces=pieces, body=self.body * factor)


@dataclass(frozen=True, slots=True)
class Page:
    """A composed page.

    Attributes:
        grey: the picture, 0 black to 255 white.
        lines: its lines, in pixels of the picture.
        gaps: corners (n, 2) of the gaps between columns of main text.
        pitch: usual distance between its main lines, pixels.
        layout: name of the layout it was composed by.
    """

    grey: Bytes
    lines: tuple[TrueLine, ...]
    gaps: tuple[Floats, ...]
    pitch: float
    layout: str
