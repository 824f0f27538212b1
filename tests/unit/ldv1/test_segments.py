import numpy as np
import pytest

from bec_orch.jobs.ldv1.one_map.segments import find_segments
from bec_orch.jobs.ldv1.page.segment import Segment, usual_thickness, weighted_quantile
from tests.unit.ldv1.drawn import bar, marked


def found(probability: np.ndarray, unclip_ratio: float = 0.0) -> list[Segment]:
    segments = find_segments(probability, threshold=0.3, min_score=0.5, unclip_ratio=unclip_ratio)
    return sorted(segments, key=lambda part: (round(part.ys.mean()), part.left))


def test_a_bar_is_one_segment_with_its_place_score_and_thickness() -> None:
    (segment,) = found(marked((400, 100), [(50, 40, 250, 50)]))
    assert segment.score == pytest.approx(0.95, abs=0.01)
    assert segment.thickness == pytest.approx(10, abs=1)
    assert [segment.left, segment.right] == pytest.approx([50, 250], abs=2)
    middle = np.interp([100, 200], segment.xs, segment.ys)
    assert middle == pytest.approx([42.5, 47.5], abs=0.7)
    assert not segment.upright


def test_an_outline_grows_by_area_times_ratio_over_perimeter() -> None:
    kernel = marked((400, 100), [(50, 50, 249, 50)], thickness=10)
    height, width = 11, 200
    expected = height * width * 1.8 / (2 * (height + width)) + 0.5
    (segment,) = found(kernel, unclip_ratio=1.8)
    assert segment.outline()[:, 1].min() == pytest.approx(45 - expected, abs=1)
    assert segment.outline()[:, 1].max() == pytest.approx(55 + expected, abs=1)


def test_faint_regions_are_noise() -> None:
    assert found(marked((300, 100), [(20, 50, 280, 50)]) * 0.45) == []


def test_specks_and_doubtful_blobs_beside_lines_are_left_out() -> None:
    probability = marked((600, 200), [(20, 50, 580, 50), (20, 90, 580, 90)])
    bar(probability, (100, 150), (109, 150), 2, 0.9)
    bar(probability, (300, 150), (330, 150), 14, 0.6)
    assert len(found(probability)) == 2


def test_script_that_runs_down_the_page_is_upright() -> None:
    assert [part.upright for part in found(marked((300, 300), [(40, 30, 40, 270)]))] == [True]


def test_two_lines_that_touch_at_a_letter_are_cut() -> None:
    probability = marked((600, 200), [(20, 50, 580, 50), (20, 80, 580, 80), (20, 110, 580, 110)])
    bar(probability, (300, 50), (300, 80), 5, 0.9)
    segments = found(probability)
    assert [round(part.ys.mean()) for part in segments] == [50, 80, 110]
    assert all(part.width > 540 for part in segments)


def test_two_lines_that_run_into_each_other_are_cut_by_a_higher_threshold() -> None:
    probability = marked((600, 240), [(20, 30, 580, 30), (20, 150, 580, 150), (20, 200, 580, 200)])
    bar(probability, (20, 96), (580, 96), 22, 0.45)
    bar(probability, (20, 89), (580, 89), 8, 0.95)
    bar(probability, (20, 103), (580, 103), 8, 0.95)
    assert [round(part.ys.mean()) for part in found(probability)] == [30, 89, 103, 150, 200]


def test_a_tall_heading_stays_whole() -> None:
    probability = marked((600, 300), [(20, 150, 580, 150), (20, 180, 580, 180), (20, 210, 580, 210)])
    bar(probability, (150, 60), (450, 60), 24, 0.97)
    assert len(found(probability)) == 4


def test_an_empty_map_has_no_segments() -> None:
    assert found(np.zeros((64, 64), np.float32)) == []
    assert usual_thickness([]) == 0.0


def test_a_map_of_noise_is_bounded() -> None:
    noise = np.random.default_rng(1).random((600, 600), np.float32)
    assert len(found(noise)) < 3000


def test_weighted_quantile() -> None:
    assert weighted_quantile([3.0, 1.0, 2.0], [1.0, 1.0, 8.0], 0.5) == 2.0
    assert weighted_quantile([3.0, 1.0, 2.0], [1.0, 1.0, 8.0], 0.05) == 1.0
    assert weighted_quantile([3.0, 1.0, 2.0], [1.0, 1.0, 8.0], 0.95) == 3.0
