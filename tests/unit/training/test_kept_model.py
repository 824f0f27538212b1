"""The kept file is what its facts and its card say, and reads pages."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from training import network_input
from training.judge import SAMPLES, Reader, opened, sampled
from training.targets import STRIDE

FOLDER = Path(__file__).resolve().parents[3] / "training" / "models"
MODEL = FOLDER / "lines.onnx"
MOST_BYTES = 10 * 1024 * 1024
MOST_PARAMETERS = 3_000_000
PAGES = ("I1BEC00010002", "I1BEC00010004", "I1BEC00010006", "I1BEC00020005")

pytestmark = pytest.mark.skipif(not MODEL.is_file(), reason="no trained file is kept")


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
    return facts


def test_the_file_is_the_one_that_its_facts_and_its_card_name(facts: dict[str, Any]) -> None:
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert facts["sha256"] == digest
    assert digest in (FOLDER / "MODEL_CARD.md").read_text("utf-8")
    assert facts["bytes"] == MODEL.stat().st_size <= MOST_BYTES
    assert facts["parameters"] <= MOST_PARAMETERS


def test_its_input_is_what_is_made_for_it(facts: dict[str, Any]) -> None:
    assert facts["input"] == {
        "pitch": network_input.PITCH,
        "box": network_input.BOX,
        "smallest_deviation": network_input.SMALLEST_DEVIATION,
        "multiple": network_input.MULTIPLE,
    }


def test_engines_gave_the_same(facts: dict[str, Any]) -> None:
    for engine in ("onnxruntime", "openvino"):
        apart = facts["largest_difference_from_torch"][engine]
        assert apart["probability"] <= facts["tolerance"]["probability"]
        assert apart["offset"] <= facts["tolerance"]["offset"]


def test_it_gives_its_maps_for_pages_of_any_size(facts: dict[str, Any]) -> None:
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    maps = np.asarray(session.run(None, {"page": np.zeros((2, 1, 96, 160), np.float32)})[0])
    assert maps.shape == (2, len(facts["outputs"]), 96 // STRIDE, 160 // STRIDE)
    assert np.abs(maps[:, :3].sum(axis=1) - 1).max() < 1e-4


@pytest.mark.parametrize("name", PAGES)
def test_it_finds_the_lines_of_drawn_pages(name: str) -> None:
    (page,) = (page for page in sampled(SAMPLES) if page.path.stem == name)
    assert len(Reader(MODEL).read(opened(page.path)).main) == page.lines
