"""Tesseract's own analysis of a page's layout, as something that finds lines: what others would use without `ldv1`."""

from pathlib import Path

import numpy as np
import tesserocr
from numpy.typing import NDArray
from PIL import Image

from bec_orch.jobs.ocrv1.engines.tesseract import RESOLUTION, USUAL_FOLDERS, VARIABLES
from bench.whole_page import Outline, WholePageLayout

NAME = "tesseract"
TEXT = {getattr(tesserocr.PT, f"{kind}_TEXT") for kind in ("FLOWING", "HEADING", "PULLOUT", "CAPTION", "VERTICAL")} | {
    tesserocr.PT.TABLE
}
"""Blocks that hold text."""


class TesseractLayout(WholePageLayout):
    """Finds lines as Tesseract does by itself (page segmentation mode 3).

    What it calls pictures, rules and noise is left out.
    """

    def __init__(self) -> None:
        super().__init__(NAME, tesserocr.tesseract_version().split()[1])
        folder = next(each for each in USUAL_FOLDERS if Path(each, "eng.traineddata").is_file())
        self._api = tesserocr.PyTessBaseAPI(path=f"{folder}/", lang="eng", psm=tesserocr.PSM.AUTO)
        for name, value in VARIABLES.items():
            self._api.SetVariable(name, value)

    def outlines(self, page: NDArray[np.uint8]) -> list[Outline]:
        """Return the boxes of lines."""
        self._api.SetImage(Image.fromarray(page))
        self._api.SetSourceResolution(RESOLUTION)
        layout = self._api.AnalyseLayout()
        if layout is None:
            return []
        lines = tesserocr.iterate_level(layout, tesserocr.RIL.TEXTLINE)
        boxes = [line.BoundingBox(tesserocr.RIL.TEXTLINE) for line in lines if line.BlockType() in TEXT]
        return [_corners(*box) for box in boxes if box]


def _corners(left: int, top: int, right: int, bottom: int) -> Outline:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
