"""The skew of a page: the angle of its lines, and whether it lies on its side.

The text is found already, so skew is the median slope of straight lines fitted to it. Projection profiles (Postl, ICPR
1986) and the Hough transform (Srihari and Govindaraju, Machine Vision and Applications 2, 1989) look for it in pixels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.segment import Segment, weighted_quantile

LONG_FOR_ANGLE = 6.0
"""A segment shows an angle when it is this many times as long as thick."""
SIDEWAYS_SHARE = 2.0
"""A page lies on its side when upright script is this many times as long as level script."""
LONG_UPRIGHT = 3.0
EDGE_REACH = 0.6
"""The edges of an upright segment are looked for up to this many of its widths beside its core."""
EDGE_PIECE = 40
"""... in pieces of this length, pixels, so that a bent line stays sharp in each."""


def page_slope(segments: Sequence[Segment]) -> float:
    """Return the slope (dy/dx, y down) of the page's lines: the median over long segments, weighted by length."""
    long = [part for part in segments if is_long(part)]
    if not long:
        return 0.0
    return weighted_quantile([own_slope(part.xs, part.ys) for part in long], [part.width for part in long], 0.5)


def is_long(part: Segment) -> bool:
    """Return whether a segment is level and long enough to be no dirt, and to show its skew."""
    return not part.upright and part.width >= LONG_FOR_ANGLE * part.thickness


def own_slope(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> float:
    """Fit a straight line by least squares and return its slope; 0 for a single point."""
    around = xs - xs.sum() / len(xs)
    spread = float(around @ around)
    return float(around @ ys) / spread if spread > 0 else 0.0


def lies_on_its_side(segments: Sequence[Segment]) -> bool:
    """Return whether most script runs down the page: at least two long upright pieces, and little level script."""
    upright = [part.height for part in segments if part.upright and part.height >= LONG_UPRIGHT * part.width]
    level = [part.width for part in segments if not part.upright and part.width >= LONG_UPRIGHT * part.thickness]
    return len(upright) > 1 and sum(upright) > SIDEWAYS_SHARE * sum(level)


def rotation_to_upright(grey: NDArray[np.uint8], segments: Sequence[Segment]) -> float:
    """Return how to rotate a page that lies on its side: by 90 (counter-clockwise) or -90 degrees.

    Tibetan letters hang from a headline: across a line, ink begins more sharply above than it ends below. On 14 pages
    the sharper edge is the upper one on all.

    Args:
        grey: the page at the scale of the segments.
        segments: its segments.
    """
    upright = [part for part in segments if part.upright and part.height >= LONG_UPRIGHT * part.width]
    return -90.0 if sum(_sharper_left(grey, part) * part.height for part in upright) > 0 else 90.0


def _sharper_left(grey: NDArray[np.uint8], part: Segment) -> float:
    """Compare the edges of an upright segment, piece by piece: positive when the left one is sharper, up to 1."""
    reach = EDGE_REACH * part.width
    left, right = max(0, round(part.left - reach)), round(part.right + reach) + 1
    top = max(0, round(part.ys[0] - part.height / 2))
    box = grey[top : top + part.height, left:right].astype(np.float32)
    pieces = np.array_split(box, max(1, part.height // EDGE_PIECE))
    steps = np.array([-np.diff(piece.mean(axis=0)) for piece in pieces])
    rise, fall = steps.max(axis=1), -steps.min(axis=1)
    return float(np.mean((rise - fall) / np.maximum(rise + fall, 1e-6)))
