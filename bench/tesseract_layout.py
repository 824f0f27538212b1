"""Tesseract's own analysis of a page's layout, as something that finds lines: what others would use without `ldv1`."""

from pathlib import Path
from typing import Any

import numpy as np
import tesserocr
from numpy.typing import NDArray
from PIL import Image

from bec_orch.core.artefacts import ModelInfo
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.page.placing import on_bitmap, upright
from bec_orch.jobs.ocrv1.engines.tesseract import RESOLUTION, USUAL_FOLDERS, VARIABLES
from bec_orch.jobs.shared.geometry import bounding_box, in_grey

NAME = "tesseract"
TEXT = {getattr(tesserocr.PT, f"{kind}_TEXT") for kind in ("FLOWING", "HEADING", "PULLOUT", "CAPTION", "VERTICAL")} | {
    tesserocr.PT.TABLE
}
"""Blocks that hold text."""


class TesseractLayout:
    """Finds lines as Tesseract does by itself (page segmentation mode 3): a `Detector` without a model of ours.

    What it calls pictures, rules and noise is left out; it tells no kinds. The page is seen whole, as it is stored.
    """

    models = (ModelInfo(NAME, tesserocr.tesseract_version().split()[1]),)

    def __init__(self) -> None:
        folder = next(each for each in USUAL_FOLDERS if Path(each, "eng.traineddata").is_file())
        self._api = tesserocr.PyTessBaseAPI(path=f"{folder}/", lang="eng", psm=tesserocr.PSM.AUTO)
        for name, value in VARIABLES.items():
            self._api.SetVariable(name, value)

    def reduce_factor(self, width: int, height: int) -> int:
        """See `Detector`: pages are not shrunk."""
        del width, height
        return 1

    def prepare(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> PageLines:
        """Return the lines of a page."""
        page, to_stored = upright(in_grey(image), width, height, orientation)
        self._api.SetImage(Image.fromarray(page))
        self._api.SetSourceResolution(RESOLUTION)
        outlines = on_bitmap([_corners(*box) for box in self._boxes()], to_stored, (width, height))
        return PageLines(
            width,
            height,
            contours=outlines,
            bboxes=tuple(bounding_box(outline) for outline in outlines),
            line_ids=tuple(range(len(outlines))),
            scores=(1.0,) * len(outlines),
            model=NAME,
        )

    def _boxes(self) -> list[tuple[int, int, int, int]]:
        layout = self._api.AnalyseLayout()
        if layout is None:
            return []
        lines = tesserocr.iterate_level(layout, tesserocr.RIL.TEXTLINE)
        boxes = [line.BoundingBox(tesserocr.RIL.TEXTLINE) for line in lines if line.BlockType() in TEXT]
        return [box for box in boxes if box]

    def infer(self, items: Any) -> list[NDArray[np.float32]]:
        """See `Detector`: it has no model of this kind."""
        raise NotImplementedError

    def finish(self, state: PageLines, outputs: Any) -> PageLines:
        """See `Detector`: a page is done when it is prepared."""
        del outputs
        return state


def _corners(left: int, top: int, right: int, bottom: int) -> NDArray[np.float64]:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
