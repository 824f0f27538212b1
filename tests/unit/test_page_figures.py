"""What the job types here tell of a page."""

import pytest

from bec_orch.core.job_types.registry import job_types, job_worker_class, page_figures


@pytest.mark.parametrize("name", ["evalv1", "importv1", "ldv1", "ocrv1"])
def test_every_type_here_takes_figures_from_columns_that_it_has(name: str) -> None:
    assert name in job_types()
    figures, worker = page_figures(name), job_worker_class(name)
    assert figures is not None
    assert set(figures.columns) <= set(worker.__dict__["schema"].names)
    assert figures({}).keys() == figures(dict.fromkeys(figures.columns)).keys()


def test_text_that_was_read() -> None:
    read = page_figures("importv1")
    assert read is not None
    row = {"line_texts": ["ཀཁ", None, "ག"], "line_confidences": [0.5, None, 1.0, float("nan")]}
    assert read(row) == {"lines": 3, "characters": 3, "confidence": 0.75}
    assert read({"line_texts": [], "line_confidences": []}) == {"lines": 0, "characters": 0, "confidence": None}


def test_lines_that_were_hardly_read_are_reported_where_they_were_counted() -> None:
    read = page_figures("ocrv1")
    assert read is not None
    assert read({"line_texts": ["ཀ", "ཁ"], "line_confidences": [0.4, 0.9], "nb_unsure_lines": 1})["unsure"] == 1
    assert read({"line_texts": ["ཀ"], "line_confidences": [0.9]})["unsure"] is None


def test_a_volume_of_text_has_the_mean_confidence_of_its_lines() -> None:
    read = page_figures("ocrv1")
    assert read is not None
    pages: list[dict[str, float | str | None]] = [
        {"lines": 3, "characters": 30, "confidence": 0.5},
        {"lines": 1, "characters": 10, "confidence": 0.9},
        {"lines": 0, "characters": 0, "confidence": None},
    ]
    assert read.of_volume(pages) == {"characters": 40, "confidence": pytest.approx(0.6)}
    assert read.of_volume(()) == {"characters": 0, "confidence": None}


def test_lines_that_were_found() -> None:
    found = page_figures("ldv1")
    assert found is not None
    assert found({"nb_lines": 0, "nb_contours": 7}) == {"lines": 0, "pictures left": None}
    assert found({"nb_lines": 3, "nb_unread_frames": 2}) == {"lines": 3, "pictures left": 2}


def test_a_type_that_has_none() -> None:
    assert page_figures("no-such-type") is None
