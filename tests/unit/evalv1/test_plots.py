"""The plots of an evaluation report: what is drawn where."""

from xml.etree import ElementTree as ET

import pytest

from bec_orch.jobs.evalv1.report.html import templates
from bec_orch.jobs.evalv1.report.plot import Plot, Rect, histogram
from bec_orch.jobs.evalv1.report.values import BINS, Distribution


def distribution(**pages: int) -> Distribution:
    """Pages by thousandths: `_12=3` are three pages from 0.012 on."""
    return Distribution(tuple(pages.get(f"_{place}", 0) for place in range(BINS + 1)))


def tips(drawn: Plot, kind: str = "bar") -> list[str]:
    return [shape.tip for shape in drawn.shapes if isinstance(shape, Rect) and shape.kind == kind]


def in_svg(plot: Plot) -> ET.Element:
    written = templates().from_string('{% from "plot.svg" import drawn %}{{ drawn(plot) }}').render(plot=plot)
    return ET.fromstring(written)  # noqa: S314  (made here)


def test_bars_are_as_narrow_as_the_values_are_close() -> None:
    assert tips(histogram(distribution(_2=3, _3=1, _35=2), title="t", axis="a")) == [
        "0.2% to 0.3%: 3 pages",
        "0.3% to 0.4%: 1 page",
        "3.5% to 3.6%: 2 pages",
    ]
    assert tips(histogram(distribution(_20=3, _390=5), title="t", axis="a")) == [
        "2% to 3%: 3 pages",
        "39% to 40%: 5 pages",
    ]
    assert tips(histogram(distribution(_0=1, _1000=99), title="t", axis="a"))[0] == "0% to 5%: 1 page"


def test_pages_far_from_the_others_stand_together_and_squeeze_nobody() -> None:
    drawn = histogram(distribution(_10=995, _700=2, _1000=3), title="t", axis="a")
    assert tips(drawn) == ["1% to 1.1%: 995 pages"]
    assert tips(drawn, "beyond") == ["1.1% and more: 5 pages"]


@pytest.mark.parametrize("place", [0, 1, 17, 399, 400, 401, 999, 1000])
def test_every_page_is_drawn_within_the_picture(place: int) -> None:
    drawn = histogram(distribution(**{"_3": 1, f"_{place}": 7}), title="t", axis="a", marks=[("m", place / BINS)])
    counted = [int(tip.rpartition(": ")[2].split()[0]) for kind in ("bar", "beyond") for tip in tips(drawn, kind)]
    assert sum(counted) == (8 if place != 3 else 7)
    svg = in_svg(drawn)
    width, height = (float(size) for size in svg.attrib["viewBox"].split()[2:])
    rects = list(svg.iter("rect"))
    assert len(rects) == len(counted)
    for rect in rects:
        left, top, across, down = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert left >= 0
        assert top >= 0
        assert left + across <= width
        assert top + down <= height


def test_names_are_escaped() -> None:
    svg = in_svg(histogram(distribution(_1=1), title='"><script>', axis="<b>", marks=[("<i>", 0.001)]))
    assert not {"script", "b", "i"} & {element.tag for element in svg.iter()}
    assert svg.attrib["aria-label"] == '"><script>'
    assert {"<b>", "<i>"} <= {label.text for label in svg.iter("text")}
