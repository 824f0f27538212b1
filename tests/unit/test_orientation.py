"""Pages that are stored lying or on their head, with the orientation in their file, against their upright copies."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from bec_orch.jobs.images import decode, probe
from bec_orch.jobs.ldv1.config import Ldv1Config
from bec_orch.jobs.ldv1.loading import load_line_model
from bec_orch.jobs.ldv1.one_map.detector import LineDetector
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ocrv1.cut.line_images import LineImage, cut_lines
from bec_orch.jobs.shared.geometry import in_grey
from tests.unit import image_bytes as made

STORED = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""How an upright page is turned so that its orientation tells how to show it."""


@pytest.fixture(scope="module")
def detector() -> LineDetector:
    config = Ldv1Config()
    return LineDetector(load_line_model(config, None), config.second_pass_min_angle)


def taken(detector: LineDetector, data: bytes) -> tuple[PageLines, list[LineImage]]:
    """The lines of a page, and their pictures as an engine gets them."""
    header = probe(data)
    reduced = decode(data, header, reduce=detector.reduce_factor(header.width, header.height))
    lines = detector.detect(reduced, header.width, header.height, header.orientation)
    return lines, list(cut_lines(in_grey(decode(data, header)), lines, 48))


def pictures_are_equal(one: list[LineImage], other: list[LineImage]) -> bool:
    pairs = [(a.pixels, b.pixels) for a, b in zip(one, other, strict=True)]
    return all(a is b is None or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs)


@pytest.mark.parametrize("orientation", STORED)
def test_a_turned_page_is_read_as_its_upright_copy(detector: LineDetector, shared_data: Path, orientation: int) -> None:
    path = shared_data / "odd_images" / "exif6_I8LS738230125.jpg"
    upright = ImageOps.exif_transpose(Image.open(path))
    stored = made.png(upright.transpose(STORED[orientation]), exif=made.exif_block(orientation))
    wanted, wanted_pictures = taken(detector, made.png(upright))
    lines, pictures = taken(detector, stored)
    assert wanted.line_count == lines.line_count > 4
    assert (lines.width, lines.height) == Image.open(io.BytesIO(stored)).size
    assert pictures_are_equal(pictures, wanted_pictures)


def test_the_real_file_is_read_as_its_upright_copy(detector: LineDetector, shared_data: Path) -> None:
    data = (shared_data / "odd_images" / "exif6_I8LS738230125.jpg").read_bytes()
    upright = made.png(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    lines, pictures = taken(detector, data)
    assert lines.rotation_angle == -90
    assert pictures_are_equal(pictures, taken(detector, upright)[1])


def test_the_orientation_decides_between_both_sides(detector: LineDetector, shared_data: Path) -> None:
    """Without it, the ink of this English page tells the wrong side: its letters hang from no line."""
    data = (shared_data / "pages_more" / "western" / "boston_cooking_exif6.jpg").read_bytes()
    header = probe(data)
    reduced = decode(data, header, reduce=detector.reduce_factor(header.width, header.height))
    turned = detector.detect(reduced, header.width, header.height, header.orientation)
    unknown = detector.detect(reduced, header.width, header.height)
    assert header.orientation == 6
    assert turned.rotation_angle == pytest.approx(-90, abs=1)
    assert unknown.rotation_angle == pytest.approx(90, abs=1)


def test_mirrored_pages_are_taken_as_they_are_stored(detector: LineDetector) -> None:
    page = np.full((300, 800), 255, np.uint8)
    prepared = detector.prepare(page, 800, 300, 2)
    assert prepared.image.shape == (300, 800)
    assert detector.prepare(page, 800, 300, 6).image.shape == (800, 300)
