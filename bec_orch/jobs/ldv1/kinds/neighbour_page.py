"""What is seen of a neighbour page: a narrow column of main text that the page's edge cuts.

Coordinates are those of `Traced`.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from bec_orch.jobs.ldv1.kinds.body import main_columns
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced
from bec_orch.jobs.ldv1.page.layout import Span

CUT_OFF = 0.45
"""A column at the page's edge that is narrower than this share of the widest one may be a neighbour page, cut off..."""
CUT_ROWS = 0.5
"""... where this share of its lines ends at the edge..."""
AT_EDGE = 1.5
"""... within this many pitches."""


def own_page(main: Sequence[Traced], width: float) -> Span:
    """Return from where to where a page reaches along x in a view that is so wide: without its neighbours."""
    columns = main_columns(main)
    widest = max((right - left for left, right in columns), default=0.0)
    first, last = -np.inf, np.inf
    for left, right in columns:
        own = [line for line in main if left <= line.x[0] and line.x[-1] <= right]
        if right - left < CUT_OFF * widest:
            if _share(line.x[-1] >= width - AT_EDGE * MAP_PITCH for line in own) >= CUT_ROWS:
                last = min(last, left)
            if _share(line.x[0] <= AT_EDGE * MAP_PITCH for line in own) >= CUT_ROWS:
                first = max(first, right)
    return first, last


def _share(met: Iterable[bool]) -> float:
    return float(np.mean([*met]))
