"""Plots of an evaluation report, as shapes that `templates/plot.svg` draws; the style sheet has their colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bec_orch.core.wording import counted
from bec_orch.jobs.evalv1.report.values import BINS, Distribution

_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 34, 40
_MOST_BARS, _FEWEST_BARS = 40, 10
_STEPS = (1, 2, 5, 10, 20, 50, 100)
"""Bins that a bar may hold: round shares of a page's value."""
_SHOWN = 0.99
"""Bars reach as far as this share of the pages; the others stand together at the end."""
_TICKS = 8


@dataclass(frozen=True, slots=True)
class Rect:
    """A bar that stands on the axis; `tip` is shown where the pointer rests on it."""

    tag: ClassVar[str] = "rect"
    left: float
    top: float
    width: float
    height: float
    tip: str
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    tag: ClassVar[str] = "line"
    left: float
    top: float
    right: float
    bottom: float
    kind: str = "axis"


@dataclass(frozen=True, slots=True)
class Text:
    """A label; `anchor` says which part of it stands at its place."""

    tag: ClassVar[str] = "text"
    left: float
    top: float
    text: str
    anchor: str
    kind: str = "label"


Shape = Rect | Line | Text


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing, its shapes from the lowest to the uppermost. `title` is read out by screen readers."""

    title: str
    shapes: tuple[Shape, ...]
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass(frozen=True, slots=True)
class _Bars:
    """What is drawn: pages in each bar, the bins that a bar holds, and the pages beyond the last one."""

    counts: tuple[int, ...]
    step: int
    beyond: int

    @property
    def width(self) -> float:
        places = len(self.counts) + (2 if self.beyond else 0)  # a gap before those beyond
        return (_WIDTH - _LEFT - _RIGHT) / places

    @property
    def highest(self) -> int:
        return max(*self.counts, self.beyond, 1)

    @property
    def end(self) -> float:
        """The value at which the last bar ends."""
        return len(self.counts) * self.step / BINS

    def across(self, value: float) -> float:
        return _LEFT + value * BINS / self.step * self.width

    def top(self, count: int) -> float:
        return _FLOOR - (_FLOOR - _TOP) * count / self.highest


_FLOOR = _HEIGHT - _BOTTOM


def histogram(distribution: Distribution, *, title: str, axis: str, marks: Sequence[tuple[str, float]] = ()) -> Plot:
    """Draw how many pages have which value.

    Bars are as narrow as the pages' values are close. Pages far from all others stand together in a last bar of their
    own, so that one of them does not squeeze the rest.

    Args:
        distribution: what to draw.
        title: read out by screen readers.
        axis: what the values are.
        marks: values to be marked by a line, each with its label.
    """
    bars = _bars(distribution)
    shapes: list[Shape] = [_line(_TOP, "grid")]
    shapes += [_bar(bars, place) for place, count in enumerate(bars.counts) if count]
    shapes += _beyond(bars) if bars.beyond else ()
    shapes.append(_line(_FLOOR))
    for place in range(0, len(bars.counts) + 1, _tick_every(bars)):
        shapes += _tick(bars, place)
    shapes += [
        Text(_LEFT - 6, _TOP + 4, f"{bars.highest:,}", "end"),
        Text(_LEFT - 6, _FLOOR + 4, "0", "end"),
        Text(_LEFT - 6, _TOP - 14, "pages", "end"),
        Text(_WIDTH / 2, _HEIGHT - 4, axis, "middle"),
    ]
    for row, (label, value) in enumerate(marks):
        shapes += _mark(bars, label, value, row) if value <= bars.end else ()
    return Plot(title, tuple(shapes))


def _bars(distribution: Distribution) -> _Bars:
    reach = round((distribution.quantile(_SHOWN) or 0.0) * BINS) + 1
    step = next((step for step in _STEPS if reach <= step * _MOST_BARS), _STEPS[-1])
    number = min(max(-(-reach // step), _FEWEST_BARS), BINS // step)
    counts = tuple(sum(distribution.counts[place * step : (place + 1) * step]) for place in range(number))
    return _Bars(counts, step, distribution.total - sum(counts))


def _bar(bars: _Bars, place: int) -> Rect:
    count, low, high = bars.counts[place], place * bars.step / BINS, (place + 1) * bars.step / BINS
    tip = f"{_percent(low)} to {_percent(high)}: {counted(count, 'page')}"
    return _standing(bars, bars.across(low), count, tip, "bar")


def _beyond(bars: _Bars) -> tuple[Rect, Text]:
    left = bars.across(bars.end) + bars.width
    label = f"{_percent(bars.end)} and more"
    return (
        _standing(bars, left, bars.beyond, f"{label}: {counted(bars.beyond, 'page')}", "beyond"),
        Text(_WIDTH - _RIGHT, bars.top(bars.beyond) - 5, f"{label}: {bars.beyond:,}", "end"),
    )


def _standing(bars: _Bars, left: float, count: int, tip: str, kind: str) -> Rect:
    top = min(bars.top(count), _FLOOR - 1)  # one page among thousands is seen, too
    return Rect(left, top, max(bars.width - 1, 1), _FLOOR - top, tip, kind)


def _line(height: float, kind: str = "axis") -> Line:
    return Line(_LEFT, height, _WIDTH - _RIGHT, height, kind)


def _tick_every(bars: _Bars) -> int:
    return next(every for every in (1, 2, 5, 10) if len(bars.counts) <= every * _TICKS)


def _tick(bars: _Bars, place: int) -> tuple[Line, Text]:
    value = place * bars.step / BINS
    across = bars.across(value)
    return Line(across, _FLOOR, across, _FLOOR + 4), Text(across, _FLOOR + 17, _percent(value), "middle")


def _mark(bars: _Bars, label: str, value: float, row: int) -> tuple[Line, Text]:
    across = bars.across(value)
    at, anchor = (across - 5, "end") if across > _WIDTH / 2 else (across + 5, "start")
    line = Line(across, _TOP - 28 + 12 * row, across, _FLOOR, "mark")
    return line, Text(at, _TOP - 20 + 12 * row, label, anchor, "mark")


def _percent(value: float) -> str:
    return f"{value * 100:g}%"
