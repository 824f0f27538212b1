import numpy as np
import pytest

from bec_orch.jobs.ldv1.page.pitch import line_pitch
from tests.unit.ldv1.drawn import page


def rows(pitch: float, *, width: int, height: int, lean: float = 0.0) -> np.ndarray:
    count = int((height - 40) // pitch)
    return page(
        (width, height),
        [(40, 30 + n * pitch, width - 40, 30 + n * pitch + lean * width) for n in range(count)],
        thickness=max(3, round(pitch / 3)),
    )


@pytest.mark.parametrize(("pitch", "width", "height"), [(22, 1280, 320), (60, 1500, 480), (200, 3200, 4400)])
def test_the_pitch_of_regular_lines_is_found(pitch: float, width: int, height: int) -> None:
    assert line_pitch(rows(pitch, width=width, height=height)) == pytest.approx(pitch, rel=0.06)


def test_colour_pages_are_measured_as_grey_ones() -> None:
    grey = rows(50, width=1200, height=700)
    assert line_pitch(np.dstack([grey] * 3)) == line_pitch(grey)


def test_skew_does_not_blur_the_pitch() -> None:
    assert line_pitch(rows(40, width=1500, height=500, lean=0.05)) == pytest.approx(40, rel=0.1)


def test_a_page_on_its_side_is_measured_across() -> None:
    upright = rows(40, width=1500, height=500)
    assert line_pitch(np.ascontiguousarray(np.rot90(upright))) == pytest.approx(40, rel=0.1)


def test_a_blank_page_has_no_pitch() -> None:
    assert line_pitch(np.full((700, 1000), 230, np.uint8)) is None


def test_tiny_pages_are_measured_without_fault() -> None:
    assert line_pitch(np.zeros((1, 1), np.uint8)) is None
    assert line_pitch(np.zeros((3, 900, 3), np.uint8)) is None
