"""The detector `auto`: the package's own network, and PP-OCR for pages that the network is unsure of.

The rule: a page's lines are those of the network where it is sure of them (`Look.is_sure`) in the page as its file
says that it stands, or where neither the page shows a line pitch nor the network any line (a blank page). Every other
page is seen by PP-OCR: what the network is unsure of, and what it finds only when it looks at the page lying on its
side, as upright Chinese is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.bec.detector import Look, NetworkDetector, Seen
from bec_orch.jobs.ldv1.one_map.detector import LineDetector, Prepared
from bec_orch.jobs.ldv1.page.detector import Item
from bec_orch.jobs.ldv1.page.page_lines import PageLines

LYING = 45.0
"""A page that was rotated by more degrees than this was seen lying on its side."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An input of one of the two models."""

    pixels: Item
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Routed:
    """A page on its way through one of the two detectors.

    Attributes:
        image: the decoded page, as it is stored.
        orientation: how the page is to be shown, by EXIF's numbers.
        state: where it stands: with the network, or with PP-OCR.
    """

    image: NDArray[np.uint8]
    orientation: int
    state: Seen | Prepared

    @property
    def items(self) -> tuple[Asked, ...]:
        """The inputs, each with whose it is."""
        return tuple(Asked(pixels, isinstance(self.state, Seen)) for pixels in self.state.items)

    @property
    def nbytes(self) -> int:
        """Memory that the page takes."""
        return self.image.nbytes + self.state.nbytes


class AutoDetector:
    """Finds lines with the network where it is sure, else with PP-OCR. Any thread may call it.

    Args:
        ours: the network's detector.
        other: PP-OCR's.
    """

    def __init__(self, ours: NetworkDetector, other: LineDetector) -> None:
        self.models = (*ours.models, *other.models)
        self._ours = ours
        self._other = other

    def reduce_factor(self, width: int, height: int) -> int:
        """Return by how much (1, 2, 4 or 8) a page of that size may be shrunk while it is decoded."""
        return min(detector.reduce_factor(width, height) for detector in (self._ours, self._other))

    def prepare(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> Routed:
        """Make the network's inputs for a page; see `LineDetector.prepare`."""
        return Routed(image, orientation, self._ours.prepare(image, width, height, orientation))

    def infer(self, items: Sequence[Asked]) -> list[NDArray[np.float32]]:
        """Run the model that each input is for; one output per input, in their order."""
        return [
            (self._ours.infer if item.is_ours else self._other.infer)([item.pixels])[0]  # both run inputs one by one
            for item in items
        ]

    def finish(self, routed: Routed, outputs: Sequence[NDArray[np.float32]]) -> PageLines | Routed:
        """Read the lines from the outputs for `routed.items`, or ask for another round, or for PP-OCR."""
        if isinstance(routed.state, Prepared):
            found = self._other.finish(routed.state, outputs)
            return found if isinstance(found, PageLines) else replace(routed, state=found)
        seen = routed.state
        look = self._ours.look(seen, outputs)
        if isinstance(look, Seen):
            return replace(routed, state=look)
        if is_ours(look, seen.pitch):
            return self._ours.lines(look, seen.size)
        return replace(routed, state=self._other.prepare(routed.image, *seen.size, routed.orientation))


def is_ours(look: Look, pitch: float | None) -> bool:
    """Return whether the network's lines are taken.

    Args:
        look: its best look at the page.
        pitch: the line pitch that the page shows, or None.
    """
    if not look.lines:
        return pitch is None
    return look.is_sure and abs(look.turned) < LYING
