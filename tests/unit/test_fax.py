import pytest

from bec_orch.errors import PageError
from bec_orch.jobs.formats.fax import check_group4

MARK = "000000000001" * 2
CODES = "1" * 37 + "0000111" * 9  # 100 bits that hold no long run of zeros


def packed(bits: str) -> bytes:
    whole = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return bytes(int(whole[at : at + 8], 2) for at in range(0, len(whole), 8))


def mirrored(data: bytes) -> bytes:
    return bytes(int(f"{value:08b}"[::-1], 2) for value in data)


GOOD = {
    "nothing": "",
    "one row": "1",
    "no mark": CODES,
    "a mark": CODES + MARK,
    "a mark behind a code that ends in zeros": CODES + "000" + MARK,
    "a mark and padding": CODES + MARK + "0" * 400,
    "a mark and what nobody reads": CODES + MARK + "0110" * 99,
    "padding without a mark": CODES + "0" * 200,
}


@pytest.mark.parametrize("bits", GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("shift", range(8))
def test_sound_strips_pass_at_any_bit(bits: str, shift: int) -> None:
    data = packed("1" * shift + bits)
    check_group4(data, lowest_bit_first=False)
    check_group4(mirrored(data), lowest_bit_first=True)


BAD = {
    "zeros between codes": (CODES + "0" * 11 + CODES, "E_IMAGE_CORRUPT"),
    "many zeros between codes": (CODES + "0" * 300 + CODES, "E_IMAGE_CORRUPT"),
    "half a mark between codes": (CODES + "000000000001" + CODES, "E_IMAGE_CORRUPT"),
    "zeros instead of the rest": (CODES + "0" * 8000, "E_IMAGE_TRUNCATED"),
}


@pytest.mark.parametrize(("bits", "code"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("shift", range(8))
def test_what_no_code_can_be_is_found_at_any_bit(bits: str, code: str, shift: int) -> None:
    with pytest.raises(PageError) as caught:
        check_group4(packed("1" * shift + bits), lowest_bit_first=False)
    assert caught.value.code == code
