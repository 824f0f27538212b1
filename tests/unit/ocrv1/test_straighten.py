import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1.cut.straighten import Spline, standing_upright, straightening
from bec_orch.jobs.shared.geometry import inverse, rotation, transform

SIZE = (300, 200)


def smooth_page() -> NDArray[np.uint8]:
    """A page of soft waves, on which interpolation errs little."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    return np.asarray(128 + 60 * np.sin(x / 17) + 60 * np.cos(y / 13), np.uint8)


def bow() -> NDArray[np.float32]:
    """Control points [in_y, in_x, out_y, out_x] of lines that sag by 12 pixels."""
    places = [(x, y) for y in (40.0, 100.0, 160.0) for x in np.linspace(10, 290, 9)]
    rows = [(y + 12 * (1 - ((x - 150) / 140) ** 2), x, y, x) for x, y in places]
    return np.array(rows, np.float32)


def test_a_spline_without_stiffness_meets_its_points() -> None:
    random = np.random.default_rng(1)
    start, end = random.uniform(0, 4000, (20, 2)), random.uniform(0, 4000, (20, 2))
    assert np.allclose(Spline(start, end, 0.0)(start), end, atol=1e-6)


def test_a_spline_of_an_affine_map_is_that_map() -> None:
    random = np.random.default_rng(2)
    frame = np.array([[0.9, 0.2, 30.0], [-0.1, 1.1, -7.0]])
    start, other = random.uniform(0, 4000, (12, 2)), random.uniform(0, 4000, (5, 2))
    assert np.allclose(Spline(start, transform(start, frame), 100.0)(other), transform(other, frame), atol=1e-6)


def test_stiffness_keeps_the_spline_from_its_points() -> None:
    points = bow().astype(np.float64)
    bent, straight = points[:, 1::-1], points[:, :1:-1]
    close, stiff = (np.abs(Spline(bent, straight, alpha)(bent) - straight).max() for alpha in (0.5, 1e6))
    assert close < 0.01
    assert stiff > 1


def test_a_level_page_is_sliced() -> None:
    page = smooth_page()
    frame = straightening(PageLines(*SIZE))
    assert np.array_equal(frame.cut(page, 30, 40, (50, 20)), page[40:60, 30:80])
    assert np.array_equal(frame.forward(np.array([[3.0, 4.0]])), [[3.0, 4.0]])


def test_what_lies_outside_of_the_page_repeats_its_edge() -> None:
    page = smooth_page()
    cut = straightening(PageLines(*SIZE)).cut(page, -10, 190, (40, 30))
    assert np.array_equal(cut[:10, 10:], page[190:, :30])
    assert (cut[10:, 10:] == page[-1, :30]).all()
    assert (cut[:10, :10] == page[190:, :1]).all()


@pytest.mark.parametrize("angle", [0.3, -7.0, 90.0, -90.0])
def test_a_turned_piece_is_that_of_the_turned_page(angle: float) -> None:
    page = smooth_page()
    turn, size = rotation(SIZE, angle)
    whole = cv2.warpAffine(page, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    frame = straightening(PageLines(*SIZE, rotation_angle=angle))
    left, top = size[0] // 2 - 40, size[1] // 2 - 20
    cut = frame.cut(page, left, top, (80, 40))
    assert np.abs(cut.astype(int) - whole[top : top + 40, left : left + 80]).max() <= 3


@pytest.mark.parametrize("quarters", [1, 2, -1])
def test_a_lying_page_that_leans_is_cut_as_the_same_page_upright(quarters: int) -> None:
    page, bent = smooth_page(), bow()
    outline = np.array([[60, 80], [200, 82], [200, 110], [60, 108]], np.int32)
    upright = PageLines(*SIZE, rotation_angle=0.7, tps_points=bent, tps_alpha=0.5, contours=(outline,), line_ids=(0,))
    frame, size = rotation(SIZE, 90.0 * -quarters)
    parts = (slice(1, None, -1), slice(3, 1, -1))
    ends = [transform(bent[:, part].astype(np.float64), frame)[:, ::-1] for part in parts]
    stored = PageLines(
        width=size[0],
        height=size[1],
        rotation_angle=0.7 + 90 * quarters,
        tps_points=np.hstack(ends).astype(np.float32),
        tps_alpha=0.5,
        contours=(np.rint(transform(outline.astype(np.float64), frame)).astype(np.int32),),
        line_ids=(0,),
    )
    turned, lines = standing_upright(np.ascontiguousarray(np.rot90(page, -quarters)), stored)
    assert np.array_equal(turned, page)
    assert (lines.width, lines.height) == SIZE
    assert lines.rotation_angle == pytest.approx(0.7)
    assert np.array_equal(lines.contours[0], outline)
    assert lines.tps_points is not None
    assert np.allclose(lines.tps_points, bent)
    assert standing_upright(page, upright)[1] is upright


@pytest.mark.parametrize("angle", [None, 4.0])
def test_a_bent_piece_is_exact_at_every_pixel(angle: float | None) -> None:
    page, points = smooth_page(), bow()
    frame = straightening(PageLines(*SIZE, rotation_angle=angle, tps_points=points, tps_alpha=0.5))
    turn = rotation(SIZE, angle)[0] if angle else None
    places = np.stack(np.meshgrid(np.arange(60, 200), np.arange(70, 110)), axis=-1).reshape(-1, 2).astype(np.float64)
    straight = transform(places, inverse(turn)) if turn is not None else places
    to_stored = Spline(points[:, :1:-1].astype(np.float64), points[:, 1::-1].astype(np.float64), 0.5)
    stored = to_stored(straight).astype(np.float32).reshape(40, 140, 2)
    exact = cv2.remap(page, stored[..., 0], stored[..., 1], cv2.INTER_LINEAR)
    cut = frame.cut(page, 60, 70, (140, 40))
    assert np.abs(cut.astype(int) - exact).max() <= 3


def test_forward_undoes_the_bow() -> None:
    points = bow()
    frame = straightening(PageLines(*SIZE, tps_points=points, tps_alpha=0.5))
    sagging = points[:9, 1::-1].astype(np.float64)
    assert np.allclose(frame.forward(sagging), points[:9, :1:-1], atol=0.1)
