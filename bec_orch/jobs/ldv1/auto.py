"""The detector `auto`: the package's own network, and PP-OCR for pages that the network is unsure of.

The rule: a page's lines are those of the network where it is sure of them (`Look.is_sure`) at its first look, and they
stand at the line pitch that the page shows; a skewed page is rotated for it. Where it finds no main text at that pitch,
it is asked at guessed ones. A page that shows no pitch, and on which the network finds nothing, is blank. Every other
page is seen by PP-OCR: to look again at what is unsure or stands at another pitch costs more, and measured, the network
finds less there than PP-OCR does at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.jobs.ldv1.bec.detector import Look, NetworkDetector, Round, Seen
from bec_orch.jobs.ldv1.one_map.detector import LineDetector, Prepared
from bec_orch.jobs.ldv1.page.detector import Detector, Item
from bec_orch.jobs.ldv1.page.page_lines import PageLines

LOOKS_AGAIN = {
    Round.FIRST: (Round.GUESSED, Round.ROTATED),
    Round.GUESSED: (Round.FITTED,),
}
"""After which rounds the network is asked for which others; else PP-OCR is."""


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


class AutoDetector(Detector[Routed]):
    """Finds lines with the network where it is sure, else with PP-OCR. Any thread may call it.

    Args:
        ours: the network's detector.
        other: PP-OCR's.
    """

    models: tuple[ModelInfo, ...] = ()

    def __init__(self, ours: NetworkDetector, other: LineDetector) -> None:
        self.models = (*ours.models, *other.models)
        self._ours = ours
        self._other = other

    @override
    def reduce_factor(self, width: int, height: int) -> int:
        return min(detector.reduce_factor(width, height) for detector in (self._ours, self._other))

    @override
    def prepare(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> Routed:
        return Routed(image, orientation, self._ours.prepare(image, width, height, orientation))

    @override
    def infer(self, items: Sequence[Asked]) -> list[NDArray[np.float32]]:
        """Run the model that each input is for; one output per input, in their order."""
        return [
            (self._ours.infer if item.is_ours else self._other.infer)([item.pixels])[0]  # both run inputs one by one
            for item in items
        ]

    @override
    def finish(self, state: Routed, outputs: Sequence[NDArray[np.float32]]) -> PageLines | Routed:
        """Read the lines from the outputs for `state.items`, or ask for another round, or for PP-OCR."""
        if isinstance(state.state, Prepared):
            found = self._other.finish(state.state, outputs)
            return found if isinstance(found, PageLines) else replace(state, state=found)
        seen = state.state
        look = self._ours.look(seen, outputs)
        if isinstance(look, Seen) and look.round in LOOKS_AGAIN.get(seen.round, ()):
            return replace(state, state=look)
        best = look.best if isinstance(look, Seen) else look
        if best and is_ours(best, seen.pitch, is_last=isinstance(look, Look)):
            return self._ours.lines(best, seen.size)
        return replace(state, state=self._other.prepare(state.image, *seen.size, state.orientation))


def is_ours(look: Look, pitch: float | None, *, is_last: bool) -> bool:
    """Return whether the network's lines are taken.

    Args:
        look: the best of its looks at the page.
        pitch: the line pitch that the page shows, or None.
        is_last: it would not look again.
    """
    if not look.lines:
        return pitch is None
    return look.is_sure and is_last
