"""What an export reads of page images: their sizes, and pictures for a PDF."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from PIL import Image

from bec_orch.cli.export.images import VolumeImages
from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.volumes import Manifest, Page
from bec_orch.errors import NOT_THERE, RetryableError
from tests.unit import image_bytes as made
from tests.unit.fakes import VOLUME, MemoryPages

if TYPE_CHECKING:
    from bec_orch.core.ports.sources import SourceFactory


MADE_OF = Success(ArtefactLocation("truth", VOLUME, "e00000"), "x", (), manifest_etag="e")


def images_of(
    files: dict[str, bytes | Exception], width: int | None = None, height: int | None = None, etag: str = '"e"'
) -> VolumeImages:
    pages = tuple(Page(place, name, width=width, height=height) for place, name in enumerate(files))
    source: Any = SimpleNamespace(
        read_manifest=lambda volume: Manifest(volume, etag, pages), pages=lambda _manifest: MemoryPages(files)
    )
    return VolumeImages(MADE_OF, cast("SourceFactory", lambda _name: source))


@pytest.mark.parametrize(
    ("orientation", "rotation"), [(1, 0), (2, 0), (3, 180), (4, 0), (5, 0), (6, 90), (7, 0), (8, 270)]
)
def test_a_picture_has_the_rotation_that_its_file_states(orientation: int, rotation: int) -> None:
    image = made.colour_image()
    exif = made.exif_block(orientation)
    files: dict[str, bytes | Exception] = {
        "a.jpg": made.jpeg(exif=exif),
        "b.png": made.png(image, exif=exif),
        "c.tif": made.tiff(tiffinfo={274: orientation}),
    }
    for name in files:
        picture = images_of(files).picture(name)
        assert picture
        assert (picture.width, picture.height, picture.rotation) == (made.WIDTH, made.HEIGHT, rotation)


def test_further_pictures_of_a_file_have_their_own_size() -> None:
    data = made.tiff(Image.new("L", (40, 30)), save_all=True, append_images=[Image.new("L", (20, 50), 255)])
    images = images_of({"a.tif": data}, width=40, height=30)
    assert (images.size("a.tif"), images.size("a.tif#2")) == ((40, 30), (20, 50))
    second = images.picture("a.tif#2")
    assert second
    assert (second.width, second.height) == (20, 50)
    assert images.picture("a.tif#3") is None
    assert images.size("b.tif") is None
    assert images.faults == [
        "W1/I1, 'a.tif#3' has no picture: The file has no picture 3: it has 2.",
        "W1/I1, 'b.tif' has no picture: it is no longer in its volume.",
    ]
    assert not images.asked_in_vain()


def test_images_of_another_version_are_left_out_and_told_once() -> None:
    images = images_of({"a.jpg": made.jpeg()}, width=40, height=30, etag="f1")
    assert not images.asked_in_vain()
    assert (images.size("a.jpg"), images.picture("a.jpg")) == (None, None)
    assert images.faults == [
        "The images of W1/I1 are left out: the volume is another version now: f10000, and what was found is of e00000."
    ]
    assert (images.asked_in_vain(), images.asked_in_vain()) == (True, False)


def test_images_out_of_reach_are_told_once_and_may_be_had_later() -> None:
    def away(_name: str) -> Any:
        raise RetryableError("The server is away.")

    images = VolumeImages(MADE_OF, cast("SourceFactory", away))
    for name in ("a.jpg", "b.jpg"):
        assert images.picture(name) is None
        assert images.asked_in_vain()
    assert images.faults == ["The images of W1/I1 are out of reach: The server is away."]


@pytest.mark.parametrize("code", sorted(NOT_THERE))
def test_images_that_were_moved_are_told_with_what_to_do(code: str) -> None:
    def gone(_name: str) -> Any:
        raise RetryableError("There is no store.", code=code)

    images = VolumeImages(MADE_OF, cast("SourceFactory", gone))
    assert images.picture("a.jpg") is None
    (fault,) = images.faults
    assert fault.startswith("The images of W1/I1 are out of reach: There is no store. If they were moved, run the job ")


def test_an_image_that_is_out_of_reach_by_itself_may_be_had_later() -> None:
    images = images_of({"a.jpg": RetryableError("The server is busy."), "b.jpg": made.jpeg()})
    assert images.picture("b.jpg")
    assert not images.asked_in_vain()
    assert images.picture("a.jpg") is None
    assert images.asked_in_vain()
