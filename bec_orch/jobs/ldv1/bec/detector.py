"""The network's detector: a decoded page -> views at the scale of its lines -> the page's lines with their kinds.

The first view is made at the line pitch that the page shows. Where what was found stands at another pitch, or is not
sure, the page is seen again at other scales, and lying on its side; the view in which most was found, most surely,
wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from math import atan, degrees

import numpy as np
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.jobs.ldv1.bec.lines import as_page_lines, usual_slope
from bec_orch.jobs.ldv1.bec.network import Network, View
from bec_orch.jobs.ldv1.bec.network_input import STRIDE, Bytes
from bec_orch.jobs.ldv1.bec.tracing import trace
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Floats, Traced
from bec_orch.jobs.ldv1.page.decoded_size import reduce_factor
from bec_orch.jobs.ldv1.page.detector import Detector
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.page.pitch import line_pitch, lines_run_down
from bec_orch.jobs.ldv1.page.placing import rotated, upright
from bec_orch.jobs.shared.geometry import Affine, compose, inverse

GUESSES = (6, 13, 28)
"""Where a page shows no valid pitch, this many lines are tried in its height or in half its width. One that shows none
has few lines: the last is not tried, which finds some in rough paper."""
MOST_OFF = 1.3
"""A pitch that is off by more than this factor is looked at again."""
SURE = 0.95
"""What was found with this mean probability is sure..."""
MOST_UNSURE = 0.1
"""... where at most this share of the lines is less sure than that..."""
NEARLY_SURE = 0.9
"""Lines that show their pitch, and were found with this mean probability, are no better seen at a guess."""
SCALES = (0.5, 0.71, 1.41)
"""Scales at which a page is seen again, as shares of the best one, where that is not sure."""
MUCH_OTHER = 0.5
"""... and less other text than this share of the main text: at a wrong scale lines look like notes."""
HEIGHT_SHARE = 0.8
"""Height of a line as a share of the pitch, where there are too few lines to show one."""
SURENESS = 8
"""What is found is worth its length times its probability to this power."""


class Round(IntEnum):
    """What the views of a round are made for, in the order in which they are asked for."""

    FIRST = 1
    PITCH = 2
    """The pitch at which lines were found."""
    UNSURE = 3
    """Scales around that of the best look."""
    GUESSED = 4
    """Pitches that the page may have, whatever it shows."""
    FITTED = 5
    """The pitch at which lines were found at last."""
    ROTATED = 6


@dataclass(frozen=True)
class Look:
    """What was found in one view of a page.

    Attributes:
        view: the view.
        to_stored: affine transform from its maps to the stored bitmap.
        turned: degrees by which the page was rotated for it.
        lines: the traced lines.
    """

    view: View
    to_stored: Affine
    turned: float
    lines: tuple[Traced, ...]

    @cached_property
    def main(self) -> list[Traced]:
        """The lines of main text."""
        return [line for line in self.lines if line.is_main]

    @cached_property
    def worth(self) -> float:
        """Length of the main text that was found, on the page, times how sure it is and how well the scale fits it."""
        return self.fit * sum(line.length * line.chance**SURENESS for line in self.main) / self.view.scale

    @cached_property
    def fit(self) -> float:
        """How near the lines are to the pitch that the network reads at: 1 where at it, 0.5 where at twice or half."""
        if not self.main:
            return 0.0
        pitch = self.pitch or float(np.median([line.height for line in self.main])) / HEIGHT_SHARE
        return min(pitch / MAP_PITCH, MAP_PITCH / pitch)

    @cached_property
    def is_sure(self) -> bool:
        """Whether main text was found, surely in nearly all lines, and more of it than of other text."""
        other = sum(line.length for line in self.lines if not line.is_main)
        unsure = sum(line.chance < SURE for line in self.main)
        return (
            self.chance >= SURE
            and unsure <= MOST_UNSURE * len(self.main)
            and other < MUCH_OTHER * sum(line.length for line in self.main)
        )

    @cached_property
    def is_settled(self) -> bool:
        """Whether main text was found in lines that show their pitch, and nearly surely."""
        return self.pitch is not None and self.chance >= NEARLY_SURE

    @cached_property
    def chance(self) -> float:
        """Mean probability of the main text; 0 where there is none."""
        if not self.main:
            return 0.0
        return float(np.average([line.chance for line in self.main], weights=[line.length for line in self.main]))

    @cached_property
    def pitch(self) -> float | None:
        """The usual distance between main lines one above the other, in pixels of the maps; None where none are."""
        steps = [
            lower.middle - upper.middle
            for upper, lower in pairwise(self.main)
            if min(upper.x[-1], lower.x[-1]) - max(upper.x[0], lower.x[0]) > 2 * MAP_PITCH
        ]
        return float(np.median(steps)) if len(steps) > 1 else None


@dataclass(frozen=True, slots=True)
class Turned:
    """A page rotated by some degrees, with the affine transform from there to the stored bitmap."""

    image: Bytes
    to_stored: Affine
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A page on its way through the network.

    Attributes:
        page: the decoded page, rotated upright where its file says how.
        size: width and height of the stored bitmap.
        pitch: the line pitch that it shows, pixels of `page`, or None.
        views: what the network is to see, each with the page that it is of.
        round: what they are for.
        best: the best look so far.
    """

    page: Turned
    size: tuple[int, int]
    pitch: float | None
    views: tuple[tuple[Turned, View], ...]
    round: Round = Round.FIRST
    best: Look | None = None

    @property
    def items(self) -> tuple[Bytes, ...]:
        """The network's inputs."""
        return tuple(view.pixels for _, view in self.views)

    @property
    def nbytes(self) -> int:
        """Memory that the page takes."""
        return self.page.image.nbytes + sum(item.nbytes for item in self.items)


class NetworkDetector(Detector[Seen]):
    """Finds the lines of pages with the network. Holds no state between pages; any thread may call it.

    Args:
        network: the network.
        second_pass_min_angle: a page whose lines are skewed by more than this, degrees, is rotated and detected again.
    """

    models: tuple[ModelInfo, ...] = ()

    def __init__(self, network: Network, second_pass_min_angle: float) -> None:
        self.models = (ModelInfo(network.name, network.digest),)
        self._network = network
        self._most_skew = second_pass_min_angle

    @override
    def reduce_factor(self, width: int, height: int) -> int:
        return reduce_factor(width, height)

    @override
    def infer(self, items: Sequence[Bytes]) -> list[Floats]:
        return self._network.infer(items)

    def detect(self, image: Bytes, width: int, height: int, orientation: int = 1) -> PageLines:
        """Find the lines of one page, with no other page beside it. Takes what `prepare` takes."""
        found: PageLines | Seen = self.prepare(image, width, height, orientation)
        while isinstance(found, Seen):
            found = self.finish(found, self.infer(found.items))
        return found

    @override
    def prepare(self, image: Bytes, width: int, height: int, orientation: int = 1) -> Seen:
        page = Turned(*upright(image, width, height, orientation))
        pitch = line_pitch(page.image)
        views = self._views(page, [pitch] if pitch else _guesses(page.image)[:-1])
        return Seen(page, (width, height), pitch, views)

    @override
    def finish(self, state: Seen, outputs: Sequence[Floats]) -> PageLines | Seen:
        found = self.look(state, outputs)
        return found if isinstance(found, Seen) else self.lines(found, state.size)

    def look(self, seen: Seen, outputs: Sequence[Floats]) -> Look | Seen:
        """Return the look that is worth most, of this round and those before, or ask for another round."""
        looks = [self._look(*of, output) for of, output in zip(seen.views, outputs, strict=True)]
        best = max([*([seen.best] if seen.best else []), *looks], key=lambda look: look.worth)
        return self._again(seen, best) or best

    def lines(self, look: Look, size: tuple[int, int]) -> PageLines:
        """Return what a look shows as the lines of the stored bitmap of that (width, height)."""
        found = as_page_lines(look.lines, look.to_stored, size, look.view.shown[0] / STRIDE)
        return replace(found, model=self._network.name, engine=self._network.engine)

    def _look(self, page: Turned, view: View, output: Floats) -> Look:
        width, height = view.shown
        lines = trace(self._network.maps(view, output), view.pixels[:height, :width])
        return Look(view, compose(page.to_stored, view.to_image), page.angle, tuple(lines))

    def _views(self, page: Turned, pitches: Sequence[float]) -> tuple[tuple[Turned, View], ...]:
        return tuple((page, self._network.view(page.image, pitch)) for pitch in pitches)

    def _again(self, seen: Seen, best: Look) -> Seen | None:
        """Return the next round's inputs, or None when what was found is good."""
        if seen.round is Round.ROTATED:
            return None
        seen = replace(seen, best=best)
        off = MAP_PITCH / best.pitch if best.pitch else 1.0
        fits = 1 / MOST_OFF < off < MOST_OFF
        if seen.round is Round.FIRST and not fits:
            return self._at(seen, Round.PITCH, [_pitch_of(best) / off])
        is_empty = seen.round is Round.FIRST and seen.pitch and not best.main
        if seen.round < Round.UNSURE and not best.is_sure and not is_empty:
            return self._at(seen, Round.UNSURE, [_pitch_of(best) / scale for scale in SCALES])
        is_unsure = seen.round is Round.UNSURE and seen.pitch and not best.is_sure
        if is_empty or (is_unsure and not (fits and best.is_settled)):
            return self._at(seen, Round.GUESSED, _guesses(seen.page.image))
        if Round.UNSURE <= seen.round < Round.FITTED and not fits:
            return self._at(seen, Round.FITTED, [_pitch_of(best) / off])
        return self._rotated(seen, best)

    def _at(self, seen: Seen, wanted: Round, pitches: Sequence[float]) -> Seen:
        return replace(seen, views=self._views(seen.page, pitches), round=wanted)

    def _rotated(self, seen: Seen, best: Look) -> Seen | None:
        """Return the inputs of a page that is skewed, or that may lie on its side."""
        angle = degrees(atan(usual_slope(best.main)))
        if abs(angle) > self._most_skew:
            pitch = _pitch_of(best)
            return replace(seen, views=self._views(_turned(seen.page, angle), [pitch]), round=Round.ROTATED, best=None)
        if not best.is_sure and lines_run_down(seen.page.image):
            views = [self._views(_turned(seen.page, quarter), [seen.pitch or 1]) for quarter in (90.0, -90.0)]
            return replace(seen, views=views[0] + views[1], round=Round.ROTATED)
        return None


def _turned(page: Turned, angle: float) -> Turned:
    image, affine = rotated(page.image, angle)
    return Turned(image, compose(page.to_stored, inverse(affine)), page.angle + angle)


def _pitch_of(look: Look) -> float:
    """Return the pitch, in pixels of the page, that a look was made for."""
    return MAP_PITCH / (look.view.scale / 2)


def _guesses(image: Bytes) -> list[float]:
    height, width = image.shape[:2]
    return [min(height, width / 2) / lines for lines in GUESSES]
