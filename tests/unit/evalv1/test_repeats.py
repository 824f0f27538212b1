import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bec_orch.jobs.evalv1.no_truth import FEWEST, TIMES, repeated_count
from bec_orch.jobs.evalv1.normalise import graphemes, without_whitespace


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("", 0),
        ("ཀ", 0),
        ("abcdefgh", 0),
        ("ab" * (1 + FEWEST // 2), FEWEST),
        ("abc" * 3, 0),
        ("x" + "abc" * 10 + "y", 27),
        ("x" * FEWEST, 0),
        ("x" * (FEWEST + 1), FEWEST),
        ("." * 500, 0),
        ("་" * 500, 0),
        ("༔" * 20 + "ཀ་ཁ།" * 20, 76),
    ],
)
def test_what_follows_itself_over_and_over_is_counted(text: str, repeated: int) -> None:
    assert repeated_count(graphemes(text)) == repeated


def test_engines_that_lost_their_way_are_found(shared_data: Path) -> None:
    file = shared_data / "eval_pairs" / "multimodel_known_cer" / "Gemini_2.5_flash_lite.json"
    for pair in json.loads(file.read_text(encoding="utf-8")):
        clusters = graphemes(without_whitespace(pair["ocr"]))
        assert repeated_count(clusters) > 0.8 * len(clusters)
        assert repeated_count(graphemes(without_whitespace(pair["gt"]))) == 0


@given(st.text(alphabet="abཀ", min_size=1, max_size=12), st.integers(0, 20))
def test_a_repeated_unit_is_counted_but_for_its_first_occurrence(unit: str, times: int) -> None:
    count = repeated_count(unit * (times + 1))
    assert 0 <= count < len(unit) * (times + 1)
    if times >= TIMES and times * len(unit) >= FEWEST:
        assert count >= times * len(unit)
