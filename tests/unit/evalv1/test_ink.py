from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bec_orch.jobs.evalv1.ink import WIDTH, ink_share
from bec_orch.jobs.images import decode, probe
from bec_orch.jobs.shared.geometry import reduction
from bec_orch.jobs.shared.thumbnail import thumbnail
from tests.unit import image_bytes as made
from tests.unit.ldv1.drawn import page


def share(file: Path) -> float:
    data = file.read_bytes()
    header = probe(data)
    return ink_share(decode(data, header, reduce=reduction(header.width, WIDTH)))


def test_blank_pages_have_no_ink_and_written_ones_have(shared_data: Path) -> None:
    odd = shared_data / "odd_images"
    assert max(share(odd / name) for name in ("intro_I00JW5012020002.tif", "intro_scam_2.tif")) < 0.001
    written = [odd / "titlepage_50000005.tif", shared_data / "pages_gt" / "multimodel" / "img_1.jpg"]
    assert min(share(file) for file in written) > 0.01


def test_shadows_and_margins_are_no_ink() -> None:
    shade = np.tile(np.linspace(90, 230, 1200), (600, 1)).astype(np.uint8)
    shade[:, :50] = 0
    assert ink_share(shade) == 0.0


def test_lines_are_ink_in_colour_and_grey() -> None:
    drawn = page((1400, 400), [(100, 100 + 60 * line, 1300, 100 + 60 * line) for line in range(3)])
    grey = np.asarray(Image.fromarray(drawn).convert("L"))
    colour = np.stack([grey] * 3, axis=2)
    assert ink_share(grey) == pytest.approx(ink_share(colour), abs=0.001)
    assert ink_share(grey) > 0.02


@pytest.mark.parametrize(("width", "factor"), [(500, 1), (1999, 1), (2000, 2), (4683, 4), (9000, 8)])
def test_images_are_shrunk_no_further_than_they_are_looked_at(width: int, factor: int) -> None:
    assert reduction(width, WIDTH) == factor


@pytest.mark.parametrize(
    ("size", "expected"), [((4000, 1000), (480, 120)), ((100, 50), (100, 50)), ((30, 960), (15, 480))]
)
def test_thumbnails_are_small_jpegs(size: tuple[int, int], expected: tuple[int, int]) -> None:
    header = probe(thumbnail(made.jpeg(Image.new("RGB", size, "white"))))
    assert (header.width, header.height) == expected
    assert header.format.name == "JPEG"
