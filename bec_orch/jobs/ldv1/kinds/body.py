"""The body of a page: where its main text stands, in which columns, and how far a line is from its neighbours there.

Coordinates are those of `Traced`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced, boxes_of, slope_of
from bec_orch.jobs.ldv1.page.layout import Span, columns_of

PECHA_SHAPE = 1.6
"""A body this much wider than high is a pecha's."""
BODY_SHARE, BODY_SHARE_PECHA = 0.08, 0.25
"""The body reaches from where this share of the main lines, by length, has begun, to where it has not yet ended. On
pechas a title in the margin may be joined to a line, and books may have many columns."""


@dataclass(frozen=True, eq=False)
class Body:
    """The main text of a page.

    Attributes:
        main: its lines, from above to below.
        left: where it begins along x.
        right: where it ends.
        columns: where each of its columns begins and ends along x; none on a pecha.
        is_pecha: it is much wider than high.
    """

    main: Sequence[Traced]
    left: float
    right: float
    columns: Sequence[Span] = ()
    is_pecha: bool = False

    @property
    def width(self) -> float:
        """How wide it is."""
        return self.right - self.left

    def inside(self, line: Traced) -> float:
        """Return what length of a line lies within the body's width; less than 0 where it is beside it."""
        return _shared(line, (self.left, self.right))

    def neighbours(self, line: Traced) -> tuple[float, float]:
        """Return how far the next main line of its column is above, and below; infinite where there is none."""
        at = float(line.x[0] + line.x[-1]) / 2
        away = np.array([np.interp(at, other.x, other.y) for other in self.in_column(line)]) - line.middle
        return float(-away[away <= 0].max(initial=-np.inf)), float(away[away > 0].min(initial=np.inf))

    def in_column(self, line: Traced) -> list[Traced]:
        """Return the main lines of a line's column, from above to below; all of them where it stands in none."""
        own = self._column(line)
        return [other for other, column in zip(self.main, self._in_columns, strict=True) if own in {None, column}]

    @cached_property
    def _in_columns(self) -> list[Span | None]:
        """The column of each main line."""
        return [self._column(line) for line in self.main]

    def _column(self, line: Traced) -> Span | None:
        """Return the column that a line stands in for the most part, of several the narrowest; None where in none."""
        ranked = [(_shared(line, column), column[0] - column[1], column) for column in self.columns]
        most, _, best = max(ranked, default=(0, 0, None))
        return best if most > 0 else None


def body_of_pecha(main: Sequence[Traced]) -> Body | None:
    """Return the body that these lines of main text make on a pecha; None where they are of a book."""
    left, right = _edges(main, BODY_SHARE_PECHA)
    is_pecha = right - left > PECHA_SHAPE * (main[-1].middle - main[0].middle + MAP_PITCH)
    return Body(main, left, right, is_pecha=True) if is_pecha else None


def body_of_book(main: Sequence[Traced]) -> Body:
    """Return the body that these lines of main text make on the page of a book."""
    return Body(main, *_edges(main, BODY_SHARE), main_columns(main))


def main_columns(main: Sequence[Traced]) -> list[Span]:
    """Return where each column of main text begins and ends along x."""
    if not main:
        return []
    boxes = boxes_of(main, slope_of(main))
    columns = [[main[at] for at in column] for column in columns_of(boxes)]
    return [(min(float(line.x[0]) for line in own), max(float(line.x[-1]) for line in own)) for own in columns]


def _shared(line: Traced, span: Span) -> float:
    return min(float(line.x[-1]), span[1]) - max(float(line.x[0]), span[0])


def _edges(main: Sequence[Traced], share: float) -> Span:
    """Return where main text begins and ends along x, but for a share of it."""
    weights = np.array([line.length for line in main])
    lefts, rights = np.array([line.x[0] for line in main]), np.array([line.x[-1] for line in main])
    return _quantile(lefts, weights, share), _quantile(rights, weights, 1 - share)


def _quantile(values: NDArray[np.floating], weights: NDArray[np.floating], share: float) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, share * summed[-1])])
