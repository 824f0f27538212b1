"""The recogniser that the package carries: what its card says of it, and that it reads."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from bec_orch.jobs.ocrv1.cut.line_windows import BEYOND
from bec_orch.jobs.ocrv1.engines.bec import LANGUAGE, NETWORK
from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import Grey, load_recogniser
from bec_orch.jobs.shared.model_files import digest_of
from tests.unit.fakes import resources

CARD = Path(__file__).parents[3] / "docs" / "reader-model.md"
FONT = Path(__file__).parents[4] / "shared" / "data" / "fonts_text" / "fonts" / "DDC_Rinzin.ttf"
MOST_BYTES = 15 * 1024 * 1024
TEXT = "འདི་སྐད་བདག་གིས་ཐོས་པ་དུས་གཅིག་ན། བཅོམ་ལྡན་འདས་རྒྱལ་པོའི་ཁབ་ན་"


def drawn(text: str) -> Grey:
    """A window of a line with nothing above or below it."""
    font = ImageFont.truetype(str(FONT), 48, layout_engine=ImageFont.Layout.RAQM)
    left, top, right, bottom = font.getbbox(text, anchor="ls", language="bo")
    size = round(right - left) + 40, round((bottom - top) * (1 + 2 * BEYOND))
    image = Image.new("L", size, 245)
    place = 20 - left, round((bottom - top) * BEYOND) - top
    ImageDraw.Draw(image).text(place, text, fill=20, font=font, anchor="ls", language="bo")
    return np.asarray(image, np.uint8)


def test_its_files_are_those_of_the_card_and_small() -> None:
    digests = set(re.findall(r"`([0-9a-f]{64})`", CARD.read_text("utf-8")))
    assert {digest_of(file.read_bytes()) for file in (NETWORK, LANGUAGE)} == digests
    assert NETWORK.stat().st_size + LANGUAGE.stat().st_size < MOST_BYTES


@pytest.mark.parametrize(("lm", "models"), [("kangyur", ["bec-uchen", "bec-uchen.lm"]), ("none", ["bec-uchen"])])
def test_it_opens_with_the_models_that_the_config_names(lm: str, models: list[str]) -> None:
    recogniser = load_recogniser(Ocrv1Config.parse({"engine": "bec", "lm": lm}), resources())
    assert [model.name for model in recogniser.models] == models
    assert recogniser.line_height >= 2 * HEIGHT
    recogniser.close()


@pytest.mark.skipif(not FONT.is_file() or not features.check("raqm"), reason="no ../shared/data, or no shaping")
def test_it_reads_a_font_that_it_was_not_trained_with() -> None:
    recogniser = load_recogniser(Ocrv1Config(engine="bec"), resources())
    (found,) = recogniser.recognise([drawn(TEXT)])
    assert found.text == TEXT
    assert found.confidence > 0.9
