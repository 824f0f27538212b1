"""A segment: a piece of a line as what columns, skew and curves are worked out from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.shared.geometry import Points, offset_polygon

CENTRE_POINTS = 48
OUTLINE_TOLERANCE = 1.0
"""Outlines are simplified (Douglas-Peucker) by up to this much, pixels of the map."""


class Sized(Protocol):
    """What has a thickness, and a length along the script."""

    @property
    def thickness(self) -> float:
        """Mean height."""
        ...

    @property
    def length(self) -> float:
        """Length along the script, whichever way it runs."""
        ...


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text, in pixels of the probability map.

    Attributes:
        contour: outline (n, 2) of its marked core, x and y.
        offset: pixels by which the outline must be offset outwards to cover the script.
        score: mean probability, 0 to 1.
        xs: where its centre line was sampled, rising.
        ys: the centre line there.
        thickness: mean height of the marked core.
        height: height of the core's box; for an upright segment its length.
        upright: it runs down the page: xs and ys are only the ends of its box's middle row.
    """

    contour: NDArray[np.int32]
    offset: float
    score: float
    xs: NDArray[np.float64]
    ys: NDArray[np.float64]
    thickness: float
    height: int
    upright: bool

    def outline(self) -> Points:
        """Return the contour (n, 2), offset to cover the script."""
        simplified = cv2.approxPolyDP(self.contour, OUTLINE_TOLERANCE, closed=True)[:, 0]
        return offset_polygon(np.asarray(simplified, np.int32), self.offset)

    @property
    def left(self) -> float:
        """Left end of the centre line."""
        return float(self.xs[0])

    @property
    def right(self) -> float:
        """Right end of the centre line."""
        return float(self.xs[-1])

    @property
    def width(self) -> float:
        """Length of the centre line along x."""
        return self.right - self.left + 1

    @property
    def length(self) -> float:
        """Length along the script, whichever way it runs."""
        return float(self.height) if self.upright else self.width

    @property
    def middle(self) -> tuple[float, float]:
        """Centre of the segment."""
        return (self.left + self.right) / 2, float(self.ys.sum()) / len(self.ys)


Line: TypeAlias = tuple[Segment, ...]
"""A line: its segments from left to right."""


def usual_thickness(parts: Sequence[Sized], share: float = 0.5) -> float:
    """Return the thickness that `share` of the regions or segments do not exceed, by length; 0 if there are none."""
    if not parts:
        return 0.0
    return weighted_quantile([part.thickness for part in parts], [part.length for part in parts], share)


def weighted_quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """Return the value that `share` of the weight does not exceed."""
    order = np.argsort(values)
    summed = np.cumsum(np.asarray(weights)[order])
    return float(np.asarray(values)[order][np.searchsorted(summed, share * summed[-1])])
