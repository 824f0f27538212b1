import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bec_orch.jobs.ocrv1.cut.line_images import LineImage, cut_lines
from bec_orch.jobs.shared.geometry import rotation, transform
from tests.unit.ocrv1.made import box_contour, lines_at, page_of, spelled

Grey = NDArray[np.uint8]
BANDS = [0, 1, 2, 3, 1, 0]


def cut(page: Grey, *contours: NDArray[np.int32], most_high: int = 1000, **more: object) -> list[LineImage]:
    return list(cut_lines(page, lines_at(page, contours, **more), most_high))


def ink(line: LineImage) -> Grey:
    """The line's ink, trimmed: 1 is ink."""
    assert line.pixels is not None
    dark = (line.pixels < 128).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(dark)
    return dark[y : y + height, x : x + width]


def assert_like(found: Grey, wanted: Grey, least: float = 0.95) -> None:
    """The same ink, but for a little at the edges."""
    assert found.shape[0] == pytest.approx(wanted.shape[0], abs=4)
    assert found.shape[1] == pytest.approx(wanted.shape[1], abs=8)
    same = cv2.resize(found, wanted.shape[::-1], interpolation=cv2.INTER_NEAREST) == wanted
    assert same.mean() >= least


def test_lines_are_trimmed_to_their_ink_with_a_narrow_rim() -> None:
    line = spelled(BANDS)
    page, lines = page_of([line, line])
    found = list(cut_lines(page, lines, 1000))
    assert [image.box for image in found] == list(lines.bboxes)
    for image in found:
        assert image.pixels is not None
        rim, side = 2, 4  # 5 % and 10 % of 40
        assert image.pixels.shape == (line.shape[0] + 2 * rim, line.shape[1] + 2 * side)
        assert np.array_equal(image.pixels[rim:-rim, side:-side], np.minimum(line, 240))
        assert (image.pixels[:rim] == 240).all()


def test_high_lines_are_shrunk() -> None:
    page, lines = page_of([spelled(BANDS, 120)])
    (found,) = cut_lines(page, lines, 48)
    assert found.pixels is not None
    assert found.pixels.shape[0] == 48


def test_a_letter_that_reaches_out_stays_whole_and_a_neighbour_goes() -> None:
    page = np.full((200, 400), 250, np.uint8)
    page[80:120, 50:350] = 40  # the line
    page[68:120, 100:110] = 40  # its ascender, 12 above the contour
    page[20:78, 300:310] = 40  # a neighbour's descender, which ends just above the line
    (found,) = cut(page, box_contour(50, 80, 300, 40))
    shape = ink(found)
    assert shape.shape == (52, 300)
    assert shape[:12, 50:60].all()
    assert not shape[:12, 200:].any()


def test_letters_that_touch_are_parted_at_the_contour() -> None:
    page = np.full((200, 400), 250, np.uint8)
    page[80:120, 50:80] = page[80:120, 90:120] = 40
    page[20:120, 130:160] = 40  # touches a letter of the line above
    (found,) = cut(page, box_contour(50, 80, 120, 40))
    assert ink(found).shape == (40, 110)
    assert ink(found)[:, 80:].all()


def test_a_line_of_several_contours_is_one_picture() -> None:
    page = np.full((100, 400), 250, np.uint8)
    page[40:60, 50:100] = page[44:66, 300:350] = 30
    contours = box_contour(50, 40, 50, 20), box_contour(300, 44, 50, 22)
    lines = lines_at(page, contours)
    object.__setattr__(lines, "line_ids", (0, 0))
    (found,) = cut_lines(page, lines, 1000)
    assert found.box == (50, 40, 300, 26)
    assert ink(found).shape == (26, 300)


def test_a_line_without_ink_is_blank() -> None:
    page = np.full((100, 400), 235, np.uint8)
    page[::2, ::3] = 228
    assert [line.pixels for line in cut(page, box_contour(50, 40, 300, 20))] == [None]
    page[5:12, 100:300] = 0  # a neighbour only
    assert [line.pixels for line in cut(page, box_contour(50, 14, 300, 20))] == [None]


@pytest.mark.parametrize("angle", [5.0, -3.0, 90.0, -90.0])
def test_a_leaning_line_is_level(angle: float) -> None:
    line = spelled(BANDS, 80)
    page, lines = page_of([line, line], width=800)
    turn, size = rotation((page.shape[1], page.shape[0]), -angle)
    leaning = np.asarray(cv2.warpAffine(page, turn, size, borderValue=240), np.uint8)
    contours = [np.rint(transform(contour.astype(np.float64), turn)).astype(np.int32) for contour in lines.contours]
    for found in cut(leaning, *contours, rotation_angle=angle):
        assert_like(ink(found), (line < 128).astype(np.uint8))


def test_a_curved_line_is_straight() -> None:
    line = spelled(BANDS * 3, 80)
    page, lines = page_of([line], width=1400, gap=100)

    def sag(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(40 * (1 - ((x - 700) / 700) ** 2), np.float64)

    x, y = np.meshgrid(np.arange(page.shape[1], dtype=np.float64), np.arange(page.shape[0], dtype=np.float64))
    bent = cv2.remap(page, x.astype(np.float32), (y - sag(x)).astype(np.float32), cv2.INTER_LINEAR, borderValue=240)
    columns = np.linspace(0, 1400, 15)
    points = [
        (height + drop, x, height, x) for height in (60, 180) for x, drop in zip(columns, sag(columns), strict=True)
    ]
    left, top, width, height = lines.bboxes[0]
    edge = np.arange(left, left + width + 1, 10, dtype=np.float64)
    upper, lower = np.column_stack([edge, top + sag(edge)]), np.column_stack([edge, top + height - 1 + sag(edge)])
    contour = np.rint(np.vstack([upper, lower[::-1]])).astype(np.int32)
    (found,) = cut(np.asarray(bent, np.uint8), contour, tps_points=np.array(points, np.float32), tps_alpha=0.5)
    assert_like(ink(found), (line < 128).astype(np.uint8), least=0.93)


def test_a_line_at_the_edge_of_the_page_is_cut() -> None:
    page = np.full((60, 200), 250, np.uint8)
    page[0:20, 0:200] = 30
    page[4:8, :] = 250
    (found,) = cut(page, box_contour(0, 0, 200, 20))
    assert found.pixels is not None


def test_a_dot_of_a_contour_is_no_error() -> None:
    page = np.full((60, 200), 250, np.uint8)
    page[10, 10] = 0
    (found,) = cut(page, np.array([[10, 10]], np.int32))
    assert found.box == (10, 10, 1, 1)
    assert found.pixels is not None
