"""A line model: what returns one map of where lines are.

One more kind of such a model is one more class with the members of `LineModel`, and one more branch in `loading`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.detector import Item
from bec_orch.jobs.shared.geometry import Affine


@dataclass(frozen=True, slots=True)
class PageView:
    """A page as a model sees it.

    Attributes:
        items: the model's inputs, in the order in which the outputs are wanted.
        shown: width and height of the page as the items show it.
        width: width of the probability map, pixels.
        height: height of the probability map, pixels.
        to_image: affine transform from the probability map to the image that was viewed.
        pitch: line pitch in pixels of the map, or None where the page shows none.
    """

    items: tuple[Item, ...]
    shown: tuple[int, int]
    width: int
    height: int
    to_image: Affine
    pitch: float | None


class LineModel(Protocol):
    """Finds text lines. Holds no state between pages; all methods may be called from several threads.

    Attributes:
        name: what people call the model.
        kind: the kind of model, one per class.
        digest: SHA-256 of the ONNX file, hex.
        engine: what runs it, and in which precision where that is not full.
        threshold: probability above which a pixel belongs to a line.
        min_score: mean probability below which a marked region is noise.
        unclip_ratio: how far the marked regions must grow to cover the script: distance = area * ratio / perimeter.
            0 for models that mark whole lines.
        zoomable: whether a page may be viewed again at a larger scale.
        marks_all_text: whether it marks notes, heads and numbers, too: then lines are of kinds, by their places.
    """

    name: str
    kind: str
    digest: str
    engine: str
    threshold: float
    min_score: float
    unclip_ratio: float
    zoomable: bool
    marks_all_text: bool

    def reduce_factor(self, width: int, height: int) -> int:
        """Return by how much (1, 2, 4 or 8) a page of that size may be shrunk while it is decoded."""
        ...

    def view(self, image: NDArray[np.uint8], pitch: float | None, zoom: float = 1.0) -> PageView:
        """Make the inputs for a page.

        Args:
            image: the decoded page, grey (H, W) or BGR (H, W, 3).
            pitch: its line pitch in pixels of `image`, or None.
            zoom: view it this much larger than usual.
        """
        ...

    def infer(self, items: Sequence[Item]) -> list[NDArray[np.float32]]:
        """Run the model on inputs of any number of pages; one output per input, in their order."""
        ...

    def probability(self, view: PageView, outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Put the outputs for one page together to one map (view.height, view.width) of probabilities 0 to 1."""
        ...
