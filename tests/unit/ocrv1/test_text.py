import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bec_orch.jobs.ocrv1.worker import normalised

TIBETAN = st.text(st.characters(min_codepoint=0x0F40, max_codepoint=0x0FC6), max_size=12)


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [
        # NFC: precomposed letters are taken apart, marks sorted by combining class
        ("\u0f43", "\u0f42\u0fb7"),
        ("\u0f40\u0f74\u0f71", "\u0f40\u0f71\u0f74"),
        ("\u0f40\u0f72\u0f71", "\u0f40\u0f71\u0f72"),
        ("\u0f40\u0f73", "\u0f40\u0f71\u0f72"),
        ("\u0f40\u0f74\u0f72", "\u0f40\u0f72\u0f74"),
        # a vowel that was put before a subjoined letter
        ("\u0f42\u0f72\u0fb1", "\u0f42\u0fb1\u0f72"),
        ("\u0f66\u0f74\u0f92\u0fb2\u0f56", "\u0f66\u0f92\u0fb2\u0f74\u0f56"),
        ("\u0f67\u0f74\u0f71\u0fb0", "\u0f67\u0fb0\u0f71\u0f74"),
        # subjoined letters keep their own order
        ("\u0f62\u0fb1\u0f92", "\u0f62\u0fb1\u0f92"),
        # anusvara and visarga come after the vowel
        ("\u0f68\u0f7e\u0f7c", "\u0f68\u0f7c\u0f7e"),
        ("\u0f67\u0f7f\u0f71\u0f74", "\u0f67\u0f71\u0f74\u0f7f"),
        ("\u0f67\u0f83\u0f71\u0f74", "\u0f67\u0f71\u0f74\u0f83"),
        # a tsa-phru stays with the letter above the subjoined one
        ("\u0f59\u0f39\u0fb1\u0f74", "\u0f59\u0f39\u0fb1\u0f74"),
        # the two discouraged vowels are written out
        ("\u0f40\u0f77", "\u0f40\u0fb2\u0f71\u0f80"),
        ("\u0f40\u0f79", "\u0f40\u0fb3\u0f71\u0f80"),
        # nothing is corrected: a doubled vowel, a mark without a letter
        ("\u0f40\u0f7a\u0f7a", "\u0f40\u0f7a\u0f7a"),
        ("\u0f0b\u0f72", "\u0f0b\u0f72"),
        # white space and controls
        ("  \u0f40\u0f0b \t\n \u0f41 ", "\u0f40\u0f0b \u0f41"),
        ("\ufeffa\x00b\x07", "ab"),
        ("a \x00 b", "a b"),
        ("", ""),
        ("e\u0301 caf\u00e9", "\u00e9 caf\u00e9"),
    ],
)
def test_examples(given_text: str, wanted: str) -> None:
    assert normalised(given_text) == wanted


@given(TIBETAN | st.text(max_size=20))
def test_it_is_nfc_and_twice_is_as_once(text: str) -> None:
    once = normalised(text)
    assert unicodedata.is_normalized("NFC", once)
    assert normalised(once) == once


@given(TIBETAN)
def test_nothing_is_lost_but_the_order(text: str) -> None:
    apart = unicodedata.normalize(
        "NFD", text.replace("\u0f77", "\u0fb2\u0f71\u0f80").replace("\u0f79", "\u0fb3\u0f71\u0f80")
    )
    assert sorted(unicodedata.normalize("NFD", normalised(text))) == sorted(apart)


@given(TIBETAN)
def test_canonically_equal_texts_become_the_same(text: str) -> None:
    assert normalised(unicodedata.normalize("NFD", text)) == normalised(text)
