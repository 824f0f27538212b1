"""What finds the lines of pages: a detector, whichever model it asks.

One more kind of model whose outputs are no single map of where lines are has a detector of its own, and one more branch
in `loading`.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.artefacts import ModelInfo
from bec_orch.jobs.ldv1.page.page_lines import PageLines

Item = NDArray[np.uint8]
"""One input of the model, as small as it can be kept in memory: (H, W) or (H, W, 3), 8 bits."""


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
