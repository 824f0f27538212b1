import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bec_orch.jobs.evalv1.normalise import graphemes, normalise, single_spaced, syllables, without_whitespace, words

MARKS = (
    "ཀྲ\u0f71\u0f72\u0f74\u0f7a\u0f7e\u0f7f\u0f80\u0f82\u0f84\u0f39\u0f35"
    "\u0301\u0323e\u0f00\u0f77\u0f79\u0f73\ufb01\ufeff\u00ad"
)


@example("\u0f7e\u0323\u0f7e\u0f39")
@given(st.text(max_size=60) | st.text(alphabet=st.sampled_from(MARKS), max_size=30))
def test_twice_is_as_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ཀ\u0f72\u0f71", "ཀ\u0f71\u0f72"),  # signs in another order
        ("ཀ\u0f73", "ཀ\u0f71\u0f72"),  # a composed sign
        ("ཀ\u0f7e\u0f72", "ཀ\u0f72\u0f7e"),  # NFC leaves these two as they are
        ("ཀ\u0f7f\u0f74", "ཀ\u0f74\u0f7f"),
        ("ག\u0f72\u0fb1", "ག\u0fb1\u0f72"),  # a vowel before a subjoined letter
        ("\u0f43", "\u0f42\u0fb7"),
        ("ཀ\u0f77", "ཀ\u0fb2\u0f71\u0f80"),
        ("\u0f00", "\u0f68\u0f7c\u0f7e"),
        ("ཀ\u0f0cཁ", "ཀ\u0f0bཁ"),
        ("ཀ\u0f0e", "ཀ\u0f0d\u0f0d"),
        ("ﬁel", "fiel"),
        ("\ufeffཀ\u200bཁ", "ཀཁ"),
    ],
)
def test_what_looks_the_same_is_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ཀ", "ཁ"), ("\u017f", "s"), ("ཀ།", "ཀ༑"), ("ཀ\u0f7e", "ཀ\u0f82"), ("པ", "\u0f54\u0f39"), ("½", "1/2")],
)
def test_what_looks_different_stays_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_white_space() -> None:
    text = " ཀ་\r\nཁ།\u00a0 \u3000ག\t"
    assert without_whitespace(text) == "ཀ་ཁ།ག"
    assert single_spaced(text) == "ཀ་ ཁ། ག"
    assert words(text) == ["ཀ་", "ཁ།", "ག"]


def test_graphemes_are_whole_stacks() -> None:
    assert graphemes("བསྒྲུབས་") == ["བ", "སྒྲུ", "བ", "ས", "་"]


def test_syllables_are_parted_by_tshegs_and_punctuation() -> None:
    text = "༄༅། །བཀྲ་ཤིས་བདེ་ལེགས། །ཕུན་སུམ་ཚོགས༔ ༡༢ ཨོཾ་མ་ཎི།"
    assert syllables(text) == ["བཀྲ", "ཤིས", "བདེ", "ལེགས", "ཕུན", "སུམ", "ཚོགས", "༡༢", "ཨོཾ", "མ", "ཎི"]
