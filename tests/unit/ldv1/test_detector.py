"""The detector end to end, on a small real ONNX model that marks dark pixels, so that the right answer is known."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bec_orch.core.transcripts import MAIN
from bec_orch.jobs.ldv1.kinds.by_place import RUNNING
from bec_orch.jobs.ldv1.one_map.detector import LineDetector, Prepared
from bec_orch.jobs.ldv1.one_map.line_model import PageView
from bec_orch.jobs.ldv1.one_map.tiles import TileModel, load_tile_model
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from tests.unit.ldv1.drawn import marked, model_folder, page

Bar = tuple[float, float, float, float]
ROWS = (60, 110, 160, 210, 260)
LEVEL: list[Bar] = [(60, y, 840, y) for y in ROWS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TileModel:
    return load_tile_model(model_folder(tmp_path_factory.mktemp("model")), threads=1)


@pytest.fixture
def detector(model: TileModel) -> LineDetector:
    return LineDetector(model, second_pass_min_angle=3)


def middles(lines: PageLines) -> NDArray[np.float64]:
    return np.array([(x + width / 2, y + height / 2) for x, y, width, height in lines.bboxes])


def near(points: Iterable[tuple[float, float]], distance: float) -> object:
    return pytest.approx(np.array(list(points)), abs=distance)


def test_lines_are_found_where_they_were_drawn(detector: LineDetector) -> None:
    lines = detector.detect(page((900, 320), LEVEL), 900, 320)
    assert (lines.width, lines.height, lines.line_count) == (900, 320, 5)
    assert lines.line_ids == (0, 1, 2, 3, 4)
    assert middles(lines) == near(((450, y) for y in ROWS), 3)
    assert (lines.rotation_angle, lines.tps_points, lines.tps_alpha) == (None, None, None)
    assert all(score > 0.9 for score in lines.scores)
    assert all(contour.dtype == np.int32 for contour in lines.contours)


def test_coordinates_are_those_of_the_stored_bitmap(detector: LineDetector) -> None:
    lines = detector.detect(page((900, 320), LEVEL), 1800, 640)
    assert (lines.width, lines.height) == (1800, 640)
    assert middles(lines) == near(((900, 2 * y) for y in ROWS), 6)


def test_colour_pages_are_read_too(detector: LineDetector) -> None:
    assert detector.detect(np.dstack([page((900, 320), LEVEL)] * 3), 900, 320).line_count == 5


def test_a_blank_page_has_no_lines(detector: LineDetector) -> None:
    lines = detector.detect(np.full((300, 500), 240, np.uint8), 500, 300)
    assert lines == PageLines(500, 300, model=detector.model.name, engine=detector.model.engine)
    assert lines.line_count == 0


def test_a_segment_of_a_broken_line_keeps_its_own_contour(detector: LineDetector) -> None:
    broken: list[Bar] = [*LEVEL[:2], (60, 160, 300, 160), (380, 160, 840, 160), *LEVEL[3:]]
    lines = detector.detect(page((900, 320), broken), 900, 320)
    assert lines.line_ids == (0, 1, 2, 2, 3, 4)


def test_a_slightly_leaning_page_states_its_angle(detector: LineDetector) -> None:
    slope = np.tan(np.deg2rad(2))
    lines = detector.detect(page((900, 360), [(a, y, b, y + (b - a) * slope) for a, y, b, _ in LEVEL]), 900, 360)
    assert lines.rotation_angle == pytest.approx(2, abs=0.2)


def leaning(angle: float) -> list[Bar]:
    """The level bars, turned by degrees clockwise about (450, 160), and moved into a page of 900 x 700."""
    radians = np.deg2rad(angle)
    turn = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    ends = (np.array(LEVEL).reshape(-1, 2) - (450, 160)) @ turn.T + (450, 350)
    return [tuple(bar) for bar in ends.reshape(-1, 4).tolist()]


def test_a_page_that_leans_more_is_turned_and_detected_again(detector: LineDetector, model: TileModel) -> None:
    picture = page((900, 700), leaning(20))
    first = detector.prepare(picture, 900, 700)
    second = detector.finish(first, model.infer(first.items))
    assert isinstance(second, Prepared)
    assert second.angle == pytest.approx(20, abs=1)
    lines = detector.finish(second, model.infer(second.items))
    assert isinstance(lines, PageLines)
    assert lines.rotation_angle == pytest.approx(20, abs=0.5)
    expected = np.array(leaning(20)).reshape(-1, 2, 2).mean(axis=1)
    assert middles(lines) == near(expected, 8)


@pytest.mark.parametrize("quarter", [1, -1])
def test_a_page_on_its_side_is_turned_and_its_lines_mapped_back(detector: LineDetector, quarter: int) -> None:
    lying = np.ascontiguousarray(np.rot90(page((900, 320), LEVEL), quarter))
    lines = detector.detect(lying, 320, 900)
    assert lines.line_count == 5
    assert abs(lines.rotation_angle or 0) == pytest.approx(90, abs=0.5)
    expected = sorted(ROWS) if quarter == 1 else sorted(319 - y for y in ROWS)
    assert np.sort(middles(lines)[:, 0]) == pytest.approx(np.array(expected), abs=4)
    assert all(height > 700 for _, _, _, height in lines.bboxes)


def test_curved_lines_come_with_control_points_in_stored_pixels(detector: LineDetector) -> None:
    steps = np.linspace(60, 840, 27)
    sag = 24 * np.sin((steps - 60) / 780 * np.pi)
    bars = [(steps[n], y + sag[n], steps[n + 1], y + sag[n + 1]) for y in ROWS for n in range(26)]
    lines = detector.detect(page((900, 340), bars), 1800, 680)
    assert lines.line_count == 5
    assert lines.tps_points is not None
    assert lines.tps_alpha == 0.5
    in_y, in_x, out_y, out_x = lines.tps_points.T
    assert out_x == pytest.approx(in_x)
    drawn = 2 * 24 * np.sin((in_x / 2 - 60) / 780 * np.pi)
    offsets = (in_y - drawn).reshape(-1, 9)
    assert np.ptp(offsets, axis=1).max() < 12
    assert np.ptp(out_y.reshape(-1, 9), axis=1).max() < 2


def test_a_line_that_runs_on_into_the_margin_is_cut_at_the_edge(detector: LineDetector) -> None:
    bars: list[Bar] = [(200, y, 840, y) for y in ROWS[:4]]
    lines = detector.detect(page((900, 320), [*bars, (20, 260, 840, 260)]), 900, 320)
    assert lines.line_count == 6
    assert min(x for x, *_ in lines.bboxes) < 30
    assert sum(x > 190 for x, *_ in lines.bboxes) == 5


COLUMNS = [(x, y, end, y) for y in range(60, 360, 30) for x, end in ((50, 250), (300, 500))]


def in_columns(through: float) -> NDArray[np.float32]:
    """A map of two columns, and two rows whose lines run into each other with this probability between them."""
    probability = marked((550, 420), COLUMNS)
    for row in (120, 330):
        probability[row - 4 : row + 5, 250:301] = through
    return probability


@pytest.mark.parametrize(("through", "count"), [(0.5, 20), (0.95, 18)])
def test_lines_that_ran_into_each_other_over_a_gutter_are_cut_there(through: float, count: int) -> None:
    """A row that is as sure in the gutter as elsewhere is one line."""
    model = Zoomable()
    detector = LineDetector(model, second_pass_min_angle=4)
    prepared = replace(detector.prepare(page((550, 420), COLUMNS), 550, 420), final=True)
    lines = detector.finish(prepared, [in_columns(through)])
    assert isinstance(lines, PageLines)
    assert lines.line_count == count
    if count == len(COLUMNS):
        assert [x for x, *_ in lines.bboxes] == [pytest.approx(50, abs=6)] * 10 + [pytest.approx(300, abs=6)] * 10


class Zoomable:
    """A model that marks every line thinner than the detector likes, until it is asked to look closer."""

    name = kind = digest = engine = "zoomable"
    threshold, min_score, unclip_ratio, zoomable, marks_all_text = 0.3, 0.5, 0.0, True, False

    def __init__(self) -> None:
        self.zooms: list[tuple[float | None, float]] = []

    def reduce_factor(self, width: int, height: int) -> int:
        return 4 if width > height else 1

    def view(self, image: NDArray[np.uint8], pitch: float | None, zoom: float = 1.0) -> PageView:
        self.zooms.append((pitch, zoom))
        height, width = image.shape
        frame = np.array([[1.0, 0, 0], [0, 1.0, 0]])
        return PageView((image,), (round(width * zoom), height), width, height, frame, pitch)

    def infer(self, items: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        raise NotImplementedError

    def probability(self, view: PageView, outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        del view
        return outputs[0]


def test_script_finer_than_it_looked_is_viewed_larger() -> None:
    model = Zoomable()
    detector = LineDetector(model, second_pass_min_angle=4)
    prepared = detector.prepare(page((900, 320), LEVEL), 900, 320)
    thin = (page((900, 320), LEVEL, thickness=3) == 0).astype(np.float32)
    again = detector.finish(prepared, [thin])
    assert isinstance(again, Prepared)
    assert again.final
    assert model.zooms[1][1] == pytest.approx(7 / 3, rel=0.3)
    assert isinstance(detector.finish(again, [thin]), PageLines)


def test_a_page_that_shows_a_pitch_but_no_line_is_viewed_at_the_scale_of_a_title() -> None:
    model = Zoomable()
    detector = LineDetector(model, second_pass_min_angle=4)
    prepared = detector.prepare(page((900, 320), LEVEL), 900, 320)
    assert prepared.view.pitch
    assert isinstance(detector.finish(prepared, [np.zeros((320, 900), np.float32)]), PageLines)
    assert model.zooms[1] == (None, 1.0)


def test_the_decoder_learns_how_small_a_page_may_be() -> None:
    detector = LineDetector(Zoomable(), second_pass_min_angle=4)
    assert (detector.reduce_factor(20, 10), detector.reduce_factor(10, 20)) == (4, 1)


def test_prepared_pages_state_their_memory(detector: LineDetector) -> None:
    prepared = detector.prepare(page((900, 320), LEVEL), 900, 320)
    assert prepared.nbytes == 900 * 320 + sum(item.nbytes for item in prepared.items)


def test_threads_share_a_detector(detector: LineDetector) -> None:
    pictures = [page((900, 320), LEVEL[:count]) for count in (1, 2, 3, 4, 5)] * 4
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda picture: detector.detect(picture, 900, 320).line_count, pictures))
    assert counts == [1, 2, 3, 4, 5] * 4


@pytest.mark.parametrize("size", [(1, 1), (2, 2000), (2000, 2), (7, 5)])
def test_pages_of_odd_shapes_do_no_harm(detector: LineDetector, size: tuple[int, int]) -> None:
    width, height = size
    lines = detector.detect(np.zeros((height, width), np.uint8), width, height)
    assert all(contour.min() >= 0 and (contour < (width, height)).all() for contour in lines.contours)


def test_a_model_path_is_opened_from_its_config_file_too(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    assert load_tile_model(folder / "config.json", threads=1).name == "model"


@pytest.mark.parametrize(("marks_all_text", "kinds"), [(True, {MAIN, RUNNING}), (False, set())])
def test_lines_have_kinds_where_a_model_marks_all_text(*, marks_all_text: bool, kinds: set[str]) -> None:
    model = Zoomable()
    model.marks_all_text = marks_all_text
    rows: list[Bar] = [(60, 60 + 30 * row, 500, 60 + 30 * row) for row in range(12)]
    detector = LineDetector(model, second_pass_min_angle=4)
    picture = page((560, 520), [*rows, (270, 480, 300, 480)], thickness=8)
    prepared = replace(detector.prepare(picture, 560, 520), final=True)
    found = detector.finish(prepared, [(picture == 0).astype(np.float32)])
    assert isinstance(found, PageLines)
    assert (found.line_count, set(found.kinds)) == (13, kinds)


def test_a_page_that_was_rotated_is_viewed_larger_where_its_script_is_fine() -> None:
    model = Zoomable()
    detector = LineDetector(model, second_pass_min_angle=4)
    skewed: list[Bar] = [(60, y, 840, y + 90) for y in range(40, 220, 36)]
    prepared = detector.prepare(page((900, 360), skewed), 900, 360)
    rotated = detector.finish(prepared, [(page((900, 360), skewed, thickness=3) == 0).astype(np.float32)])
    assert isinstance(rotated, Prepared)
    assert (round(rotated.angle), rotated.final) == (7, False)
    size = (rotated.view.width, rotated.view.height)
    thin = (page(size, [(60, y, 840, y) for y in range(60, 300, 36)], thickness=3) == 0).astype(np.float32)
    nearer = detector.finish(rotated, [thin])
    assert isinstance(nearer, Prepared)
    assert (nearer.angle, nearer.final, np.allclose(nearer.base, rotated.base)) == (rotated.angle, True, True)
    found = detector.finish(nearer, [thin])
    assert isinstance(found, PageLines)
    assert found.rotation_angle == pytest.approx(7, abs=1)
