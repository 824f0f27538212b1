"""The reliability plot of the recogniser: its points, their means, and that it is a picture."""

import xml.etree.ElementTree as ET

import pytest

from bench.reader_confidence import Point, means, point_of, svg
from bench.score_recognisers import Read


def test_a_picture_is_what_was_said_and_what_is_right() -> None:
    assert point_of(Read("a", "ཀཁ གད", "ཀཁགང", 0.9)) == Point(0.9, 0.75)
    assert point_of(Read("a", "ཀཁགངཅཆ", "ང", 0.2)) == Point(0.2, 0.0)


def test_means_are_of_neighbours_by_what_was_said() -> None:
    points = [Point(0.8, 1.0), Point(0.2, 0.3), Point(0.4, 0.1), Point(0.6, 0.6)]
    found = [each for point in means(points, 2) for each in (point.said, point.right)]
    assert found == pytest.approx([0.3, 0.2, 0.7, 0.8])
    assert means(points[:1], 8) == [Point(0.8, 1.0)]


def test_the_plot_has_a_circle_for_each_point_and_each_mean() -> None:
    picture = ET.fromstring(svg([Point(0.5, 0.25), Point(1.0, 1.0)], [Point(0.75, 0.6)]))  # noqa: S314  (our own)
    circles = picture.findall("{http://www.w3.org/2000/svg}circle")
    assert [(each.get("cx"), each.get("cy")) for each in circles] == [
        ("224.0", "292.0"),
        ("404.0", "22.0"),
        ("314.0", "166.0"),
    ]
