"""Requests of the IIIF Image API: what is offered, and what is refused."""

import pytest

from bec_orch.errors import UsageError
from bec_orch.web.pictures.requests import MOST_PIXELS, Crop, crop_of, info

PICTURE = (1000, 400)


@pytest.mark.parametrize(
    ("region", "size", "crop"),
    [
        ("full", "max", Crop(0, 0, 1000, 400, 1000, 400)),
        ("square", "max", Crop(300, 0, 400, 400, 400, 400)),
        ("10,20,30,40", "max", Crop(10, 20, 30, 40, 30, 40)),
        ("990,390,512,512", "max", Crop(990, 390, 10, 10, 10, 10)),
        ("full", "500,", Crop(0, 0, 1000, 400, 500, 200)),
        ("full", ",100", Crop(0, 0, 1000, 400, 250, 100)),
        ("full", "300,300", Crop(0, 0, 1000, 400, 300, 300)),
        ("full", "!300,300", Crop(0, 0, 1000, 400, 300, 120)),
        ("full", "!5000,5000", Crop(0, 0, 1000, 400, 1000, 400)),
        ("0,0,1000,1", "1,", Crop(0, 0, 1000, 1, 1, 1)),
    ],
)
def test_what_is_offered(region: str, size: str, crop: Crop) -> None:
    assert crop_of(region, size, "0", "default", "jpg", PICTURE) == crop


@pytest.mark.parametrize(
    ("region", "size"),
    [
        *(
            (region, "max")
            for region in ("", "0,0,0,1", "0,0,1,0", "1000,0,1,1", "0,400,1,1", "-1,0,1,1", "1,1,1", "x")
        ),
        *(
            ("full", size)
            for size in ("", ",", "0,", ",0", "1001,", ",401", "1001,400", "!,5", "!5,", "-1,", "1e3,", "x")
        ),
        ("full", "9" * 5000 + ","),
    ],
)
def test_what_is_no_request(region: str, size: str) -> None:
    with pytest.raises(UsageError) as caught:
        crop_of(region, size, "0", "default", "jpg", PICTURE)
    assert caught.value.code == "E_IIIF_REQUEST"


@pytest.mark.parametrize(
    "parts",
    [
        ("pct:1,1,1,1", "max", "0", "default", "jpg"),
        ("full", "pct:50", "0", "default", "jpg"),
        ("full", "^2000,", "0", "default", "jpg"),
        ("full", "max", "90", "default", "jpg"),
        ("full", "max", "!0", "default", "jpg"),
        ("full", "max", "0", "gray", "jpg"),
        ("full", "max", "0", "default", "png"),
    ],
)
def test_what_is_not_offered(parts: tuple[str, str, str, str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        crop_of(*parts, PICTURE)
    assert caught.value.code == "E_IIIF_NOT_OFFERED"


def test_no_picture_is_sent_that_is_larger_than_is_said() -> None:
    huge = (20_000, 10_000)
    whole = crop_of("full", "max", "0", "default", "jpg", huge)
    assert whole.out_width * whole.out_height <= MOST_PIXELS
    assert whole.out_width == 2 * whole.out_height
    with pytest.raises(UsageError) as caught:
        crop_of("full", "20000,", "0", "default", "jpg", huge)
    assert caught.value.code == "E_IIIF_NOT_OFFERED"


def test_tiles_go_on_until_one_holds_the_picture() -> None:
    told = info("http://here/x", 1500, 600)
    assert told["tiles"] == [{"width": 512, "scaleFactors": [1, 2, 4]}]
    assert (told["profile"], told["type"], told["width"], told["height"]) == ("level1", "ImageService3", 1500, 600)
