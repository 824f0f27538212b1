"""Names of pictures that share a file, and rows that are those of a manifest."""

import pytest

from bec_orch.core.frames import are_rows_of, colliding, file_and_frame, frame_name, page_numbers, picture_of, stem
from bec_orch.core.volumes import Page


def test_the_first_picture_has_the_name_of_its_file() -> None:
    assert [frame_name("a.tif", frame) for frame in (1, 2, 100)] == ["a.tif", "a.tif#2", "a.tif#100"]
    assert [file_and_frame(name) for name in ("a.tif", "a.tif#2", "a#1", "#2", "a#2#3", "a\n#4")] == [
        ("a.tif", 1),
        ("a.tif", 2),
        ("a#1", 1),
        ("#2", 1),
        ("a#2", 3),
        ("a\n", 4),
    ]
    assert [stem(name) for name in ("a.tif", "a.b.tif#2", "a#7.tif")] == ["a", "a.b#2", "a#7"]


def test_a_file_that_is_named_like_a_picture_is_itself() -> None:
    pages = {name: Page(place, name) for place, name in enumerate(("a.tif", "b.tif", "b.tif#2"))}
    assert picture_of("a.tif#2", pages) == (pages["a.tif"], 2)
    assert picture_of("b.tif#2", pages) == (pages["b.tif#2"], 1)
    assert picture_of("c.tif#2", pages) is None
    assert colliding(list(pages)) == "b.tif#2"
    assert colliding(["a.tif", "b.tif#2"]) is None


@pytest.mark.parametrize("names", [["a", "b"], ["a", "a#2", "a#3", "b"], ["a", "b", "b#2"], ["a", "a#2", "b", "b#2"]])
def test_rows_of_a_manifest(names: list[str]) -> None:
    assert are_rows_of(names, ["a", "b"])


@pytest.mark.parametrize(
    "names",
    [["a"], ["b", "a"], ["a", "a#3", "b"], ["a", "b", "a#2"], ["a#2", "a", "b"], ["a", "b", "c"], ["a", None], []],
)
def test_rows_of_no_such_manifest(names: list[str | None]) -> None:
    assert not are_rows_of(names, ["a", "b"])


def test_rows_of_files_that_are_named_like_pictures() -> None:
    assert are_rows_of(["a", "a#2"], ["a", "a#2"])
    assert not are_rows_of(["a"], ["a", "a#2"])


def test_pictures_of_a_file_share_the_number_of_their_page() -> None:
    assert page_numbers(["a", "a#2", "a#3", "b", "c", "c#2"]) == [1, 1, 1, 2, 3, 3]
    assert page_numbers(["a", "a#3", "b#2"]) == [1, 2, 3]
    assert page_numbers([]) == []
