"""What finds lines: a detector, and the line model of the usual one, whose outputs are a map of where lines are.

One more kind of model that returns such a map is one more class with the members of `LineModel`; one that returns
anything else needs a detector of its own. Either is one more branch in `loading`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.artefacts import ModelInfo
from bec_orch.jobs.ldv1.page_lines import PageLines
from bec_orch.jobs.shared.geometry import Affine

Item = NDArray[np.uint8]
"""One input of the model, as small as it can be kept in memory: (H, W) or (H, W, 3), 8 bits."""


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
        threshold: probability above which a pixel belongs to a line.
        min_score: mean probability below which a marked region is noise.
        unclip_ratio: how far the marked regions must grow to cover the script: distance = area * ratio / perimeter.
            0 for models that mark whole lines.
        zoomable: whether a page may be viewed again at a larger scale.
    """

    name: str
    kind: str
    digest: str
    threshold: float
    min_score: float
    unclip_ratio: float
    zoomable: bool

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


class Underway(Protocol):
    """A page on its way through a detector."""

    @property
    def items(self) -> Sequence[Any]:
        """What the detector's model is to see."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory that the page takes."""
        ...


StateT = TypeVar("StateT", bound=Underway)


class Detector(Protocol[StateT]):
    """Finds the text lines of pages. Holds no state between pages; all methods may be called from several threads."""

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models that the lines depend on."""
        ...

    def reduce_factor(self, width: int, height: int) -> int:
        """Return by how much (1, 2, 4 or 8) a page of that size may be shrunk while it is decoded."""
        ...

    def prepare(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> StateT:
        """Make the model's inputs for a page.

        Args:
            image: the decoded page, grey (H, W) or BGR (H, W, 3), whole or shrunk by `reduce_factor`; as it is
                stored, not rotated by EXIF.
            width: width of the stored bitmap.
            height: height of the stored bitmap.
            orientation: how the page is to be shown, by EXIF's numbers. It says where the upper edge is, which the
                page's ink shows less reliably. Mirrored pages are taken as they are stored.
        """
        ...

    def infer(self, items: Sequence[Any]) -> list[NDArray[np.float32]]:
        """Run the model on inputs of any number of pages; one output per input, in their order."""
        ...

    def finish(self, state: StateT, outputs: Sequence[NDArray[np.float32]]) -> PageLines | StateT:
        """Read the lines from the model's outputs, or ask for another round.

        Args:
            state: what `prepare` or an earlier `finish` returned.
            outputs: the model's outputs for `state.items`, in their order.
        """
        ...
