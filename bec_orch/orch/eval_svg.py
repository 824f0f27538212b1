"""Plots of an evaluation report, as SVG that needs nothing else. Colours come from the page's style sheet."""

from collections.abc import Sequence
from html import escape

from bec_orch.orch.eval_values import BINS, Distribution

_WIDTH, _HEIGHT = 720, 220
_LEFT, _BOTTOM, _TOP = 56, 34, 10
_BAR_HEIGHT, _LABEL, _FIGURE = 22, 170, 90
_TICKS = 5


def histogram(distribution: Distribution, *, title: str, axis: str) -> str:
    """Draw how many pages have a value in each hundredth; the last bar is of those at 1 or above.

    Args:
        distribution: what to draw.
        title: read out by screen readers.
        axis: what the values are.
    """
    counts = distribution.counts
    highest = max(*counts, 1)
    width = (_WIDTH - _LEFT - 10) / len(counts)
    bars = [_bar(place, count, width, highest) for place, count in enumerate(counts) if count]
    ticks = [_tick_below(share / _TICKS, width) for share in range(_TICKS + 1)]
    return _svg(
        _HEIGHT,
        title,
        [
            *bars,
            _line(_LEFT, _floor(), _WIDTH - 10, _floor()),
            *ticks,
            _text(_LEFT - 6, _TOP + 10, f"{highest:,}", "end"),
            _text(_LEFT - 6, _floor(), "0", "end"),
            _text(_WIDTH / 2, _HEIGHT - 2, axis, "middle"),
        ],
    )


def bars(values: Sequence[tuple[str, float, str]], *, title: str) -> str:
    """Draw one bar for each label, with its value (0 and above) and how that is written.

    The longest bar fills the width; values are told apart by their figures.
    """
    longest = max([value for _, value, _ in values], default=0.0) or 1.0
    room = _WIDTH - _LABEL - _FIGURE
    drawn = []
    for place, (label, value, figure) in enumerate(values):
        top, length = place * _BAR_HEIGHT, room * value / longest
        drawn += [
            _text(_LABEL - 8, top + 16, label, "end"),
            _rect(_LABEL, top + 4, length, _BAR_HEIGHT - 8, f"{label}: {figure}"),
            _text(_LABEL + length + 6, top + 16, figure, "start"),
        ]
    return _svg(max(1, len(values)) * _BAR_HEIGHT, title, drawn)


def _floor() -> float:
    return _HEIGHT - _BOTTOM


def _bar(place: int, count: int, width: float, highest: int) -> str:
    height = max(1.0, (_floor() - _TOP) * count / highest)
    bounds = f"{place / BINS:.0%} to {(place + 1) / BINS:.0%}" if place < BINS else "100% and above"
    return _rect(_LEFT + place * width, _floor() - height, max(width - 1, 1), height, f"{bounds}: {count:,} pages")


def _tick_below(value: float, width: float) -> str:
    across = _LEFT + value * BINS * width
    return _line(across, _floor(), across, _floor() + 4) + _text(across, _floor() + 16, f"{value:.0%}", "middle")


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{name}"><title>{name}</title>'
        f"{''.join(parts)}</svg>"
    )


def _rect(left: float, top: float, width: float, height: float, tip: str) -> str:
    place = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f"<rect {place}><title>{escape(tip)}</title></rect>"


def _line(left: float, top: float, right: float, bottom: float) -> str:
    return f'<line x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}"/>'


def _text(left: float, top: float, text: str, anchor: str) -> str:
    return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
