"""The line detector: a decoded page -> the model's inputs -> the page's text lines.

`prepare` and `finish` run on any thread, and between them the model on the items of any pages. Another round is taken
when the page has to be rotated, or its script is finer than it looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import atan, degrees

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.jobs.ldv1.one_map.line_kinds import with_kinds
from bec_orch.jobs.ldv1.one_map.line_model import LineModel, PageView
from bec_orch.jobs.ldv1.one_map.reading import lines_in_order
from bec_orch.jobs.ldv1.one_map.segments import find_segments
from bec_orch.jobs.ldv1.page.detector import Detector, Item
from bec_orch.jobs.ldv1.page.layout import Gutter, crossing, gutters_of, level_boxes, overrun_edges
from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.ldv1.page.pitch import line_pitch
from bec_orch.jobs.ldv1.page.placing import placed, rotated, upright
from bec_orch.jobs.ldv1.page.segment import Segment, usual_thickness
from bec_orch.jobs.ldv1.page.skew import is_long, lies_on_its_side, page_slope, rotation_to_upright
from bec_orch.jobs.shared.geometry import Affine, compose, in_grey, inverse, resized

THINNEST = 4.5
"""Long segments thinner than this, pixels of the map, may be lines too fine to be separated..."""
FINE_SHARE = 0.1
"""... and where they make up this share of the script, the page is viewed larger..."""
COMFORTABLE = 7.0
"""... so that they become this thick."""
SURELY_ONE = 0.9
"""Lines of two columns ran into each other where the probability in the gutter between them is lower than this."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A page on its way through the model.

    Attributes:
        items: the model's inputs.
        image: the decoded page, rotated upright where its file says how, and by `angle`.
        width: width of the stored bitmap.
        height: height of the stored bitmap.
        view: the page as the model sees it.
        to_stored: affine transform from the probability map to the stored bitmap.
        base: affine transform from `image` to the stored bitmap.
        angle: degrees by which the page was rotated for this view.
        final: no further round may be asked for.
    """

    image: NDArray[np.uint8]
    width: int
    height: int
    view: PageView
    to_stored: Affine
    base: Affine
    angle: float = 0.0
    final: bool = False

    @property
    def items(self) -> tuple[Item, ...]:
        """The model's inputs."""
        return self.view.items

    @property
    def nbytes(self) -> int:
        """Memory that the page takes."""
        return self.image.nbytes + sum(item.nbytes for item in self.items)


class LineDetector(Detector[Prepared]):
    """Finds the text lines of pages. Holds no state between pages; any thread may call it.

    Args:
        model: the line model.
        second_pass_min_angle: a page whose lines are skewed by more than this, degrees, is rotated and detected again.
    """

    models: tuple[ModelInfo, ...] = ()

    def __init__(self, model: LineModel, second_pass_min_angle: float) -> None:
        self.model = model
        self.models = (ModelInfo(model.name, model.digest),)
        self._most_skew = second_pass_min_angle

    @override
    def reduce_factor(self, width: int, height: int) -> int:
        return self.model.reduce_factor(width, height)

    def detect(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> PageLines:
        """Find the lines of one page, with no other page beside it. Takes what `prepare` takes."""
        found: PageLines | Prepared = self.prepare(image, width, height, orientation)
        while isinstance(found, Prepared):
            found = self.finish(found, self.model.infer(found.items))
        return found

    @override
    def infer(self, items: Sequence[Item]) -> list[NDArray[np.float32]]:
        return self.model.infer(items)

    @override
    def prepare(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> Prepared:
        image, base = upright(image, width, height, orientation)
        view = self.model.view(image, line_pitch(image))
        return Prepared(image, width, height, view, compose(base, view.to_image), base)

    @override
    def finish(self, state: Prepared, outputs: Sequence[NDArray[np.float32]]) -> PageLines | Prepared:
        probability = self.model.probability(state.view, outputs)
        segments = self._segments(probability)
        slope = page_slope(segments)
        if not state.final:
            again = self._again(state, segments, slope)
            if again:
                return again
        level = [part for part in segments if not part.upright]
        cut = self._cut(probability, level, slope)
        lines, kinds = lines_in_order(cut, slope), tuple[str, ...]()
        if self.model.marks_all_text:
            lines, kinds = with_kinds(lines, slope, state.view.width)
        outlines = [part.outline() for line in lines for part in line]
        found = placed(lines, outlines, slope, state.to_stored, (state.width, state.height))
        return replace(found, kinds=kinds, model=self.model.name, engine=self.model.engine)

    def _segments(self, probability: NDArray[np.float32]) -> tuple[Segment, ...]:
        return find_segments(
            probability,
            threshold=self.model.threshold,
            min_score=self.model.min_score,
            unclip_ratio=self.model.unclip_ratio,
        )

    def _cut(self, probability: NDArray[np.float32], level: Sequence[Segment], slope: float) -> Sequence[Segment]:
        """Cut the segments that run over an edge of the body into a margin, or over a gutter into the next column."""
        if not level:
            return level
        boxes = level_boxes(level, slope, usual_thickness(level))
        edges, gutters = overrun_edges(boxes), [each for each in gutters_of(boxes) if len(crossing(boxes, each))]
        if not edges and not gutters:
            return level
        probability = probability.copy()
        for edge in edges:
            _clear(probability, edge, slope, 0, len(probability))
        for gutter in gutters:
            for index in crossing(boxes, gutter):
                _part(probability, level[index], gutter, slope)
        return [part for part in self._segments(probability) if not part.upright]

    def _again(self, prepared: Prepared, segments: Sequence[Segment], slope: float) -> Prepared | None:
        """Return the next round's inputs, or None when this round's are good."""
        angle = degrees(atan(slope))
        if not prepared.angle and lies_on_its_side(segments):
            grey = in_grey(resized(prepared.image, prepared.view.width, prepared.view.height))
            return self._rotated(prepared, rotation_to_upright(grey, segments))
        if not prepared.angle and abs(angle) > self._most_skew:
            return self._rotated(prepared, angle)
        if not segments and prepared.view.pitch:
            return self._nearer(prepared, None, 1.0)
        finest = usual_thickness([part for part in segments if is_long(part)], FINE_SHARE)
        if self.model.zoomable and 0 < finest < THINNEST:
            return self._nearer(prepared, line_pitch(prepared.image), COMFORTABLE / finest)
        return None

    def _rotated(self, prepared: Prepared, angle: float) -> Prepared:
        image, affine = rotated(prepared.image, angle)
        view, base = self.model.view(image, line_pitch(image)), compose(prepared.base, inverse(affine))
        return replace(prepared, image=image, view=view, to_stored=compose(base, view.to_image), base=base, angle=angle)

    def _nearer(self, prepared: Prepared, pitch: float | None, zoom: float) -> Prepared | None:
        """View the page again at another scale, if that makes a difference."""
        view = self.model.view(prepared.image, pitch, zoom)
        if view.shown == prepared.view.shown:
            return None
        return replace(prepared, view=view, to_stored=compose(prepared.base, view.to_image), final=True)


def _clear(probability: NDArray[np.float32], x: float, slope: float, top: int, bottom: int) -> None:
    """Take out of a map what lies at a place along the lines, from one row to another; `x` is that without the skew."""
    rows = np.arange(max(0, top), min(bottom, len(probability)))
    columns = np.round(x - slope * rows).astype(int)[:, None] + np.array([-1, 0])
    probability[rows[:, None], np.clip(columns, 0, probability.shape[1] - 1)] = 0


def _part(probability: NDArray[np.float32], part: Segment, gutter: Gutter, slope: float) -> None:
    """Cut a segment in a gutter where it is not sure; one that is as sure there as elsewhere stays whole."""
    x = (gutter.left + gutter.right) / 2 - slope * part.middle[1]
    y, half = float(np.interp(x, part.xs, part.ys)), (gutter.right - gutter.left) / 2
    rows = slice(max(0, round(y - part.thickness)), round(y + part.thickness) + 1)
    columns = slice(max(0, round(x - half)), round(x + half) + 1)
    unsure = np.flatnonzero(probability[rows, columns].max(axis=0, initial=0) < SURELY_ONE)
    if len(unsure):
        probability[rows, columns.start + unsure[0] : columns.start + unsure[-1] + 1] = 0
