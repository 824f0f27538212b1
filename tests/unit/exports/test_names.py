import pytest
from hypothesis import given
from hypothesis import strategies as st

from bec_orch.exports.names import page_names


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["a.jpg", "A.png", "b.tif"], ["a.jpg", "A.png", "b"]),
        (["\u00e9.jpg", "e\u0301.png"], ["\u00e9.jpg", "e\u0301.png"]),
        (["a.jpg", "A.JPG"], ["a.jpg~1", "A.JPG~2"]),
        (["a.jpg", "a.png", "a.jpg.tif"], ["a.jpg~1", "a.png", "a.jpg~3"]),
        (["noend"], ["noend"]),
        (["a.jpg", "A.JPG", "a.jpg~1.jpg"], ["a.jpg~1", "A.JPG~2", "a.jpg~1~3"]),
    ],
)
def test_names_are_base_names_that_do_not_meet(images: list[str], names: list[str]) -> None:
    assert page_names(images) == names


def test_a_name_that_is_too_long_is_cut_within_a_letter() -> None:
    (name,) = page_names([f"{'ཀ' * 83}.jpg"])
    assert name.endswith("~1")
    assert len(f"{name}.xml".encode()) <= 255


@given(st.lists(st.text("aAbé~1.", min_size=1, max_size=4).map(lambda stem: f"{stem}.jpg"), unique=True, max_size=8))
def test_no_two_names_meet(images: list[str]) -> None:
    names = [name.casefold() for name in page_names(images)]
    assert len(set(names)) == len(images)
