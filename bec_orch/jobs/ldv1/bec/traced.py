"""A traced line; and what pieces or lines show together: the skew of the page, the boxes that columns are found by.

Coordinates are pixels of the network's maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bec_orch.jobs.ldv1.bec.network_input import Floats
from bec_orch.jobs.ldv1.bec.pieces import MAP_PITCH, Piece
from bec_orch.jobs.ldv1.page.layout import Boxes, Span
from bec_orch.jobs.ldv1.page.segment import weighted_quantile
from bec_orch.jobs.ldv1.page.skew import own_slope

LONG = 4.0
"""Pieces longer than this many pitches show the skew."""
CORE_SHARE = 1 / 3
"""Thickness that lines are taken to have where it decides about columns and curves, as a share of their pitch."""


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A line.

    Attributes:
        x: its columns, rising, without a gap.
        y: the row of its centre in each.
        top: the row of its upper edge.
        bottom: the row of its lower edge.
        chance: the mean probability that it is text.
        is_main: it is main text.
        contrast: how far its letters' grey levels and the paper's are apart.
        spaces: from where to where it runs over paper between its parts.
    """

    x: Floats
    y: Floats
    top: Floats
    bottom: Floats
    chance: float
    is_main: bool
    contrast: float
    spaces: tuple[Span, ...] = ()

    @property
    def length(self) -> float:
        """Its length along x."""
        return float(self.x[-1] - self.x[0])

    @property
    def middle(self) -> float:
        """Its mean row."""
        return float(self.y.mean())

    @property
    def height(self) -> float:
        """Its usual height."""
        return float(np.median(self.bottom - self.top))


def slope_of(pieces: Sequence[Piece | Traced]) -> float:
    """Return the slope of the page's lines: the median over long pieces, weighted by length."""
    long = [piece for piece in pieces if piece.length > LONG * MAP_PITCH]
    slopes = [own_slope(piece.x.astype(np.float64), piece.y.astype(np.float64)) for piece in long]
    return weighted_quantile(slopes, [float(piece.length) for piece in long], 0.5) if long else 0.0


def boxes_of(pieces: Sequence[Piece | Traced], slope: float) -> Boxes:
    """Return the boxes of pieces or lines of main text, the skew removed; see `level_boxes`."""
    main = [piece for piece in pieces if piece.is_main] or pieces
    left, right, y = (
        np.array([float(value) for value in values])
        for values in zip(*((piece.x[0], piece.x[-1], piece.y.mean()) for piece in main), strict=True)
    )
    return Boxes(left + slope * y, right + slope * y, y - slope * (left + right) / 2, CORE_SHARE * MAP_PITCH)
