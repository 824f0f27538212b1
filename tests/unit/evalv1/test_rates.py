import csv
import json
from pathlib import Path

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bec_orch.jobs.evalv1.normalise import graphemes, single_spaced, words
from bec_orch.jobs.evalv1.rates import (
    Confusion,
    Edits,
    agreement,
    cer_codepoints,
    cer_no_whitespace,
    cer_wylie,
    compare,
    edits_between,
    grapheme_edits,
)

TIBETAN = "ཀཁགངཏདནཔབམརལས་།ིེོུྲྱླ\u0f71\u0f7e "
TEXTS = st.text(alphabet=st.sampled_from(TIBETAN + "ab\n"), max_size=30)
ANY_TEXT = st.text(max_size=40)


def known_pairs(shared_data: Path) -> dict[str, tuple[str, str]]:
    """Truth and OCR of each pair whose rates are known."""
    return {
        f"multimodel/{file.stem}/{pair['image']}": (pair["gt"], pair["ocr"])
        for file in (shared_data / "eval_pairs" / "multimodel_known_cer").glob("*.json")
        for pair in json.loads(file.read_text(encoding="utf-8"))
    }


def test_every_known_rate_is_met_by_its_definition(shared_data: Path) -> None:
    pairs = known_pairs(shared_data)
    with (shared_data / "eval_pairs" / "EXPECTED_cer.tsv").open(encoding="utf-8") as file:
        expected = list(csv.DictReader(file, delimiter="\t"))
    assert {row["pair"] for row in expected} == pairs.keys()
    for row in expected:
        truth, ocr = pairs[row["pair"]]
        by_codepoint = edits_between(truth, ocr)
        assert (len(truth), len(ocr)) == (int(row["ref_codepoints"]), int(row["ocr_codepoints"]))
        assert by_codepoint.errors == int(row["levenshtein_codepoints"])
        assert round(cer_codepoints(truth, ocr) or 0, 6) == float(row["cer_codepoints_jiwer"])
        assert round(cer_no_whitespace(truth, ocr) or 0, 6) == float(row["cer_no_whitespace_jiwer"])
        assert round(grapheme_edits(truth, ocr).rate or 0, 6) == float(row["cer_graphemes_dinglehopper"])
        assert round(cer_wylie(truth, ocr) or 0, 4) == float(row["published_cer_wylie"])


@pytest.mark.parametrize(
    ("truth", "ocr", "errors", "length"),
    [("Foo", "Food", 1, 3), ("Fnord", "Food", 2, 5), ("Müll", "Mull", 1, 4), ("Abstand", "Sand", 4, 7)],
)
def test_the_function_values_of_dinglehopper(truth: str, ocr: str, errors: int, length: int) -> None:
    edits = grapheme_edits(truth, ocr)
    assert (edits.errors, edits.length) == (errors, length)
    assert edits.rate == errors / length


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert grapheme_edits("Mu\u0308ll", "M\u00fcll") == Edits(length=4)


def test_a_stack_with_its_vowel_is_one_error() -> None:
    assert grapheme_edits("བསྒྲུབས", "བསྒྲིབས") == Edits(substitutions=1, length=4)


def test_edits_are_counted_by_kind_and_confusions_ranked() -> None:
    edits, confusions = compare("aab-cx", "bbb-c!?")
    assert edits == Edits(insertions=1, substitutions=3, length=6)
    assert edits.errors == 4
    assert confusions[0] == Confusion("a", "b", 2)
    assert sorted(c.truth for c in confusions[1:]) == ["", "x"]


def test_rates_of_empty_texts() -> None:
    assert edits_between("", "").rate == 0.0
    assert edits_between("", "a").rate is None
    assert edits_between("a", "").rate == 1.0
    assert [cer_codepoints("", ""), cer_codepoints(" ", "a"), cer_codepoints("a", "")] == [0.0, None, 1.0]
    assert [cer_wylie("", ""), cer_no_whitespace(" \n", "x")] == [0.0, None]


def test_edits_add_up() -> None:
    assert Edits(1, 2, 3, 10) + Edits(1, 1, 1, 5) == Edits(2, 3, 4, 15)
    assert (Edits(1, 0, 0, 10) + Edits(0, 0, 1, 10)).rate == 0.1


@given(TEXTS, TEXTS)
def test_distance_is_symmetric_and_bounded(one: str, other: str) -> None:
    first, second = graphemes(one), graphemes(other)
    there, back = edits_between(first, second), edits_between(second, first)
    assert there.errors == back.errors
    assert abs(len(first) - len(second)) <= there.errors <= max(len(first), len(second))
    assert there.insertions - there.deletions == len(second) - len(first)
    assert there.substitutions + there.deletions <= there.length
    assert (there.errors == 0) == (first == second)


@given(TEXTS, TEXTS, TEXTS)
def test_the_triangle_inequality_holds(one: str, two: str, three: str) -> None:
    ways = edits_between(one, two).errors + edits_between(two, three).errors
    assert edits_between(one, three).errors <= ways


@given(TEXTS.filter(str.strip), TEXTS)
def test_words_are_those_of_jiwer(truth: str, ocr: str) -> None:
    edits = edits_between(words(truth), words(ocr))
    # jiwer parts words at blanks alone.
    by_jiwer = jiwer.process_words(single_spaced(truth), single_spaced(ocr))
    assert edits.errors == by_jiwer.substitutions + by_jiwer.insertions + by_jiwer.deletions
    assert edits.rate == by_jiwer.wer


@given(TEXTS, TEXTS)
def test_confusions_make_up_the_errors(truth: str, ocr: str) -> None:
    edits, confusions = compare(graphemes(truth), graphemes(ocr))
    assert sum(c.count for c in confusions) == edits.errors
    assert sum(c.count for c in confusions if not c.truth) == edits.insertions
    assert all(c.truth != c.ocr for c in confusions)


@given(ANY_TEXT, ANY_TEXT)
def test_agreement_is_symmetric_and_a_share(one: str, other: str) -> None:
    assert agreement(one, other) == agreement(other, one)
    assert 0.0 <= agreement(one, other) <= 1.0
    assert agreement(one, one) == 1.0


@given(st.text(max_size=60))
def test_any_text_has_a_wylie_rate(text: str) -> None:
    assert cer_wylie(text, text) == 0.0
    rate = cer_wylie("བཀྲ་ཤིས", text)
    assert rate is not None
    assert rate >= 0.0
