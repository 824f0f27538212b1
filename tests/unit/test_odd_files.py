"""Real files of odd formats, each with its right answer."""

import re
from pathlib import Path

import pytest

from bec_orch.errors import PageError
from bec_orch.jobs.formats import jpeg
from bec_orch.jobs.formats.header import ImageFormat
from bec_orch.jobs.images import decode, probe, read

_REFUSED = frozenset({"E_IMAGE_CORRUPT", "E_IMAGE_TRUNCATED", "E_IMAGE_FORMAT"})
ANSWERS: dict[str, tuple[int, int] | frozenset[str]] = {
    "tiff/ifd_loop_to_self.tif": frozenset({"E_IMAGE_CORRUPT"}),
    "tiff/tiled_planar_lzw.tif": (278, 374),
    "tiff/cmyk_16bit.tif": (100, 100),
    "tiff/rgb_16bit_planar.tif": (100, 40),
    "tiff/rgba_16bit_lzw_icc.tif": (100, 40),
    "tiff/gray_16bit_deflate.tif": (550, 426),
    "tiff/gray_12bit_packed.tif": frozenset({"E_IMAGE_FORMAT"}),
    "tiff/lzw_predictor2.tif": (128, 128),
    "tiff/deflate_predictor2_icc.tif": (278, 374),
    "tiff/lzw_old_bitorder.tif": (512, 384),
    "tiff/lzw_bilevel_one_strip.tif": (7795, 3122),
    "tiff/g3_1d_no_eol.tif": (1728, 2320),
    "tiff/g4_page.tif": (2453, 3369),
    "tiff/g4_orientation_3.tif": (590, 88),
    "tiff/palette_4bit.tif": (157, 151),
    "tiff/gray_4bit.tif": (128, 128),
    "tiff/gray_2bit_miniswhite.tif": (128, 128),
    "tiff/ojpeg_strips.tif": frozenset({"E_IMAGE_FORMAT"}),
    "tiff/ycbcr_subsampled_lzw.tif": (250, 325),
    "tiff/float32.tif": frozenset({"E_IMAGE_FORMAT"}),
    "tiff/logluv.tif": frozenset({"E_IMAGE_FORMAT"}),
    "tiff/float64_predictor2.tif": frozenset({"E_IMAGE_FORMAT"}),
    "broken/tiff_tiled_jpeg_oob.tif": _REFUSED,
    "broken/tiff_seek_too_large.tif": _REFUSED,
    "broken/tiff_65535x65535.tif": _REFUSED,
    "broken/tiff_oom.tif": _REFUSED,
    "broken/tiff_missing_plane.tif": _REFUSED,
    "broken/png_broken.png": _REFUSED,
    "broken/png_truncated_end.png": frozenset({"E_IMAGE_TRUNCATED"}),
    "broken/png_text_bomb.png": (1, 1),
    "broken/png_no_idat.png": _REFUSED,
    "broken/png_idat_after_end.png": (128, 128),
    "broken/jpeg_truncated_progressive.jpg": frozenset({"E_IMAGE_TRUNCATED"}),
    "broken/jpeg_truncated_vips.jpg": frozenset({"E_IMAGE_TRUNCATED"}),
    "broken/jpeg_ultrahdr_cut.jpg": frozenset({"E_IMAGE_TRUNCATED"}),
    "broken/jpeg_bad_restart.jpg": frozenset({"E_IMAGE_CORRUPT"}),
    "jpeg/cmyk_adobe.jpg": (100, 100),
    "jpeg/exif_landscape_8.jpg": (1200, 1800),
    "jpeg/exif_portrait_5.jpg": (1800, 1200),
    "jpeg/progressive_icc_exif6.jpg": (308, 231),
    "jpeg/extraneous_5_bytes.jpg": frozenset({"E_IMAGE_CORRUPT"}),
    "jpeg/extraneous_ff00_header.jpg": frozenset({"E_IMAGE_CORRUPT"}),
    "jpeg/truncated_app14.jpg": frozenset({"E_IMAGE_CORRUPT"}),
    "jpeg/mpo_two_frames.jpg": (640, 480),
    "jpeg/mpo_bad_header.jpg": (640, 480),
    "jpeg/qtables_16bit.jpg": (128, 128),
    "jpeg/xyb_colour.jpg": (290, 442),
    "png/interlaced_palette.png": (162, 150),
    "png/interlaced_rgba.png": (162, 150),
    "png/gray16_trns.png": (64, 64),
    "png/gray16.png": (550, 426),
    "png/orientation_in_xmp.png": (326, 268),
    "png/apng_3frames.png": (128, 64),
    "png/itxt_2400x2000.png": (2400, 2000),
    "png/padded_idat.png": (256, 10),
    "other/hopper.webp": (128, 128),
    "other/animated_42.webp": (245, 245),
    "other/arabic_page.webp": (1270, 2001),
    "other/hopper.gif": (128, 128),
    "other/animated_42.gif": (245, 245),
    "other/bomb.gif": frozenset({"E_IMAGE_TOO_LARGE"}),
    "other/lossless.jp2": (640, 480),
    "other/tiled.jp2": (640, 480),
    "other/gray16.jp2": (64, 64),
    "other/codestream.j2k": (64, 64),
    "other/hopper.avif": (128, 128),
    "other/huge_17000x17000.avif": frozenset({"E_IMAGE_TOO_LARGE"}),
    "other/hopper.bmp": (128, 128),
    "other/reallybig.bmp": frozenset({"E_IMAGE_TOO_LARGE"}),
    "other/blankpage.pdf": frozenset({"E_IMAGE_NOT_IMAGE"}),
    "other/reschart.pdf": frozenset({"E_IMAGE_NOT_IMAGE"}),
    "other/empty.heic": frozenset({"E_IMAGE_EMPTY"}),
}
"""The size of what comes out, or the codes of which one is told."""
LIKE = {
    "hopper.webp": 88.4,
    "hopper.gif": 88.4,
    "hopper.bmp": 88.4,
    "hopper.avif": 88.4,
    "qtables_16bit.jpg": 88.4,
    "lzw_predictor2.tif": 88.4,
    "cmyk_adobe.jpg": 14.1,
    "cmyk_16bit.tif": 14.4,
    "lossless.jp2": 81.1,
    "tiled.jp2": 81.1,
    "gray_2bit_miniswhite.tif": 78.4,
}
"""The mean of the pixels: the same portrait in eight formats, and others that could be inverted."""


@pytest.mark.parametrize("name", ANSWERS)
def test_an_odd_file_has_its_right_answer(name: str, shared_data: Path) -> None:
    data = (shared_data / "odd_more" / name).read_bytes()
    wanted = ANSWERS[name]
    if isinstance(wanted, frozenset):
        with pytest.raises(PageError) as caught:
            decode(data, probe(data))
        assert caught.value.code in wanted
        assert " at 0x" not in caught.value.message
        return
    header = probe(data)
    image = decode(data, header)
    assert (header.width, header.height) == wanted
    assert image.shape[:2] == wanted[::-1]
    if Path(name).name in LIKE:
        assert abs(image.mean() - LIKE[Path(name).name]) < 1.5


def test_each_odd_file_has_an_answer(shared_data: Path) -> None:
    names = {line.split("\t")[0] for line in (shared_data / "odd_more" / "EXPECTED.tsv").read_text().splitlines()[1:]}
    assert names == set(ANSWERS)


def test_frames_and_orientations_of_real_files(shared_data: Path) -> None:
    folder = shared_data / "odd_more"
    frames = {
        name: probe((folder / name).read_bytes()).frames for name in ("other/animated_42.gif", "tiff/g4_page.tif")
    }
    assert frames == {"other/animated_42.gif": 42, "tiff/g4_page.tif": 1}
    turned = {"jpeg/exif_landscape_8.jpg": 8, "jpeg/exif_portrait_5.jpg": 5, "tiff/g4_orientation_3.tif": 3}
    assert {name: probe((folder / name).read_bytes()).orientation for name in turned} == turned


def test_cmyk_without_its_marker_is_no_blank_page(shared_data: Path) -> None:
    data = (shared_data / "odd_images" / "cmyk.jpg").read_bytes()
    bare = re.sub(rb"\xff\xee\x00\x0eAdobe.{7}", b"", data, flags=re.DOTALL)
    whole, found = read(data, probe(data)), read(bare, probe(bare))
    assert (whole.assumed, found.assumed) == ("", jpeg.AS_LIGHT)
    assert found.pixels.mean() > 100
    assert probe(bare).format is ImageFormat.JPEG
