"""What kind each line is that was found on a map which tells no kinds: by its length and its place alone.

Whatever is longer than a number is main text at first, and so is a short line that ends a paragraph. The rules of
`kinds.by_place` decide from there, as for lines of a network that tells main text from other.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bec_orch.core.transcripts import KINDS, MAIN
from bec_orch.jobs.ldv1.kinds.body import Body, body_of_book, body_of_pecha
from bec_orch.jobs.ldv1.kinds.by_place import is_beside, kinds_of
from bec_orch.jobs.ldv1.kinds.main_text import INDENT, NEXT_ROW, SAME_ROW, is_number
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Traced
from bec_orch.jobs.ldv1.page.segment import Line, weighted_quantile

LOOSE, LOOSEST = 1.4, 1.8
"""Lines are usually the one, and taken to be at most the other number of their heights apart."""


def with_kinds(lines: Sequence[Line], slope: float, width: float) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """Return the lines of a page, main text first, then kind by kind; and the kind of each segment.

    Args:
        lines: the lines in reading order, each its segments from left to right.
        slope: slope of the page's lines.
        width: of the map.
    """
    if not lines:
        return (), ()
    level = [_level(line, slope) for line in lines]
    down = sorted(range(len(lines)), key=lambda at: level[at].middle)
    scale = MAP_PITCH / _pitch([level[at] for at in down])
    found = kinds_of(_with_main([_scaled(level[at], scale) for at in down]), width * scale)
    kinds = dict(zip(down, found, strict=True))
    main = [at for at in range(len(lines)) if kinds[at] == MAIN]
    order = main + [at for kind in KINDS if kind != MAIN for at in down if kinds[at] == kind]
    return tuple(lines[at] for at in order), tuple(kinds[at] for at in order for _ in lines[at])


def _level(line: Line, slope: float) -> Traced:
    """Return a line with the page's skew removed, by shearing both ways."""
    x, y = (np.concatenate([getattr(part, name) for part in line]) for name in ("xs", "ys"))
    half = np.concatenate([np.full(len(part.xs), part.thickness / 2 + part.offset) for part in line])
    last = np.cumsum([len(part.xs) for part in line])[:-1] - 1
    order = np.argsort(x, kind="stable")  # neighbours may overlap
    across, down, half = (x + slope * y)[order], (y - slope * x)[order], half[order]
    return Traced(
        x=np.asarray(across, np.float32),
        y=np.asarray(down, np.float32),
        top=np.asarray(down - half, np.float32),
        bottom=np.asarray(down + half, np.float32),
        chance=min(part.score for part in line),
        is_main=True,
        contrast=0.0,
        spaces=tuple(zip(across[last].tolist(), across[last + 1].tolist(), strict=True)),
    )


def _pitch(lines: Sequence[Traced]) -> float:
    """Return how far apart lines are, given from above to below: as far as their heights allow."""
    height = weighted_quantile([line.height for line in lines], [line.length + 1 for line in lines], 0.5)
    left, right = np.array([line.x[0] for line in lines]), np.array([line.x[-1] for line in lines])
    row = np.array([line.middle for line in lines])
    shared = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    away = row - row[:, None]
    steps = np.where((shared > 0) & (away > height / 2), away, np.inf).min(axis=1)
    steps = steps[np.isfinite(steps)]
    return float(np.clip(np.median(steps) if len(steps) else LOOSE * height, height, LOOSEST * height))


def _scaled(line: Traced, scale: float) -> Traced:
    """Return a line at another scale, with only those spaces that part a number from words."""
    x, y, top, bottom = (np.asarray(each * scale, np.float32) for each in (line.x, line.y, line.top, line.bottom))
    spaces = [(left * scale, right * scale) for left, right in line.spaces]
    wide = tuple((left, right) for left, right in spaces if right - left > INDENT * MAP_PITCH)
    return replace(line, x=x, y=y, top=top, bottom=bottom, spaces=wide)


def _with_main(lines: Sequence[Traced]) -> list[Traced]:
    """Say of lines, given from above to below, which seem to be main text: all where none is longer than a number."""
    long = [line for line in lines if not is_number(line)]
    if not long:
        return [*lines]
    body = body_of_pecha(long) or body_of_book(long)
    return [replace(line, is_main=_seems_main(line, body)) for line in lines]


def _seems_main(line: Traced, body: Body) -> bool:
    """Return whether a line stands in the body, and is longer than a number or among its rows."""
    if is_beside(line, body):
        return False
    return not is_number(line) or _is_between(line, body.main) or _ends_paragraph(line, body.in_column(line))


def _is_between(line: Traced, long: Sequence[Traced]) -> bool:
    """Return whether a line stands below the first row and above the last."""
    first, last = long[0].middle, long[-1].middle
    return first + SAME_ROW * MAP_PITCH < line.middle < last - SAME_ROW * MAP_PITCH


def _ends_paragraph(line: Traced, long: Sequence[Traced]) -> bool:
    """Return whether a short line stands where the long one above it begins, as near as that to the row above it."""
    above = [other for other in long if other.middle < line.middle and abs(line.x[0] - other.x[0]) < INDENT * MAP_PITCH]
    if not above:
        return False
    last = above[-1].middle
    step = last - max((other.middle for other in long if other.middle < last - SAME_ROW * MAP_PITCH), default=-np.inf)
    return line.middle - last < NEXT_ROW * min(step, MAP_PITCH)
