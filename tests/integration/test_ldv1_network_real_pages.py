"""`ldv1` with the package's own network on real pages, and both models on pages of two columns."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bec_orch.jobs.ldv1.config import Ldv1Config
from bec_orch.jobs.ldv1.loading import load_detector
from bec_orch.jobs.ldv1.page.detector import Detector
from bench.labelled import LabelledPage, read_pages
from bench.line_models import Found, found_on
from bench.score_lines import drawn_scores, summed

SAMPLES = Path(__file__).parents[2] / "samples"
PAGES = {page.page: page for page in read_pages()}


@pytest.fixture(scope="module")
def network() -> Detector[Any]:
    return load_detector(Ldv1Config(model="bec"))


def found(page: LabelledPage, detector: Detector[Any], data: Path) -> Found:
    lines = found_on(page, detector, data)
    assert lines is not None
    return lines


def test_the_samples_lines_are_found(network: Detector[Any]) -> None:
    total = summed("samples", list(drawn_scores(network, SAMPLES, SAMPLES / "truth")))
    assert total.recall >= 0.97
    assert total.precision >= 0.93


@pytest.mark.parametrize("name", sorted(name for name in PAGES if name.startswith("pages_gt/")))
def test_the_number_of_main_lines_is_right(network: Detector[Any], shared_data: Path, name: str) -> None:
    labelled, detected, lines = found(PAGES[name], network, shared_data).of_main()
    assert detected == labelled
    assert lines >= labelled - 1


@pytest.mark.parametrize("model", ["bec", "ppocr"])
def test_no_line_goes_across_two_columns(shared_data: Path, model: str) -> None:
    page = found(PAGES["pages_more/western/corvinus_2col.jpg"], load_detector(Ldv1Config(model=model)), shared_data)
    assert page.across() <= 1, "the running head may be one line"
    left = [x + width / 2 < page.lines.width / 2 for x, _, width, _ in page.lines.bboxes]
    changes = sum(one != other for one, other in pairwise(left))
    assert changes <= 7, "a column is read whole before the next"


@pytest.mark.parametrize(
    "name", ["pages_more/blank/bg_PPN3371389286_00000003.jpg", "pages_more/blank/rapidocr_empty_black.jpg"]
)
def test_blank_pages_have_no_lines(network: Detector[Any], shared_data: Path, name: str) -> None:
    assert found(PAGES[name], network, shared_data).lines.line_count == 0
