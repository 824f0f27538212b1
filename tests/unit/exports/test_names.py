import hashlib
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bec_orch.core.frames import MOST_FRAMES, colliding, frame_name
from bec_orch.exports.names import documents_of, page_names

LONG = f"{'ཀ' * 67}.tif"


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["a.jpg", "A.png", "b.tif"], ["a.jpg", "A.png", "b"]),
        (["\u00e9.jpg", "e\u0301.png"], ["\u00e9.jpg", "e\u0301.png"]),
        (["a.jpg", "A.JPG"], ["a.jpg~509b0d46", "A.JPG~9b37d5fd"]),
        (["a.jpg", "a.png", "a.jpg.tif"], ["a.jpg~509b0d46", "a.png", "a.jpg~c8254add"]),
        (["noend"], ["noend"]),
        (["a.tif", "a.tif#2", "b.jpg"], ["a", "a#2", "b"]),
        (["a.jpg", "a.tif", "a.tif#2"], ["a.jpg", "a.tif", "a.tif#2"]),
        (["a.tif", "a.tif#2", "a#2.tif"], ["a", "a.tif#2", "a#2.tif"]),
    ],
)
def test_names_are_base_names_that_do_not_meet(images: list[str], names: list[str]) -> None:
    assert page_names(images) == names


def test_names_do_not_depend_on_the_pages_before() -> None:
    images = ["a.jpg", "A.JPG"]
    assert page_names(["0.jpg", *images])[1:] == page_names(images)


def test_a_name_that_is_not_unicode_is_a_name() -> None:
    assert page_names(["\udcff.jpg"]) == ["\udcff"]


def test_an_image_that_is_named_like_a_marked_one_is_distinguished() -> None:
    images = ["a.jpg", "A.JPG"]
    images.append(f"{page_names(images)[0]}.tif")
    assert page_names(images) == [hashlib.sha256(image.encode()).hexdigest() for image in images]


def test_a_name_that_is_too_long_is_cut_within_a_letter() -> None:
    (name,) = page_names([f"{'ཀ' * 83}.jpg"])
    assert re.fullmatch("ཀ+~[0-9a-f]{8}", name)
    assert len(f"{name}.xml".encode()) <= 255


@given(st.lists(st.text("aAbé~1.", min_size=1, max_size=4).map(lambda stem: f"{stem}.jpg"), unique=True, max_size=8))
def test_no_two_names_meet(images: list[str]) -> None:
    names = [name.casefold() for name in page_names(images)]
    assert len(set(names)) == len(images)


@pytest.mark.parametrize(
    ("images", "files", "documents"),
    [
        (["a.jpg", "b.jpg"], ["a.xml"], {"a.jpg": "a.xml"}),
        (["a.jpg"], ["a.jpg.xml"], {"a.jpg": "a.jpg.xml"}),
        (["a.jpg"], ["a.page.xml", "a.txt"], {"a.jpg": "a.page.xml"}),
        (["a.jpg"], ["a.alto.xml", "a.xml"], {"a.jpg": "a.xml"}),
        (["a.jpg", "a.png"], ["a.xml"], {}),
        (["a.jpg", "a.png"], ["a.jpg.xml", "a.png.xml"], {"a.jpg": "a.jpg.xml", "a.png": "a.png.xml"}),
        (["a.jpg", "a.jpg.tif"], ["a.jpg.xml"], {"a.jpg.tif": "a.jpg.xml"}),
        (["a.jpg", "a.alto.jpg"], ["a.alto.xml"], {"a.alto.jpg": "a.alto.xml"}),
        (["A.JPG"], ["A.JPG~9b37d5fd.xml"], {"A.JPG": "A.JPG~9b37d5fd.xml"}),
        (["a.tif"], ["a.xml", "a#2.xml"], {"a.tif": "a.xml", "a.tif#2": "a#2.xml"}),
        (["a.tif"], ["a.tif#3.page.xml", "a#100.xml"], {"a.tif#3": "a.tif#3.page.xml", "a.tif#100": "a#100.xml"}),
        (["a.tif"], ["a#1.xml", "a#02.xml", "a#101.xml", "b#2.xml"], {}),
        (["a.tif", "a.jpg"], ["a#2.xml", "a.tif#3.xml"], {"a.tif#3": "a.tif#3.xml"}),
        (["a.tif", "a#2.tif"], ["a#2.xml"], {"a#2.tif": "a#2.xml"}),
        (["a.tif", "a.tif#2"], ["a#2.xml", "a.tif#3.xml"], {"a.tif#2": "a#2.xml"}),
    ],
)
def test_a_document_is_named_like_its_page(images: list[str], files: list[str], documents: dict[str, str]) -> None:
    assert documents_of(images, files) == documents


@given(st.lists(st.text("aAb.", min_size=1, max_size=4).map(lambda stem: f"{stem}.jpg"), unique=True, max_size=8))
def test_a_document_is_that_of_the_image_it_was_exported_for(images: list[str]) -> None:
    exported = {image: f"{name}.xml" for image, name in zip(images, page_names(images), strict=True)}
    for image, name in exported.items():
        assert documents_of(images, [name]) == {image: name}


_FILES = st.tuples(
    st.text("aA#2~é", min_size=1, max_size=3), st.sampled_from([".tif", ".TIF", ".jpg", "#2.tif"]), st.integers(1, 3)
)


@given(st.lists(_FILES, min_size=1, max_size=4, unique_by=lambda file: file[0] + file[1]))
def test_documents_of_pictures_that_share_a_file_are_theirs(files: list[tuple[str, str, int]]) -> None:
    images = [stem + suffix for stem, suffix, _ in files]
    rows = [frame_name(image, frame) for image, file in zip(images, files, strict=True) for frame in _upto(file[2])]
    assume(not colliding(images))
    exported = {row: f"{name}.xml" for row, name in zip(rows, page_names(rows), strict=True)}
    assert documents_of(images, list(exported.values())) == exported
    for row, name in exported.items():
        assert documents_of(images, [name]) in ({row: name}, {})


def _upto(last: int) -> range:
    return range(1, last + 1)


def test_the_document_of_a_picture_with_a_long_name_is_known_by_its_digest() -> None:
    rows = [frame_name(LONG, frame) for frame in (1, 2, MOST_FRAMES)]
    exported = {row: f"{name}.xml" for row, name in zip(rows, page_names(rows), strict=True)}
    assert "#" not in exported[rows[1]]
    assert documents_of([LONG], list(exported.values())) == exported
