"""JPEG 2000, WebP, GIF, BMP, AVIF and HEIC: whole pictures come out, and nothing of those that are cut or damaged."""

import os
import resource
import struct
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bec_orch.errors import PageError
from bec_orch.jobs.decoders import decoders
from bec_orch.jobs.formats.header import ImageFormat
from bec_orch.jobs.images import decode, probe
from tests.fuzz.targets import is_sentence
from tests.unit import image_bytes as made

HEIF_MISSING = pytest.mark.skipif(not made.HEIF_IS_READ, reason="the extra `heif` is not installed")
KINDS = ("jp2", "j2k", "jp2 lossy", "jp2 tiled", "webp", "webp lossless", "gif", "bmp", "avif")
EVERY = (*KINDS, pytest.param("heic", marks=HEIF_MISSING))


OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "jp2": ("jpeg2000", {}),
    "j2k": ("jpeg2000", {"no_jp2": True}),
    "jp2 lossy": ("jpeg2000", {"irreversible": True, "quality_mode": "dB", "quality_layers": [40]}),
    "jp2 tiled": ("jpeg2000", {"tile_size": (64, 64)}),
    "webp lossless": ("webp", {"lossless": True}),
    "avif": ("avif", {"speed": 10}),
}
"""Pillow's name and options for kinds that are not called like it."""


@cache
def picture(kind: str, *, noisy: bool = False) -> bytes:
    """A page in a format; a noisy one is so large that a cut in its middle is one of the picture."""
    image = made.colour_image() if not noisy else Image.fromarray(noise()).convert("RGB")
    if kind == "heic":
        return made.heic(image)
    name, options = OPTIONS.get(kind, (kind, {}))
    return made.encoded(image.quantize(64) if kind == "gif" else image, name.upper(), **options)


def noise() -> NDArray[np.uint8]:
    """Noise in blocks of four pixels, and a white rim."""
    blocks = np.random.default_rng(3).integers(0, 256, (50, 60), dtype=np.uint8)
    return np.pad(np.kron(blocks, np.ones((4, 4), np.uint8)), 8, constant_values=255)


def code_of(data: bytes) -> str:
    """The code that a file ends with, decoded in this process: none of these takes it down."""
    try:
        decoders.decode(data, probe(data), 1)
    except PageError as error:
        return error.code if is_sentence(error.message) else error.message
    return "ok"


@pytest.mark.parametrize("kind", EVERY)
def test_a_page_comes_out_as_stored(kind: str) -> None:
    header = probe(picture(kind))
    image = decode(picture(kind), header)
    assert (header.width, header.height) == (made.WIDTH, made.HEIGHT)
    assert image.shape == (made.HEIGHT, made.WIDTH, 3)
    assert image[5, 5].max() > 240
    assert image[45, 80].max() < 60
    assert image[45, 80, 2] < image[5, 5, 2]


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("reduce", [2, 8])
def test_a_reduced_page_is_the_whole_page_smaller(kind: str, reduce: int) -> None:
    image = decode(picture(kind), probe(picture(kind)), reduce=reduce)
    assert image.shape[:2] == (-(-made.HEIGHT // reduce), -(-made.WIDTH // reduce))
    assert image[45 // reduce, 80 // reduce].max() < 70
    assert image[10 // reduce, 80 // reduce].max() > 230


@pytest.mark.parametrize("kind", EVERY)
def test_a_cut_page_is_refused(kind: str) -> None:
    data = picture(kind, noisy=True)
    codes = {share: code_of(data[: len(data) * share // 100]) for share in (10, 30, 50, 70, 90, 99)}
    assert set(codes.values()) <= {"E_IMAGE_TRUNCATED", "E_IMAGE_CORRUPT"}, codes
    assert code_of(data[:-1]) != "ok"


@pytest.mark.parametrize("kind", [each for each in EVERY if each != "bmp"])
def test_a_page_filled_up_with_zeros_is_refused(kind: str) -> None:
    data = picture(kind, noisy=True)
    codes = [code_of(data[:kept] + bytes(len(data) - kept)) for kept in (len(data) // 2, len(data) * 3 // 4)]
    assert "ok" not in codes


@pytest.mark.parametrize("kind", ["jp2", "j2k", "jp2 lossy", "jp2 tiled"])
def test_flipped_bits_of_jpeg_2000_are_found(kind: str) -> None:
    """Most are: a code block has no checksum, but an end."""
    data = picture(kind, noisy=True)
    random = np.random.default_rng(1)
    found = 0
    for _ in range(30):
        flipped = bytearray(data)
        flipped[random.integers(300, len(data) - 2)] ^= 1 << random.integers(8)
        found += code_of(bytes(flipped)) != "ok"
    assert found >= 20


@pytest.mark.parametrize("kind", EVERY)
def test_mutations_end_in_a_picture_or_an_error(kind: str) -> None:
    source = np.frombuffer(picture(kind), np.uint8)
    random = np.random.default_rng(5)
    codes: list[str] = []
    for _ in range(60):
        data = source.copy()
        places = random.integers(0, min(len(data), 300), random.integers(1, 5))
        data[places] = random.integers(0, 256, len(places))
        try:
            header = probe(data.tobytes(), max_pixels=1_000_000)
            shape = decode(data.tobytes(), header).shape[:2]
        except PageError as error:
            codes.append(error.code)
        else:
            assert shape == (header.height, header.width)
    assert codes
    assert not {"E_PAGE_UNEXPECTED", "E_PAGE_CRASH"} & set(codes)


def test_jpeg_2000_of_many_kinds() -> None:
    deep = Image.fromarray(made.page().astype(np.uint16) * 257)
    for image, dimensions in ((made.grey_image(), 2), (deep, 2), (made.colour_image().convert("RGBA"), 3)):
        data = made.encoded(image, "JPEG2000")
        found = decode(data, probe(data))
        assert found.ndim == dimensions
        assert found[5, 5].max() > 240
        assert found[45, 80].max() < 60
    offset = made.encoded(made.colour_image(), "JPEG2000", offset=(3, 5), tile_offset=(0, 0), tile_size=(256, 256))
    assert decode(offset, probe(offset), reduce=4).shape[:2] == (made.HEIGHT // 4, made.WIDTH // 4)


def test_transparent_pages_show_white() -> None:
    alpha = Image.fromarray(255 - made.page())
    image = Image.merge("LA", [Image.new("L", alpha.size, 0), alpha]).convert("RGBA")
    for data in (made.encoded(image, "WEBP", lossless=True), made.encoded(image, "JPEG2000")):
        found = decode(data, probe(data))
        assert (found[5, 5].max(), found[45, 80].max()) == (255, 0)


def test_the_first_frame_is_taken_and_the_others_are_counted() -> None:
    frames = [
        made.colour_image(),
        Image.new("RGB", (made.WIDTH, made.HEIGHT)),
        Image.new("RGB", (made.WIDTH, made.HEIGHT), "red"),
    ]
    for kind in ("GIF", "WEBP"):
        data = made.encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert probe(data).frames == 3
        assert decode(data, probe(data))[5, 5].max() > 240
    assert probe(picture("gif")).frames == probe(picture("webp")).frames == probe(picture("jp2")).frames == 1


def test_headers_are_measured_before_anything_is_decoded() -> None:
    bmp = bytearray(picture("bmp"))
    struct.pack_into("<ii", bmp, 18, 30_000, -30_000)
    gif = bytearray(picture("gif"))
    struct.pack_into("<HH", gif, 6, 60_000, 60_000)
    jp2 = bytearray(picture("j2k"))
    struct.pack_into(">II", jp2, 8, 100_000, 100_000)
    webp = bytearray(picture("webp lossless"))
    struct.pack_into("<I", webp, 21, 16_383 | 16_383 << 14)
    for data in (bmp, gif, jp2, webp):
        with pytest.raises(PageError, match="more than the") as caught:
            probe(bytes(data))
        assert caught.value.code == "E_IMAGE_TOO_LARGE"


def test_what_is_coded_in_another_way_is_reported() -> None:
    bmp = bytearray(picture("bmp"))
    struct.pack_into("<I", bmp, 30, 1)
    assert code_of(bytes(bmp)) == "E_IMAGE_FORMAT"


def test_heic_without_its_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bec_orch.jobs.formats.heif.find_spec", lambda _: None)
    with pytest.raises(PageError, match="pillow-heif") as caught:
        probe(b"\0\0\0\x18ftypheic" + bytes(12))
    assert caught.value.code == "E_IMAGE_FORMAT"
    assert "extra `heif`" in (caught.value.hint or "")


def test_turns_that_a_heif_orders_are_carried_out() -> None:
    turned = made.encoded(made.colour_image(), "AVIF", speed=10, exif=made.exif_block(6))
    header = probe(turned)
    assert (header.width, header.height, header.orientation) == (made.HEIGHT, made.WIDTH, 1)
    image = decode(turned, header)
    assert image.shape == (made.WIDTH, made.HEIGHT, 3)
    assert image[80, made.HEIGHT - 1 - 45].max() < 60


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_is_read_of_all_that_have_one(orientation: int) -> None:
    exif = made.exif_block(orientation)
    image = made.colour_image()
    files = (
        made.jpeg(exif=exif),
        made.png(image, exif=exif),
        made.encoded(image, "WEBP", exif=exif),
        made.tiff(tiffinfo={274: orientation}),
    )
    assert [probe(data).orientation for data in files] == [orientation] * len(files)
    assert probe(made.jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff")).orientation == 1


def test_pages_of_a_tiff_are_counted_without_smaller_versions() -> None:
    assert probe(made.many_pages(7)).frames == 7
    pages = [Image.new("L", (9, 9)), Image.new("L", (9, 9))]
    assert probe(made.tiff(save_all=True, append_images=pages)).frames == 3
    assert probe(made.tiff(save_all=True, append_images=pages[:1], tiffinfo={254: 1})).frames == 2 - 1


def test_the_format_is_recognised_by_its_first_bytes() -> None:
    kinds = {kind: probe(picture(kind)).format for kind in KINDS}
    assert kinds["j2k"] is kinds["jp2"] is ImageFormat.JPEG2000
    assert {kinds[kind].value for kind in ("webp", "gif", "bmp", "avif")} == {"webp", "gif", "bmp", "avif"}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="another user is taken on, which root may do")
@pytest.mark.parametrize("kind", EVERY)
def test_decoders_of_a_plain_user_need_no_thread(kind: str) -> None:
    """Root may start threads whatever the limit; so a child becomes a plain user, and tells by its exit code."""
    data, header = picture(kind), probe(picture(kind))
    decoders.decode(data, header, 1)  # imports what it needs while it may
    child = os.fork()
    if child == 0:
        os.setuid(65_534)
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (0, hard if kind == "heic" else 0))
        try:
            decoders.decode(data, header, 1)
        except BaseException:  # noqa: BLE001  (whatever it is, the parent is told)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
