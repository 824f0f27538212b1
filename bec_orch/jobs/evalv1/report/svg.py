"""Plots of an evaluation report, as SVG that needs nothing else. Colours come from the page's style sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

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


def histogram(distribution: Distribution, *, title: str, axis: str, marks: Sequence[tuple[str, float]] = ()) -> str:
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
    drawn = [_bar(bars, place) for place, count in enumerate(bars.counts) if count]
    return _svg(
        title,
        [
            _line(_LEFT, _TOP, _WIDTH - _RIGHT, _TOP, "grid"),
            *drawn,
            _beyond(bars) if bars.beyond else "",
            _line(_LEFT, _FLOOR, _WIDTH - _RIGHT, _FLOOR),
            *(_tick(bars, place) for place in range(0, len(bars.counts) + 1, _tick_every(bars))),
            _text(_LEFT - 6, _TOP + 4, f"{bars.highest:,}", "end"),
            _text(_LEFT - 6, _FLOOR + 4, "0", "end"),
            _text(_LEFT - 6, _TOP - 14, "pages", "end"),
            _text(_WIDTH / 2, _HEIGHT - 4, axis, "middle"),
            *(_mark(bars, label, value, row) for row, (label, value) in enumerate(marks) if value <= bars.end),
        ],
    )


def _bars(distribution: Distribution) -> _Bars:
    reach = round((distribution.quantile(_SHOWN) or 0.0) * BINS) + 1
    step = next((step for step in _STEPS if reach <= step * _MOST_BARS), _STEPS[-1])
    number = min(max(-(-reach // step), _FEWEST_BARS), BINS // step)
    counts = tuple(sum(distribution.counts[place * step : (place + 1) * step]) for place in range(number))
    return _Bars(counts, step, distribution.total - sum(counts))


def _bar(bars: _Bars, place: int) -> str:
    count, low, high = bars.counts[place], place * bars.step / BINS, (place + 1) * bars.step / BINS
    tip = f"{_percent(low)} to {_percent(high)}: {_pages(count)}"
    return _rect(bars.across(low), bars.top(count), max(bars.width - 1, 1), tip)


def _beyond(bars: _Bars) -> str:
    left = bars.across(bars.end) + bars.width
    label = f"{_percent(bars.end)} and more"
    drawn = _rect(left, bars.top(bars.beyond), max(bars.width - 1, 1), f"{label}: {_pages(bars.beyond)}", "beyond")
    return drawn + _text(_WIDTH - _RIGHT, bars.top(bars.beyond) - 5, f"{label}: {bars.beyond:,}", "end")


def _tick_every(bars: _Bars) -> int:
    return next(every for every in (1, 2, 5, 10) if len(bars.counts) <= every * _TICKS)


def _tick(bars: _Bars, place: int) -> str:
    across = bars.across(place * bars.step / BINS)
    label = _percent(place * bars.step / BINS)
    return _line(across, _FLOOR, across, _FLOOR + 4) + _text(across, _FLOOR + 17, label, "middle")


def _mark(bars: _Bars, label: str, value: float, row: int) -> str:
    across = bars.across(value)
    left = across > _WIDTH / 2
    text = _text(across - 5 if left else across + 5, _TOP - 20 + 12 * row, label, "end" if left else "start", "mark")
    return _line(across, _TOP - 28 + 12 * row, across, _FLOOR, "mark") + text


def _percent(value: float) -> str:
    return f"{value * 100:g}%"


def _pages(count: int) -> str:
    return f"{count:,} page{'s' * (count != 1)}"


def _svg(title: str, parts: Sequence[str]) -> str:
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}"><title>{name}</title>'
        f"{''.join(parts)}</svg>"
    )


def _rect(left: float, top: float, width: float, tip: str, kind: str = "bar") -> str:
    top = min(top, _FLOOR - 1)  # one page among thousands is seen, too
    place = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_FLOOR - top:.1f}"'
    return f'<rect class="{kind}" {place}><title>{escape(tip)}</title></rect>'


def _line(left: float, top: float, right: float, bottom: float, kind: str = "axis") -> str:
    return f'<line class="{kind}" x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}"/>'


def _text(left: float, top: float, text: str, anchor: str, kind: str = "label") -> str:
    return f'<text class="{kind}" x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
