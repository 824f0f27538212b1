"""The network's detector end to end, over a network that marks dark pixels, so that the right answer is known."""

import numpy as np
import pytest

from bec_orch.jobs.ldv1.auto import AutoDetector, Routed
from bec_orch.jobs.ldv1.bec.detector import Look, NetworkDetector, Round, Seen
from bec_orch.jobs.ldv1.bec.network import View
from bec_orch.jobs.ldv1.kinds.traced import Traced
from bec_orch.jobs.ldv1.one_map.detector import LineDetector
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from tests.unit.ldv1.drawn import page
from tests.unit.ldv1.drawn_maps import DarkPixels, network
from tests.unit.ldv1.test_detector import LEVEL, ROWS, Zoomable, leaning, middles, near

MOST_SKEW = 4.0


@pytest.fixture
def model() -> DarkPixels:
    return DarkPixels()


@pytest.fixture
def detector(model: DarkPixels) -> NetworkDetector:
    return NetworkDetector(network(model), MOST_SKEW)


PAGE = page((900, 320), LEVEL, thickness=14)


def test_lines_are_found_where_they_were_drawn(detector: NetworkDetector, model: DarkPixels) -> None:
    lines = detector.detect(PAGE, 900, 320)
    assert (lines.width, lines.height, lines.line_count) == (900, 320, 5)
    assert lines.line_ids == (0, 1, 2, 3, 4)
    assert middles(lines) == near(((450, y) for y in ROWS), 4)
    assert (lines.rotation_angle, lines.tps_points) == (None, None)
    assert lines.kinds == ("main",) * 5
    assert (lines.model, lines.engine) == ("bec-lines", "drawn")
    assert all(
        contour.dtype == baseline.dtype == np.int32
        for contour, baseline in zip(lines.contours, lines.baselines, strict=True)
    )
    assert len(model.runs) == 1, "a page that is sure is seen once"


def test_coordinates_are_those_of_the_stored_bitmap(detector: NetworkDetector) -> None:
    lines = detector.detect(PAGE, 1800, 640)
    assert middles(lines) == near(((900, 2 * y) for y in ROWS), 8)


def test_a_page_is_seen_at_the_pitch_of_its_lines(detector: NetworkDetector, model: DarkPixels) -> None:
    detector.detect(PAGE, 900, 320)
    width, height = model.runs[0]
    assert width == pytest.approx(900 * 24 / 50, abs=32)
    assert (width % 32, height % 32) == (0, 0)


def test_colour_pages_are_read_too(detector: NetworkDetector) -> None:
    assert detector.detect(np.dstack([PAGE] * 3), 900, 320).line_count == 5


def test_a_blank_page_has_no_lines_and_is_looked_for_them_at_some_scales(
    detector: NetworkDetector, model: DarkPixels
) -> None:
    lines = detector.detect(np.full((300, 500), 240, np.uint8), 500, 300)
    assert lines == PageLines(500, 300, model="bec-lines", engine="drawn")
    assert len(set(model.runs)) == len(model.runs) > 3


def test_what_is_unsure_is_seen_again_at_other_scales(model: DarkPixels, detector: NetworkDetector) -> None:
    model.sure = 0.85
    assert detector.detect(PAGE, 900, 320).line_count == 5
    assert len(model.runs) == 1 + 6


def test_what_is_nearly_sure_at_the_pitch_of_its_lines_is_not_guessed_at(
    model: DarkPixels, detector: NetworkDetector
) -> None:
    model.sure = 0.93
    assert detector.detect(PAGE, 900, 320).line_count == 5
    assert len(model.runs) == 1 + 3


def test_what_was_found_at_a_guess_is_seen_at_the_pitch_of_its_lines(
    model: DarkPixels, detector: NetworkDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bec_orch.jobs.ldv1.bec.detector.line_pitch", lambda _: 400.0)
    model.sure = 0.93
    assert detector.detect(page((900, 450), LEVEL, thickness=14), 900, 450).line_count == 5
    assert len(model.runs) == 1 + 3 + 3 + 1
    assert model.runs[-1][0] == pytest.approx(900 * 24 / 50, abs=48)


def test_lines_at_another_pitch_than_the_page_seemed_to_have_are_seen_again(
    model: DarkPixels, detector: NetworkDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bec_orch.jobs.ldv1.bec.detector.line_pitch", lambda _: 25.0)
    first = detector.prepare(PAGE, 900, 320)
    second = detector.finish(first, detector.infer(first.items))
    assert isinstance(second, Seen)
    assert second.round is Round.PITCH
    assert second.items[0].shape[1] == pytest.approx(first.items[0].shape[1] / 2, abs=32)
    lines = detector.finish(second, detector.infer(second.items))
    assert isinstance(lines, PageLines)
    assert lines.line_count == 5


def test_a_page_that_is_skewed_is_rotated_and_seen_again(detector: NetworkDetector) -> None:
    picture = page((900, 700), leaning(6), thickness=14)
    first = detector.prepare(picture, 900, 700)
    found: PageLines | Seen = first
    while isinstance(found, Seen) and found.round is not Round.ROTATED:
        found = detector.finish(found, detector.infer(found.items))
    assert isinstance(found, Seen)
    lines = detector.finish(found, detector.infer(found.items))
    assert isinstance(lines, PageLines)
    assert lines.rotation_angle == pytest.approx(6, abs=0.7)
    assert middles(lines) == near(np.array(leaning(6)).reshape(-1, 2, 2).mean(axis=1), 8)


@pytest.mark.parametrize(("orientation", "quarters", "angle"), [(3, 2, 180), (6, 1, -90), (8, -1, 90)])
def test_a_page_whose_file_says_how_it_stands_is_rotated_first(
    detector: NetworkDetector, orientation: int, quarters: int, angle: int
) -> None:
    stored = np.ascontiguousarray(np.rot90(PAGE, quarters))
    lines = detector.detect(stored, stored.shape[1], stored.shape[0], orientation)
    assert lines.line_count == 5
    assert (lines.rotation_angle or 0) % 360 == angle % 360


def test_a_page_that_lies_on_its_side_is_rotated(detector: NetworkDetector) -> None:
    lying = np.ascontiguousarray(np.rot90(PAGE))
    lines = detector.detect(lying, 320, 900)
    assert lines.line_count == 5
    assert abs(lines.rotation_angle or 0) == pytest.approx(90, abs=0.5)
    assert all(height > 700 for _, _, _, height in lines.bboxes)


@pytest.fixture
def auto(detector: NetworkDetector) -> AutoDetector:
    return AutoDetector(detector, LineDetector(Zoomable(), MOST_SKEW))


def test_auto_takes_the_lines_of_the_network_where_it_is_sure(auto: AutoDetector) -> None:
    routed = auto.prepare(PAGE, 900, 320)
    lines = auto.finish(routed, auto.infer(routed.items))
    assert isinstance(lines, PageLines)
    assert (lines.model, lines.line_count) == ("bec-lines", 5)
    assert [model.name for model in auto.models] == ["bec-lines", "zoomable"]


def test_auto_asks_the_other_where_the_network_is_not_sure(auto: AutoDetector, model: DarkPixels) -> None:
    model.sure = 0.8
    found: PageLines | Routed = auto.prepare(PAGE, 900, 320)
    while isinstance(found, Routed) and isinstance(found.state, Seen):
        assert found.nbytes >= PAGE.nbytes + sum(item.pixels.nbytes for item in found.items)
        found = auto.finish(found, auto.infer(found.items))
    assert isinstance(found, Routed)
    assert all(not item.is_ours for item in found.items)
    assert len(model.runs) == 1, "one look of the network is enough to see that it is unsure"
    marked = np.where(page((900, 320), LEVEL, thickness=9) == 0, 0.95, 0).astype(np.float32)
    lines = auto.finish(found, [marked])
    assert isinstance(lines, PageLines)
    assert (lines.model, lines.line_count) == ("zoomable", 5)


def test_auto_takes_a_skewed_page_of_which_the_network_is_sure_once_it_is_rotated(auto: AutoDetector) -> None:
    found: PageLines | Routed = auto.prepare(page((900, 700), leaning(6), thickness=14), 900, 700)
    while isinstance(found, Routed):
        assert all(item.is_ours for item in found.items)
        found = auto.finish(found, auto.infer(found.items))
    assert found.rotation_angle == pytest.approx(6, abs=0.7)


def test_auto_asks_the_other_about_a_page_that_lies_on_its_side(auto: AutoDetector) -> None:
    lying = np.ascontiguousarray(np.rot90(PAGE))
    found: PageLines | Routed = auto.prepare(lying, 320, 900)
    while isinstance(found, Routed) and isinstance(found.state, Seen):
        found = auto.finish(found, auto.infer(found.items))
    assert isinstance(found, Routed)
    told = auto.prepare(lying, 320, 900, 6)
    assert isinstance(auto.finish(told, auto.infer(told.items)), PageLines), "what its file says is not lying"


def test_auto_believes_the_network_that_a_page_is_blank(auto: AutoDetector, model: DarkPixels) -> None:
    blank: PageLines | Routed = auto.prepare(np.full((300, 500), 240, np.uint8), 500, 300)
    while isinstance(blank, Routed):
        blank = auto.finish(blank, auto.infer(blank.items))
    assert blank == PageLines(500, 300, model="bec-lines", engine="drawn")
    assert len(model.runs) == 2


def test_auto_asks_the_other_about_a_page_without_pitch_where_the_network_is_not_sure(
    auto: AutoDetector, model: DarkPixels
) -> None:
    model.sure = 0.8
    routed = auto.prepare(page((900, 320), [(60, 160, 840, 160)], thickness=14), 900, 320)
    found = auto.finish(routed, auto.infer(routed.items))
    assert isinstance(found, Routed)
    assert [item.is_ours for item in found.items] == [False]


def test_auto_asks_the_other_where_the_lines_stand_at_another_pitch_than_the_page_shows(
    auto: AutoDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bec_orch.jobs.ldv1.bec.detector.line_pitch", lambda _: 25.0)
    routed = auto.prepare(PAGE, 900, 320)
    found = auto.finish(routed, auto.infer(routed.items))
    assert isinstance(found, Routed)
    assert [item.is_ours for item in found.items] == [False]


class OnlyAt(DarkPixels):
    """It finds lines where a page is seen about so wide."""

    width = 432

    def run(self, batch: np.ndarray, output_name: str | None = None) -> np.ndarray:
        maps = super().run(batch, output_name)
        return maps * np.float32(abs(batch.shape[3] - self.width) < 100)


@pytest.mark.parametrize(("sure", "ours"), [(0.98, True), (0.93, False)])
def test_auto_asks_the_network_at_guessed_pitches_where_it_finds_nothing_at_that_which_a_page_shows(
    monkeypatch: pytest.MonkeyPatch,
    sure: float,
    ours: bool,  # noqa: FBT001
) -> None:
    model = OnlyAt(sure)
    auto = AutoDetector(NetworkDetector(network(model), MOST_SKEW), LineDetector(Zoomable(), MOST_SKEW))
    monkeypatch.setattr("bec_orch.jobs.ldv1.bec.detector.line_pitch", lambda _: 300.0)
    found: PageLines | Routed = auto.prepare(page((900, 320), LEVEL, thickness=14), 900, 320)
    while isinstance(found, Routed) and isinstance(found.state, Seen):
        found = auto.finish(found, auto.infer(found.items))
    assert isinstance(found, PageLines) == ours
    assert len(model.runs) == 1 + 3, "no scales around one at which nothing is"


class NotAtFirst(DarkPixels):
    """It finds nothing in its first look."""

    def run(self, batch: np.ndarray, output_name: str | None = None) -> np.ndarray:
        maps = super().run(batch, output_name)
        return maps * np.float32(len(self.runs) > 1)


def test_auto_looks_at_the_pitch_of_the_lines_that_were_found_at_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    model = NotAtFirst()
    auto = AutoDetector(NetworkDetector(network(model), MOST_SKEW), LineDetector(Zoomable(), MOST_SKEW))
    monkeypatch.setattr("bec_orch.jobs.ldv1.bec.detector.line_pitch", lambda _: 400.0)
    found: PageLines | Routed = auto.prepare(page((900, 450), LEVEL, thickness=14), 900, 450)
    while isinstance(found, Routed) and isinstance(found.state, Seen):
        found = auto.finish(found, auto.infer(found.items))
    assert isinstance(found, PageLines)
    assert found.line_count == 5
    assert len(model.runs) == 1 + 3 + 1


def test_a_page_with_more_than_a_tenth_of_its_lines_unsure_is_unsure() -> None:
    def look(*chances: float) -> Look:
        x = np.arange(300, dtype=np.float32)
        y = np.zeros(300, np.float32)
        lines = tuple(Traced(x, y + 12 * row, y, y, chance, True, 90.0) for row, chance in enumerate(chances))
        return Look(View(PAGE, (900, 320), 1.0, np.eye(2, 3)), np.eye(2, 3), 0.0, lines)

    assert look(*[0.99] * 9, 0.9).is_sure
    assert not look(*[0.99] * 8, 0.9, 0.9).is_sure
