"""`ldv1` with its default model on real pages: what the project promises of it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bec_orch.jobs.ldv1.config import Ldv1Config
from bec_orch.jobs.ldv1.loading import load_line_model
from bec_orch.jobs.ldv1.one_map.detector import LineDetector
from bench.score_lines import counted_scores, detect, drawn_scores, main, summed

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def detector() -> LineDetector:
    config = Ldv1Config()
    return LineDetector(load_line_model(config), config.second_pass_min_angle)


def test_the_number_of_lines_is_right_on_all_counted_pages(detector: LineDetector, shared_data: Path) -> None:
    scores = list(counted_scores(detector, shared_data))
    assert len(scores) == 16
    assert [score.name for score in scores if score.detected != score.true] == []


@pytest.mark.parametrize(
    ("folder", "lines", "least"),
    [
        ("cremma_bnf_fr_1728", 197, 0.95),
        ("cremma_vaticane_reg_lat_1616-otinel", 205, 0.88),
        ("I1KG812750004", 4, 1.0),
    ],
)
def test_drawn_lines_are_found(
    detector: LineDetector, shared_data: Path, folder: str, lines: int, least: float
) -> None:
    images = shared_data / "lines_gt" / folder
    total = summed(folder, list(drawn_scores(detector, images, images)))
    assert total.true == lines
    assert total.recall >= least
    assert total.precision >= least


def test_the_samples_lines_are_found(detector: LineDetector) -> None:
    total = summed("samples", list(drawn_scores(detector, SAMPLES, SAMPLES / "truth")))
    assert total.true > 150
    assert total.recall >= 0.98
    assert total.precision >= 0.98


def lines_of(detector: LineDetector, path: Path) -> int:
    found = detect(detector, path)
    assert found is not None
    return found.line_count


@pytest.mark.parametrize("name", ["intro_I00JW5012020002.tif", "intro_scam_2.tif"])
def test_a_blank_page_has_no_lines(detector: LineDetector, shared_data: Path, name: str) -> None:
    assert lines_of(detector, shared_data / "odd_images" / name) == 0


@pytest.mark.parametrize(("name", "lines"), [("exif6_I8LS738230125", 5), ("noexif_sideways_I8LS738230116", 5)])
def test_a_page_on_its_side_is_turned_upright(detector: LineDetector, shared_data: Path, name: str, lines: int) -> None:
    found = detect(detector, shared_data / "odd_images" / f"{name}.jpg")
    assert found is not None
    assert found.rotation_angle == pytest.approx(-90, abs=1)
    assert (found.width, found.height) == (355, 1770)
    tall = [line for line, box in zip(found.line_ids, found.bboxes, strict=True) if box[3] > 300]
    assert len(set(tall)) == lines


def test_a_strongly_leaning_page_loses_no_line(detector: LineDetector, shared_data: Path) -> None:
    path = shared_data / "volumes" / "single_pages" / "31650122.tif"
    picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
    height, width = picture.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -12, 1)
    turn[1, 2] += 600
    leaning = cv2.warpAffine(picture, turn, (width, height + 1200), borderValue=255)
    lines = detector.detect(np.asarray(leaning, np.uint8), width, height + 1200)
    assert lines.line_count == 5
    assert lines.rotation_angle == pytest.approx(12, abs=0.5)


def test_the_score_table_can_be_printed(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    (data / "lines_gt").mkdir(parents=True)
    (data / "lines_gt" / "I1KG812750004").symlink_to(shared_data / "lines_gt" / "I1KG812750004")
    assert main(["--data", str(data), "--samples", str(tmp_path), "--failures"]) == 0
    assert "I1KG812750004" in capsys.readouterr().out
    assert main(["--data", str(data), "--samples", str(tmp_path), "--json"]) == 0
    assert '"recall": 1.0' in capsys.readouterr().out
