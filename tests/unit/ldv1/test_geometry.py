import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bec_orch.jobs.shared.geometry import (
    bounding_box,
    compose,
    in_grey,
    inverse,
    offset_polygon,
    on_pixels,
    resized,
    rotation,
    scaling,
    transform,
)

sides = st.integers(1, 5000)


@given(sides, sides, sides, sides)
def test_scaling_lays_edges_on_edges(width: int, height: int, new_width: int, new_height: int) -> None:
    edges = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    expected = [[-0.5, -0.5], [new_width - 0.5, new_height - 0.5]]
    assert transform(edges, scaling((width, height), (new_width, new_height))) == pytest.approx(np.array(expected))


@given(sides, sides, st.floats(-180, 180))
def test_a_turned_page_lies_within_its_new_size(width: int, height: int, angle: float) -> None:
    turn, (new_width, new_height) = rotation((width, height), angle)
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    there = transform(corners, turn)
    assert there.min() >= -0.5 - 1e-3
    assert (there.max(axis=0) <= (new_width - 0.5 + 1e-3, new_height - 0.5 + 1e-3)).all()
    assert transform(there, inverse(turn)) == pytest.approx(corners, abs=1e-6)


def test_a_positive_angle_turns_counter_clockwise() -> None:
    turn, size = rotation((100, 50), 90)
    assert size == (50, 100)
    assert transform(np.array([[99.0, 0.0]]), turn) == pytest.approx(np.array([[0.0, 0.0]]), abs=1e-9)


def test_after_does_the_first_frame_first() -> None:
    turn, size = rotation((100, 50), 90)
    both = compose(scaling(size, (25, 50)), turn)
    point = np.array([[10.0, 20.0]])
    assert transform(point, both) == pytest.approx(transform(transform(point, turn), scaling(size, (25, 50))))


def test_grown_moves_every_side_outwards() -> None:
    square = np.array([[10, 10], [30, 10], [30, 20], [10, 20]], np.int32)
    there = offset_polygon(square, 3.0)
    assert there.min(axis=0) == pytest.approx([7, 7], abs=0.1)
    assert there.max(axis=0) == pytest.approx([33, 23], abs=0.1)


def test_lines_and_dots_grow_to_areas() -> None:
    there = offset_polygon(np.array([[10, 10], [30, 10]], np.int32), 2.0)
    assert there.min(axis=0) == pytest.approx([8, 8], abs=0.3)
    dot = offset_polygon(np.array([[5, 5]], np.int32), 2.0)
    assert dot.max(axis=0) == pytest.approx([7, 7], abs=0.3)


def test_growing_by_nothing_returns_the_same_contour() -> None:
    assert offset_polygon(np.array([[5, 5]], np.int32), 0.0).tolist() == [[5.0, 5.0]]


def test_points_are_kept_on_the_picture() -> None:
    assert on_pixels(np.array([[-3.0, 2.4], [99.7, 50.0]]), 100, 50).tolist() == [[0, 2], [99, 49]]


def test_a_box_holds_all_pixels_of_its_contour() -> None:
    assert bounding_box(np.array([[3, 4], [7, 4], [7, 9]], np.int32)) == (3, 4, 5, 6)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.integers(1, 300))
def test_resized_has_the_size_asked_for(width: int, height: int, new_width: int, new_height: int) -> None:
    assert resized(np.zeros((height, width, 3), np.uint8), new_width, new_height).shape == (new_height, new_width, 3)


def test_resized_averages() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    assert np.unique(resized(stripes, 16, 16)).tolist() == [100]


def test_grey_stays_grey_and_colour_becomes_it() -> None:
    grey = np.full((4, 5), 77, np.uint8)
    assert in_grey(grey) is grey
    assert np.array_equal(in_grey(np.dstack([grey] * 3)), grey)
