"""A line of a page as its kind is worked out from; and what lines show together: their slope, the boxes of columns.

Coordinates are such that neighbouring lines of text are some `MAP_PITCH` apart: pixels of the network's maps, or what
another model found at that scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.layout import Boxes, Span
from bec_orch.jobs.ldv1.page.segment import weighted_quantile
from bec_orch.jobs.ldv1.page.skew import own_slope

Floats: TypeAlias = NDArray[np.float32]

MAP_PITCH = 12.0
LONG = 4.0
"""Lines longer than this many pitches show the skew."""
CORE_SHARE = 1 / 3
"""Thickness that lines are taken to have where it decides about columns and curves, as a share of their pitch."""


class Drawn(Protocol):
    """A line or a piece of one, column by column: see `Traced`."""

    @property
    def x(self) -> NDArray[Any]:
        """Its columns, rising."""
        ...

    @property
    def y(self) -> Floats:
        """The row of its centre in each."""
        ...

    @property
    def length(self) -> float:
        """Its length along x."""
        ...

    @property
    def is_main(self) -> bool:
        """Whether it is main text."""
        ...


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


def slope_of(pieces: Sequence[Drawn]) -> float:
    """Return the slope of the page's lines: the median over long pieces, weighted by length."""
    long = [piece for piece in pieces if piece.length > LONG * MAP_PITCH]
    slopes = [own_slope(piece.x.astype(np.float64), piece.y.astype(np.float64)) for piece in long]
    return weighted_quantile(slopes, [float(piece.length) for piece in long], 0.5) if long else 0.0


def boxes_of(pieces: Sequence[Drawn], slope: float) -> Boxes:
    """Return the boxes of pieces or lines of main text, the skew removed; see `level_boxes`."""
    main = [piece for piece in pieces if piece.is_main] or pieces
    left, right, y = (
        np.array([float(value) for value in values])
        for values in zip(*((piece.x[0], piece.x[-1], piece.y.mean()) for piece in main), strict=True)
    )
    return Boxes(left + slope * y, right + slope * y, y - slope * (left + right) / 2, CORE_SHARE * MAP_PITCH)
