import numpy as np
import pytest

from bec_orch.jobs.ldv1.one_map.segments import find_segments
from bec_orch.jobs.ldv1.page.flatten import control_points
from bec_orch.jobs.ldv1.page.segment import Segment
from bec_orch.jobs.ldv1.page.skew import lies_on_its_side, own_slope, page_slope, rotation_to_upright
from tests.unit.ldv1.drawn import marked, page

Bar = tuple[float, float, float, float]


def segments_of(size: tuple[int, int], bars: list[Bar]) -> tuple[Segment, ...]:
    return find_segments(marked(size, bars), threshold=0.3, min_score=0.5, unclip_ratio=0)


def test_the_slope_is_the_long_lines_median() -> None:
    bars: list[Bar] = [(50, y, 650, y + 18) for y in (40, 80, 120)]
    assert page_slope(segments_of((700, 220), [*bars, (50, 190, 150, 175)])) == pytest.approx(0.03, abs=0.004)


def test_no_long_line_no_slope() -> None:
    assert page_slope([]) == 0.0
    assert own_slope(np.array([3.0]), np.array([5.0])) == 0.0


def test_a_page_on_its_side_is_recognised_by_its_script() -> None:
    upright: list[Bar] = [(x, 40, x, 640) for x in (40, 70, 100, 130)]
    assert lies_on_its_side(segments_of((200, 700), upright))
    assert lies_on_its_side(segments_of((200, 700), [*upright, (30, 670, 90, 670)]))
    level: list[Bar] = [(60, y, 660, y) for y in (40, 70, 100)]
    assert not lies_on_its_side(segments_of((700, 160), [*level, (20, 20, 20, 140)]))
    assert not lies_on_its_side(())


def headed_letters() -> np.ndarray:
    """A level page whose lines begin with a sharp headline and thin out below, as Tibetan does."""
    picture = page((700, 160), [(60, y, 660, y) for y in (40, 80, 120)], thickness=4)
    for row in range(1, 12):
        picture[[40 + row, 80 + row, 120 + row], 60:660:10] = 0
        picture[[40 + row, 80 + row, 120 + row], 60 : 660 - 40 * row : 5] = 0
    return picture


@pytest.mark.parametrize(("quarter", "angle"), [(1, -90.0), (-1, 90.0)])
def test_the_sharp_headline_shows_which_way_is_up(quarter: int, angle: float) -> None:
    lying = np.ascontiguousarray(np.rot90(headed_letters(), quarter))
    level = marked((700, 160), [(60, y, 660, y) for y in (44, 84, 124)], thickness=10)
    segments = find_segments(
        np.ascontiguousarray(np.rot90(level, quarter)), threshold=0.3, min_score=0.5, unclip_ratio=0
    )
    assert rotation_to_upright(lying, segments) == angle


def curved(depth: float) -> list[Bar]:
    steps = np.linspace(50, 950, 31)
    heights = depth * np.sin((steps - 50) / 900 * np.pi)
    return [
        (steps[n], y + heights[n], steps[n + 1], y + heights[n + 1]) for y in (40, 80, 120, 160, 200) for n in range(30)
    ]


def test_curved_lines_yield_points_that_straighten_them() -> None:
    lines = [(part,) for part in segments_of((1000, 280), curved(30))]
    points = control_points(lines, 0.0)
    assert points is not None
    assert points.shape == (45, 4)
    bent, straight = points[:, :2], points[:, 2:]
    depth = np.sin((bent[:, 0] - 50) / 900 * np.pi) * 30
    rows = np.repeat([40, 80, 120, 160, 200], 9)
    assert np.sort(bent[:, 1] - depth) == pytest.approx(np.sort(rows), abs=4)
    assert straight[:, 0] == pytest.approx(bent[:, 0])
    assert np.ptp(straight[:, 1].reshape(5, 9), axis=1) == pytest.approx(np.zeros(5), abs=1e-9)


def test_straight_lines_and_single_lines_yield_none() -> None:
    straight = [(part,) for part in segments_of((1000, 280), curved(0))]
    assert control_points(straight, 0.0) is None
    single = [(part,) for part in segments_of((1000, 280), curved(30))[:1]]
    assert control_points(single, 0.0) is None
    assert control_points([], 0.0) is None


def test_the_lean_stays_in_the_straightened_points() -> None:
    bars = [(x, y + 0.05 * x, end, end_y + 0.05 * end) for x, y, end, end_y in curved(30)]
    lines = [(part,) for part in segments_of((1000, 340), bars)]
    points = control_points(lines, 0.05)
    assert points is not None
    first = points.reshape(-1, 9, 4)[0]
    assert np.polyfit(first[:, 2], first[:, 3], 1)[0] == pytest.approx(0.05)
