import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bec_orch.errors import PageError
from bec_orch.jobs.formats.header import ImageFormat
from bec_orch.jobs.images import decode, probe
from tests.unit import image_bytes as made

PAPER = (5, 5)
BAR = (45, 80)


def read(data: bytes, reduce: int = 1) -> NDArray[np.uint8]:
    return decode(data, probe(data), reduce=reduce)


def code_of(data: bytes) -> str:
    with pytest.raises(PageError) as caught:
        read(data)
    assert caught.value.stage == "decode"
    assert caught.value.message.endswith(".")
    return caught.value.code


def is_page(image: NDArray[np.uint8]) -> bool:
    """Whether it is the made page: white paper, a black bar, in its stored place."""
    grey = image if image.ndim == 2 else image.max(axis=2)
    return image.shape[:2] == (made.HEIGHT, made.WIDTH) and grey[PAPER] > 245 and grey[BAR] < 40


def alpha_page() -> Image.Image:
    """Black everywhere; what is paper is transparent, so only white behind it makes it a page."""
    alpha = Image.fromarray(255 - made.page())
    return Image.merge("LA", [Image.new("L", alpha.size, 0), alpha])


def deep_page() -> Image.Image:
    return Image.fromarray(made.page().astype(np.uint16) * 257)


GOOD: dict[str, tuple[bytes, int]] = {
    "jpeg colour": (made.jpeg(), 3),
    "jpeg grey": (made.jpeg(made.grey_image()), 2),
    "jpeg progressive": (made.jpeg(progressive=True), 3),
    "jpeg cmyk": (made.jpeg(made.colour_image().convert("CMYK")), 3),
    "jpeg 4:4:4 with restarts": (made.jpeg(subsampling=0, restart_marker_blocks=4), 3),
    "jpeg with padding behind its end": (made.jpeg() + b"\0" * 500, 3),
    "jpeg turned by EXIF": (
        made.jpeg(exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
        3,
    ),
    "png grey": (made.png(), 2),
    "png colour": (made.png(made.colour_image()), 3),
    "png palette": (made.png(made.colour_image().quantize(64)), 3),
    "png palette with a transparent colour": (made.png(made.colour_image().quantize(64), transparency=200), 3),
    "png 1 bit": (made.png(made.grey_image().convert("1")), 2),
    "png 16 bits": (made.png(deep_page()), 2),
    "png 16 bits with a transparent colour": (made.png(deep_page(), transparency=7), 2),
    "png alpha grey": (made.png(alpha_page()), 2),
    "png alpha colour": (made.png(alpha_page().convert("RGBA")), 3),
    "tiff group 4, white is zero": (made.group4(photometric=0), 2),
    "tiff group 4, black is zero": (made.group4(photometric=1), 2),
    "tiff 1 bit LZW": (made.tiff(made.grey_image().convert("1"), compression="tiff_lzw"), 2),
    "tiff grey": (made.tiff(), 2),
    "tiff grey, white is zero": (made.tiff(tiffinfo={262: 0}), 2),
    "tiff grey deflate": (made.tiff(compression="tiff_adobe_deflate"), 2),
    "tiff colour": (made.tiff(made.colour_image()), 3),
    "tiff palette": (made.tiff(made.colour_image().quantize(64)), 3),
    "tiff cmyk": (made.tiff(made.colour_image().convert("CMYK")), 3),
    "tiff alpha": (made.tiff(alpha_page().convert("RGBA")), 3),
    "tiff 16 bits": (made.tiff(deep_page()), 2),
    "tiff 16 bits LZW": (made.tiff(deep_page(), compression="tiff_lzw"), 2),
    "tiff YCbCr JPEG": (made.tiff(made.colour_image(), compression="jpeg"), 3),
    "tiff big": (made.tiff(big_tiff=True), 2),
    "tiff turned by its tag": (made.tiff(tiffinfo={274: 6}), 2),
    "tiff turned by XMP": (made.tiff(tiffinfo={700: b'<x tiff:Orientation="3"/>'}), 2),
    "tiff of three pages": (
        made.tiff(save_all=True, append_images=[Image.new("L", (9, 9)), Image.new("L", (9, 9))]),
        2,
    ),
}


@pytest.mark.parametrize(("data", "dimensions"), GOOD.values(), ids=GOOD.keys())
def test_good_images_come_out_as_stored(data: bytes, dimensions: int) -> None:
    image = read(data)
    assert is_page(image)
    assert image.ndim == dimensions
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


@pytest.mark.parametrize("kind", ["jpeg colour", "jpeg cmyk", "png grey", "tiff group 4, white is zero", "tiff colour"])
@pytest.mark.parametrize("reduce", [2, 4, 8])
def test_reduced_images_are_the_whole_page_smaller(kind: str, reduce: int) -> None:
    image = read(GOOD[kind][0], reduce)
    assert image.shape[:2] == (-(-made.HEIGHT // reduce), -(-made.WIDTH // reduce))
    assert image[45 // reduce, 80 // reduce].max() < 40
    assert image[10 // reduce, 80 // reduce].max() > 245


def test_sides_of_reduced_images_are_rounded_up() -> None:
    odd = Image.new("L", (17, 9), "white")
    assert read(made.jpeg(odd), 4).shape == (3, 5)
    assert read(made.png(odd), 4).shape == (3, 5)


def test_only_the_reductions_of_jpeg_are_known() -> None:
    with pytest.raises(ValueError, match="reduce is 3"):
        read(made.jpeg(), 3)


def test_colour_is_bgr() -> None:
    red = Image.new("RGB", (16, 16), (200, 100, 10))
    for data in (made.jpeg(red), made.png(red), made.tiff(red)):
        assert np.abs(read(data)[8, 8].astype(int) - (10, 100, 200)).max() < 4


def test_white_is_zero_in_16_bits_is_turned() -> None:
    pixels = struct.pack("<64H", *([0] * 32 + [65535] * 32))
    image = read(made.raw_tiff({258: 16, 262: 0, 279: 128}, pixels=pixels))
    assert (image[0, 0], image[7, 7]) == (255, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1)])
@pytest.mark.parametrize("make", [made.jpeg, made.png, made.group4, made.tiff])
def test_tiny_and_narrow_images_are_fine(size: tuple[int, int], make: Callable[[Image.Image], bytes]) -> None:
    data = make(Image.new("L", size, "white"))
    assert read(data).shape == (size[1], size[0])
    assert read(data, 8).shape == (-(-size[1] // 8), -(-size[0] // 8))


def test_headers_state_size_and_depth() -> None:
    header = probe(made.tiff(deep_page()))
    assert (header.format, header.width, header.height) == (ImageFormat.TIFF, made.WIDTH, made.HEIGHT)
    assert (header.samples, header.bits, header.pixels) == (1, 16, made.WIDTH * made.HEIGHT)


def test_memory_is_estimated_by_how_a_format_is_decoded() -> None:
    baseline, progressive = probe(made.jpeg()), probe(made.jpeg(progressive=True))
    assert baseline.decoding_bytes(2) * 4 == baseline.decoding_bytes(1) == baseline.pixels * 6
    assert progressive.decoding_bytes(8) > progressive.pixels * 6
    grey, deep, colour = (probe(made.tiff(image)) for image in (made.grey_image(), deep_page(), made.colour_image()))
    assert grey.decoding_bytes(8) < grey.decoding_bytes(1) < deep.decoding_bytes(1) < colour.decoding_bytes(1)


@pytest.mark.parametrize(("data", "dimensions"), GOOD.values(), ids=GOOD.keys())
def test_memory_is_estimated_for_every_kind(data: bytes, dimensions: int) -> None:
    header = probe(data)
    assert header.decoding_bytes() >= header.pixels * (1 if dimensions == 2 else 3)


NOT_IMAGES = {
    "empty": (b"", "E_IMAGE_EMPTY"),
    "one byte": (b"x", "E_IMAGE_NOT_IMAGE"),
    "zeros": (b"\0" * 5000, "E_IMAGE_NOT_IMAGE"),
    "text": (b"no image at all\n" * 50, "E_IMAGE_NOT_IMAGE"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "E_IMAGE_NOT_IMAGE"),
    "pdf": (b"%PDF-1.7\n" + b"x" * 100, "E_IMAGE_NOT_IMAGE"),
    "svg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "E_IMAGE_FORMAT"),
    "psd": (b"8BPS\0\x01" + b"\0" * 40, "E_IMAGE_FORMAT"),
    "jpeg xl": (b"\xff\x0a" + b"\0" * 40, "E_IMAGE_FORMAT"),
    "video": (b"\0\0\0\x18ftypisom" + b"\0" * 30, "E_IMAGE_FORMAT"),
}


@pytest.mark.parametrize(("data", "code"), NOT_IMAGES.values(), ids=NOT_IMAGES.keys())
def test_what_is_no_image_or_not_read_is_named(data: bytes, code: str) -> None:
    assert code_of(data) == code


JPEG = made.jpeg()
NOISE = np.random.default_rng(3).integers(0, 256, (400, 400), dtype=np.uint8)
NOISY_JPEG = made.jpeg(Image.fromarray(NOISE))


def without_end(data: bytes) -> bytes:
    return data[: data.rindex(b"\xff\xd9")]


def garbled(data: bytes, length: int = 300) -> bytes:
    middle = len(data) // 2
    return data[:middle] + np.random.default_rng(5).bytes(length) + data[middle + length :]


def with_frame(data: bytes, at: int, value: bytes) -> bytes:
    """Overwrite bytes behind the JPEG's frame marker."""
    frame = data.index(b"\xff\xc0") + at
    return data[:frame] + value + data[frame + len(value) :]


LZW = made.tiff(Image.fromarray(NOISE), compression="tiff_lzw")
DEFLATE = made.tiff(Image.fromarray(NOISE), compression="tiff_adobe_deflate")
GROUP4 = made.group4(Image.fromarray(NOISE))
NOISY_PNG = made.png(Image.fromarray(NOISE))
JPEG_TIFF = made.tiff(Image.fromarray(NOISE), compression="jpeg")

BROKEN = {
    **{f"jpeg cut at {share} %": (JPEG[: len(JPEG) * share // 100], "E_IMAGE_TRUNCATED") for share in (1, 10, 50, 99)},
    "jpeg without its end": (without_end(JPEG), "E_IMAGE_TRUNCATED"),
    "jpeg filled up with zeros": (JPEG[: len(JPEG) // 2] + b"\0" * 9000, "E_IMAGE_TRUNCATED"),
    "jpeg with its end sewn on": (NOISY_JPEG[: len(NOISY_JPEG) // 2] + b"\xff\xd9", "E_IMAGE_CORRUPT"),
    "jpeg garbled": (garbled(NOISY_JPEG), "E_IMAGE_CORRUPT"),
    "jpeg with junk between markers": (JPEG[:2] + b"junk" + JPEG[2:], "E_IMAGE_NOT_IMAGE"),
    "jpeg with junk after a marker": (JPEG[:20] + b"junk" + JPEG[20:], "E_IMAGE_CORRUPT"),
    "jpeg whose picture has no header": (b"\xff\xd8\xff\xda\x00\x04\0\0\0\xff\xd9", "E_IMAGE_CORRUPT"),
    "jpeg of no height": (with_frame(JPEG, 5, b"\0\0"), "E_IMAGE_CORRUPT"),
    "jpeg of 12 bits": (with_frame(JPEG, 4, b"\x0c"), "E_IMAGE_FORMAT"),
    "jpeg of two samples": (with_frame(JPEG, 9, b"\x02"), "E_IMAGE_FORMAT"),
    "jpeg lossless": (with_frame(JPEG, 0, b"\xff\xc3"), "E_IMAGE_FORMAT"),
    "png cut in its header": (made.png()[:20], "E_IMAGE_TRUNCATED"),
    "png cut": (NOISY_PNG[: len(NOISY_PNG) // 2], "E_IMAGE_TRUNCATED"),
    "png without its end": (NOISY_PNG[:-12], "E_IMAGE_TRUNCATED"),
    "png garbled": (garbled(NOISY_PNG, 5), "E_IMAGE_CORRUPT"),
    "png with too few pixels": (made.png_header(500, 500), "E_IMAGE_CORRUPT"),
    "png of no width": (made.png_header(0, 500), "E_IMAGE_CORRUPT"),
    "png without a header": (NOISY_PNG[:8] + NOISY_PNG[33:], "E_IMAGE_CORRUPT"),
    "tiff cut in its first bytes": (b"II*\0\x08", "E_IMAGE_TRUNCATED"),
    "tiff cut": (made.tiff()[:-200], "E_IMAGE_TRUNCATED"),
    "tiff cut in its tags": (made.raw_tiff({})[:-20], "E_IMAGE_TRUNCATED"),
    "tiff with strips outside": (made.raw_tiff({273: 10_000}), "E_IMAGE_TRUNCATED"),
    "tiff with too few strips": (made.raw_tiff({278: 1}), "E_IMAGE_CORRUPT"),
    "tiff with an empty strip": (made.raw_tiff({279: 0}), "E_IMAGE_CORRUPT"),
    "tiff with too few pixels": (made.raw_tiff({256: 4000, 257: 4000, 278: 4000}), "E_IMAGE_CORRUPT"),
    "tiff of no width": (made.raw_tiff({256: 0}), "E_IMAGE_CORRUPT"),
    "tiff running in a loop": (made.raw_tiff({}, next_page=72), "E_IMAGE_CORRUPT"),
    "tiff LZW garbled": (garbled(LZW), "E_IMAGE_CORRUPT"),
    "tiff deflate garbled": (garbled(DEFLATE), "E_IMAGE_CORRUPT"),
    "tiff JPEG garbled": (garbled(JPEG_TIFF), "E_IMAGE_CORRUPT"),
    "tiff group 4 garbled": (garbled(GROUP4, 1000), "E_IMAGE_CORRUPT"),
    "tiff group 4 zero-filled": (
        GROUP4[: len(GROUP4) // 3] + b"\0" * 3000 + GROUP4[len(GROUP4) // 3 + 3000 :],
        "E_IMAGE_CORRUPT",
    ),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_cut_and_damaged_images_are_errors(data: bytes, code: str) -> None:
    assert code_of(data) == code


def big_tiff(offset: int) -> bytes:
    """A BigTIFF of one grey strip, which begins at the offset."""
    values = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: offset, 277: 1, 278: 8, 279: 64}
    entries = b"".join(struct.pack("<HHQQ", tag, 16, 1, value) for tag, value in values.items())
    return b"II+\0" + struct.pack("<HHQ", 8, 0, 80) + bytes(64) + struct.pack("<Q", len(values)) + entries + bytes(8)


MANY_CHUNKS = made.png()[:33] + made.png_chunk(b"tEXt", b"") * 1_000_000 + made.png()[33:]
MANY_TAGS = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + struct.pack("<HHII", 273, 4, 1, 8) * 5000 + bytes(4)
MANY_VALUES = made.raw_tiff({}, pixels=bytes(5 * 2**20)).replace(
    struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 2**20 + 1, 8)
)

BOMBS = {
    "png of a million chunks": (MANY_CHUNKS, "E_IMAGE_CORRUPT"),
    "jpeg of a million fill bytes": (JPEG[:2] + b"\xff" * 1_000_000 + JPEG[2:], "E_IMAGE_CORRUPT"),
    "jpeg of a million markers": (JPEG[:2] + b"\xff\xfe\0\2" * 1_000_000 + JPEG[2:], "E_IMAGE_CORRUPT"),
    "tiff of 5,000 tags": (MANY_TAGS, "E_IMAGE_CORRUPT"),
    "tiff of a million strips": (MANY_VALUES, "E_IMAGE_CORRUPT"),
    "tiff whose offset runs over": (big_tiff(2**64 - 32), "E_IMAGE_TRUNCATED"),
    "jpeg of 65,500 pixels square": (with_frame(JPEG, 5, struct.pack(">HH", 65_500, 65_500)), "E_IMAGE_TOO_LARGE"),
    "png of 25,000 pixels square": (made.png_header(25_000, 25_000), "E_IMAGE_TOO_LARGE"),
    "tiff of 25,000 pixels square": (made.raw_tiff({256: 25_000, 257: 25_000, 278: 25_000}), "E_IMAGE_TOO_LARGE"),
    "tiff of 65,529 samples": (made.raw_tiff({277: 65_529}), "E_IMAGE_FORMAT"),
    "tiff of 10,000 pages": (made.many_pages(10_000), "E_IMAGE_MULTIPAGE"),
    "tiff of floats": (made.raw_tiff({258: 16, 279: 128, 339: 3}, pixels=b"\0" * 128), "E_IMAGE_FORMAT"),
    "tiff of an unknown compression": (made.raw_tiff({259: 34712}), "E_IMAGE_FORMAT"),
}


@pytest.mark.parametrize(("data", "code"), BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_by_their_headers(data: bytes, code: str) -> None:
    with pytest.raises(PageError) as caught:
        probe(data)
    assert caught.value.code == code


def test_a_tag_that_comes_twice_is_read_once() -> None:
    once = made.raw_tiff({})
    entry = struct.pack("<HHII", 278, 4, 1, 8)
    assert read(once.replace(entry, struct.pack("<HHII", 257, 4, 1, 9_999)))[0].shape == (8,)
    assert read(big_tiff(16)).shape == (8, 8)


def test_the_largest_allowed_image_is_allowed() -> None:
    data = made.png()
    pixels = made.WIDTH * made.HEIGHT
    assert probe(data, max_pixels=pixels).pixels == pixels
    with pytest.raises(PageError, match="more than the"):
        probe(data, max_pixels=pixels - 1)


def test_a_hundred_pages_are_read_as_their_first() -> None:
    assert read(made.many_pages(100)).shape == (8, 8)


def test_texts_in_a_png_cost_nothing() -> None:
    data = made.png()
    text = made.png_chunk(b"zTXt", b"bomb\0\0" + zlib.compress(b"\0" * 50_000_000))
    assert is_page(read(data[:33] + text + data[33:]))


def test_group4_written_lowest_bit_first_is_read() -> None:
    mirrored = made.encoded(
        made.grey_image().convert("1", dither=Image.Dither.NONE), "TIFF", compression="group4", tiffinfo={266: 2}
    )
    assert is_page(read(mirrored))


SEEDS = (
    made.jpeg(),
    made.jpeg(made.grey_image(), progressive=True),
    made.png(made.colour_image().quantize(64)),
    made.group4(),
    made.tiff(made.colour_image(), compression="tiff_lzw"),
    made.tiff(made.colour_image(), compression="jpeg"),
)


def array_or_error(data: bytes) -> bool:
    """Whether it returns an array of the size that its header states; anything but PageError is a failure."""
    try:
        header = probe(data, max_pixels=1_000_000)
        image = decode(data, header)
    except PageError:
        return False
    return image.shape[:2] == (header.height, header.width)


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_mutations_end_in_an_array_or_an_error(seed: int) -> None:
    random = np.random.default_rng(seed)
    source = np.frombuffer(SEEDS[seed], np.uint8)
    refused = 0
    for _ in range(334):
        data = source.copy()
        # half of the changes go to the headers, which are a small part of the file
        reach = len(data) if random.random() < 0.5 else min(len(data), 400)
        places = random.integers(0, reach, random.integers(1, 9))
        data[places] = random.integers(0, 256, len(places))
        refused += not array_or_error(data.tobytes())
    assert refused > 0


@settings(max_examples=200, deadline=None)
@given(start=st.sampled_from([seed[:8] for seed in SEEDS]), rest=st.binary(max_size=300))
def test_any_bytes_behind_a_signature_end_in_an_error(start: bytes, rest: bytes) -> None:
    with pytest.raises(PageError):
        read(start + rest)


CUT = {"cutoff_136.jpg": "E_IMAGE_TRUNCATED", "corrupt_25.jpg": "E_IMAGE_NOT_IMAGE"}


def test_real_oddities(shared_data: Path) -> None:
    for path in sorted((shared_data / "odd_images").glob("*.[jt]*g*")):
        data = path.read_bytes()
        if path.name in CUT:
            assert code_of(data) == CUT[path.name]
        else:
            header = probe(data)
            assert decode(data, header).shape[:2] == (header.height, header.width)


def test_real_orientation_is_passed_over(shared_data: Path) -> None:
    assert read((shared_data / "odd_images" / "exif6_I8LS738230125.jpg").read_bytes()).shape == (1770, 355, 3)


def test_real_volumes(shared_data: Path) -> None:
    for path in sorted((shared_data / "volumes").rglob("*.[jt]*[gf]")):
        header = probe(path.read_bytes())
        image = decode(path.read_bytes(), header, reduce=2)
        assert image.shape[:2] == (-(-header.height // 2), -(-header.width // 2))
        assert image.mean() > 100
