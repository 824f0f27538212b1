import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.ppocr import by_width
from bec_orch.jobs.ocrv1.engines.recogniser import EMPTY, load_recogniser
from tests.unit.fakes import resources

TEXTS = ["Tibetan 1984", "of the long and winding road", "Text", "line of words"]


def drawn(text: str, height: int = 40) -> NDArray[np.uint8]:
    scale = height / 40
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
    picture = np.full((height, width + 16), 255, np.uint8)
    cv2.putText(picture, text, (8, round(height * 0.7)), cv2.FONT_HERSHEY_SIMPLEX, scale, 0, 2, cv2.LINE_AA)
    return picture


def test_latin_lines_are_read_in_the_order_of_coming() -> None:
    recogniser = load_recogniser(Ocrv1Config(engine="ppocr"), resources())
    found = recogniser.recognise([drawn(text) for text in TEXTS] + [drawn("taller", 90)])
    assert [line.text for line in found] == [*TEXTS, "taller"]
    assert all(0.8 < line.confidence <= 1 for line in found)
    assert recogniser.recognise([np.full((48, 200), 255, np.uint8)]) == [EMPTY]
    assert recogniser.recognise([]) == []
    assert recogniser.models[0].name == "PP-OCRv6_rec_small"
    recogniser.close()


def test_lines_of_like_width_go_together() -> None:
    assert list(by_width([500, 100, 110, 480, 1000, 120])) == [[1, 2, 5], [3, 0], [4]]
    assert list(by_width([])) == []
