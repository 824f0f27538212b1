"""What others find lines with, as a `Detector` without a model of ours: a page is seen whole, and done at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.artefacts import ModelInfo
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.page.placing import on_bitmap, upright
from bec_orch.jobs.shared.geometry import bounding_box, in_grey

Outline = NDArray[np.float64]


class WholePageLayout(ABC):
    """Finds lines, and tells no kinds.

    Args:
        name: what it is called.
        version: which one it is.
    """

    def __init__(self, name: str, version: str) -> None:
        self.models = (ModelInfo(name, version),)

    @abstractmethod
    def outlines(self, page: NDArray[np.uint8]) -> Sequence[Outline]:
        """Return the outlines (n, 2), x and y, of the lines of a grey page that stands upright."""

    def reduce_factor(self, width: int, height: int) -> int:
        """See `Detector`: pages are not shrunk."""
        del width, height
        return 1

    def prepare(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> PageLines:
        """Return the lines of a page."""
        page, to_stored = upright(in_grey(image), width, height, orientation)
        found = on_bitmap(self.outlines(page), to_stored, (width, height))
        return PageLines(
            width,
            height,
            contours=found,
            bboxes=tuple(bounding_box(outline) for outline in found),
            line_ids=tuple(range(len(found))),
            scores=(1.0,) * len(found),
            model=self.models[0].name,
        )

    def infer(self, items: Any) -> list[NDArray[np.float32]]:
        """See `Detector`: it has no model of this kind."""
        raise NotImplementedError

    def finish(self, state: PageLines, outputs: Any) -> PageLines:
        """See `Detector`: a page is done when it is prepared."""
        del outputs
        return state
