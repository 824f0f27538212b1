from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bec_orch.jobs.evalv1.normalise import composed, graphemes, normalise
from bec_orch.jobs.evalv1.script import is_legal, is_native, outside_script, stacks_of

# Letters of the Kalachakra monogram, the deepest stack that is printed: ha ka ssa ma la wa ra ya, with a candrabindu.
KALACHAKRA = "\u0f67\u0f90\u0fb5\u0fa8\u0fb3\u0fba\u0fbc\u0fbb\u0f83"
RARE_BUT_LEGAL = [
    KALACHAKRA,
    "རྒྒྷྱ",  # rgghya
    "རྟྟྲ",  # rttra: a letter twice in a row
    "ཀྵྨྲྱ",  # kssmrya
    "ཊྚྷ",
    "ངྐྵྭ",
    "ཛྙཱ",  # jnya, long a
    "ཧཱུྃ",  # huum
    "བྷྲཱུྃ",  # bhruum
    "ཀྲྀ",  # vocalic r
    "ཀླཱྀ",  # long vocalic l
    "ཤྲཱི",
    "ཏྲཾ",
    "ན྄",  # halanta
    "ཙ༹",  # tsha-phru
    "ཕ༹ྲ",
    "ཀ༵",
    "ྈྐ",  # jihvamuliya
    "ྉྤ",  # upadhmaniya
    "ༀ",
    "ༀྃ",
    "ཨོཾཿ",
    "༡༾",
    "༢༹",
    "༔༷",
    "࿅࿆",
]
ILLEGAL = [
    "\u0f90",  # a subjoined letter below nothing
    "\u0f72",  # a vowel sign on nothing
    "་\u0f7c",  # on a tsheg
    "།\u0f7c",  # on a shad
    "༡\u0f72",  # on a digit
    "ཀ\u0f72\u0f72",  # the same sign twice
    "ཀ\u0f7e\u0f7e",
    "ཀ\u0f72\u0fb2",  # a letter below a vowel sign
    "ཀ\u0f90\u0f90",  # a letter thrice
    KALACHAKRA[:-1] + "\u0fa8",  # nine letters
]


@pytest.mark.parametrize("stack", RARE_BUT_LEGAL)
def test_rare_stacks_are_legal(stack: str) -> None:
    for cluster in [*graphemes(composed(stack)), *graphemes(normalise(stack))]:
        assert is_legal(cluster)
    assert is_legal(stack)


@pytest.mark.parametrize("stack", ILLEGAL)
def test_what_cannot_be_is_illegal(stack: str) -> None:
    (cluster,) = graphemes(composed(stack))
    assert not is_legal(cluster)
    assert stacks_of([cluster]).illegal == 1


@pytest.mark.parametrize("stack", ["ཀ", "སྒྲུ", "རྐྱེ", "རྩྭ", "གྲྭ", "ཕྱྭ", "སྨྲ", "བླ", "ཧྲུ", "དྭ", "ལྷ", "ཟླ", "སྙ", "རླུ", "འི", "༄"])
def test_native_stacks(stack: str) -> None:
    assert is_native(stack)


@pytest.mark.parametrize("stack", ["ཎ", "དྷ", "ཀྵ", "རྒྒྷྱ", "ཏྱ", "པྭ", "ཧྥ", "ཀྐ", "ལྐྱ", KALACHAKRA])
def test_foreign_stacks(stack: str) -> None:
    (cluster,) = graphemes(normalise(stack))
    assert not is_native(cluster)
    assert stacks_of([cluster]).foreign == 1


def test_stacks_are_counted_with_examples() -> None:
    found = stacks_of(graphemes("བཀྲ་ཤིས\u0f72\u0f72། དྷ ་\u0f7cས\u0f72\u0f72 x"))
    assert (found.count, found.illegal, found.foreign) == (7, 3, 1)
    assert found.examples == ("ས\u0f72\u0f72", "་\u0f7c")


def test_real_text_has_no_illegal_stack(shared_data: Path) -> None:
    texts = [file.read_text(encoding="utf-8-sig") for file in (shared_data / "pages_gt").glob("*/*.txt")]
    kangyur = (shared_data / "fonts_text" / "derge_kangyur_v001_sample.txt").read_text(encoding="utf-8")
    found = stacks_of(graphemes(composed("\n".join([*texts, kangyur[:100_000]]))))
    assert found.count > 20_000
    assert (found.illegal, found.examples) == (0, ())
    assert found.foreign < found.count / 1000


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ("བཀྲ་ཤིས། 12 (༡༢) ࿕ ,.!", 0),
        ("བཀྲ abc", 3),
        ("བཀྲ 漢字 д", 3),
        ("\ufffd\ue000\x07", 3),
        ("ཀ\n\t\r ཁ", 0),
        ("", 0),
    ],
)
def test_code_points_outside_of_tibetan(text: str, outside: int) -> None:
    assert outside_script(text, "Tibetan") == outside


def test_the_script_is_the_one_that_is_named() -> None:
    assert outside_script("abc བཀ", "Latin") == 2


@given(st.text(alphabet=st.characters(min_codepoint=0xF00, max_codepoint=0xFDA), max_size=30))
def test_counts_are_within_each_other(text: str) -> None:
    found = stacks_of(graphemes(composed(text)))
    assert 0 <= found.illegal + found.foreign <= found.count
    assert (found.illegal == 0) == (found.examples == ())
