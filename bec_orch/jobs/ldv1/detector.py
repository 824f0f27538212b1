"""The line detector: a decoded page -> the model's inputs -> the page's text lines.

`prepare` and `finish` run on any thread, and between them the model on the items of any pages. A second round is taken
when the page has to be rotated, or its script is finer than it looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import atan, atan2, degrees

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.config import Ldv1Config
from bec_orch.jobs.ldv1.flatten import SPLINE_ALPHA, control_points
from bec_orch.jobs.ldv1.layout import level_boxes, overrun_edges
from bec_orch.jobs.ldv1.line_model import Item, LineModel, PageView
from bec_orch.jobs.ldv1.page_lines import PageLines
from bec_orch.jobs.ldv1.pitch import line_pitch
from bec_orch.jobs.ldv1.reading import Line, lines_in_order
from bec_orch.jobs.ldv1.segments import Segment, find_segments, usual_thickness
from bec_orch.jobs.ldv1.skew import is_long, lies_on_its_side, page_slope, rotation_to_upright
from bec_orch.jobs.shared.geometry import (
    Affine,
    Points,
    bounding_box,
    compose,
    in_grey,
    inverse,
    on_pixels,
    resized,
    rotation,
    scaling,
    transform,
)

SMALLEST_ANGLE = 0.1
"""Lines skewed by less than this, degrees, are level."""
THINNEST = 4.5
"""Long segments thinner than this, pixels of the map, may be lines too fine to be separated..."""
FINE_SHARE = 0.1
"""... and where they make up this share of the script, the page is viewed larger..."""
COMFORTABLE = 7.0
"""... so that they become this thick."""
_UPRIGHT = {3: 180.0, 6: -90.0, 8: 90.0}
"""Degrees by which a page of an EXIF orientation is rotated to stand upright."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A page on its way through the model.

    Attributes:
        items: the model's inputs.
        image: the decoded page as it came, rotated upright where its file says how.
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


class LineDetector:
    """Finds the text lines of pages. Holds no state between pages; any thread may call it.

    Args:
        model: the line model.
        config: the job's config.
    """

    def __init__(self, model: LineModel, config: Ldv1Config) -> None:
        self.model = model
        self._config = config

    def reduce_factor(self, width: int, height: int) -> int:
        """Return by how much (1, 2, 4 or 8) a page of that size may be shrunk while it is decoded."""
        return self.model.reduce_factor(width, height)

    def detect(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> PageLines:
        """Find the lines of one page, with no other page beside it. Takes what `prepare` takes."""
        found: PageLines | Prepared = self.prepare(image, width, height, orientation)
        while isinstance(found, Prepared):
            found = self.finish(found, self.model.infer(found.items))
        return found

    def prepare(self, image: NDArray[np.uint8], width: int, height: int, orientation: int = 1) -> Prepared:
        """Make the model's inputs for a page.

        Args:
            image: the decoded page, grey (H, W) or BGR (H, W, 3), whole or shrunk by `reduce_factor`; as it is
                stored, not rotated by EXIF.
            width: width of the stored bitmap.
            height: height of the stored bitmap.
            orientation: how the page is to be shown, by EXIF's numbers. It says where the upper edge is, which the
                page's ink shows less reliably. Mirrored pages are taken as they are stored.
        """
        base = scaling(_size(image), (width, height))
        if orientation in _UPRIGHT:
            image, rotated = _rotate(image, _UPRIGHT[orientation])
            base = compose(base, inverse(rotated))
        view = self.model.view(image, line_pitch(image))
        return Prepared(image, width, height, view, compose(base, view.to_image), base)

    def finish(self, prepared: Prepared, outputs: Sequence[NDArray[np.float32]]) -> PageLines | Prepared:
        """Read the lines from the model's outputs, or ask for another round.

        Args:
            prepared: what `prepare` or an earlier `finish` returned.
            outputs: the model's outputs for `prepared.items`, in their order.
        """
        probability = self.model.probability(prepared.view, outputs)
        segments = self._segments(probability)
        slope = page_slope(segments)
        if not prepared.final:
            again = self._again(prepared, segments, slope)
            if again:
                return again
        level = [part for part in segments if not part.upright]
        cut = self._without_overruns(probability, level, slope)
        return _page_lines(prepared, lines_in_order(cut, slope), slope)

    def _segments(self, probability: NDArray[np.float32]) -> tuple[Segment, ...]:
        return find_segments(
            probability,
            threshold=self.model.threshold,
            min_score=self.model.min_score,
            unclip_ratio=self.model.unclip_ratio,
        )

    def _without_overruns(
        self, probability: NDArray[np.float32], level: Sequence[Segment], slope: float
    ) -> Sequence[Segment]:
        """Cut the segments that run over an edge of the body into a margin."""
        edges = overrun_edges(level_boxes(level, slope, usual_thickness(level))) if level else []
        if not edges:
            return level
        probability = probability.copy()
        for edge in edges:
            probability[:, max(0, round(edge) - 1) : round(edge) + 1] = 0
        return [part for part in self._segments(probability) if not part.upright]

    def _again(self, prepared: Prepared, segments: Sequence[Segment], slope: float) -> Prepared | None:
        """Return the next round's inputs, or None when this round's are good."""
        if lies_on_its_side(segments):
            grey = in_grey(resized(prepared.image, prepared.view.width, prepared.view.height))
            return self._rotated(prepared, rotation_to_upright(grey, segments))
        angle = degrees(atan(slope))
        if abs(angle) > self._config.second_pass_min_angle:
            return self._rotated(prepared, angle)
        if not segments and prepared.view.pitch:
            return self._nearer(prepared, None, 1.0)
        finest = usual_thickness([part for part in segments if is_long(part)], FINE_SHARE)
        if self.model.zoomable and 0 < finest < THINNEST:
            return self._nearer(prepared, line_pitch(prepared.image), COMFORTABLE / finest)
        return None

    def _rotated(self, prepared: Prepared, angle: float) -> Prepared:
        image, rotated = _rotate(prepared.image, angle)
        view = self.model.view(image, line_pitch(image))
        to_stored = compose(compose(prepared.base, inverse(rotated)), view.to_image)
        return replace(prepared, view=view, to_stored=to_stored, angle=angle, final=True)

    def _nearer(self, prepared: Prepared, pitch: float | None, zoom: float) -> Prepared | None:
        """View the page again at another scale, if that makes a difference."""
        view = self.model.view(prepared.image, pitch, zoom)
        if view.shown == prepared.view.shown:
            return None
        return replace(prepared, view=view, to_stored=compose(prepared.base, view.to_image), final=True)


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _rotate(image: NDArray[np.uint8], angle: float) -> tuple[NDArray[np.uint8], Affine]:
    """Rotate a page by degrees (positive: counter-clockwise); the new corners repeat the pixels of its edge."""
    affine, size = rotation(_size(image), angle)
    rotated = cv2.warpAffine(image, affine, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(rotated, np.uint8), affine


def _page_lines(prepared: Prepared, lines: Sequence[Line], slope: float) -> PageLines:
    """Return the lines of the map as lines of the stored bitmap."""
    width, height, to_stored = prepared.width, prepared.height, prepared.to_stored
    outlines = [part.outline() for line in lines for part in line]
    contours = (
        _parted(on_pixels(transform(np.concatenate(outlines), to_stored), width, height), outlines) if lines else ()
    )
    points = control_points(lines, slope)
    angle = _to_quarters(_stored_angle(slope, to_stored))
    return PageLines(
        width=width,
        height=height,
        rotation_angle=angle if lines and angle else None,
        tps_points=_stored_points(points, to_stored) if points is not None else None,
        tps_alpha=SPLINE_ALPHA if points is not None else None,
        contours=contours,
        bboxes=tuple(bounding_box(contour) for contour in contours),
        line_ids=tuple(number for number, line in enumerate(lines) for _ in line),
        scores=tuple(part.score for line in lines for part in line),
    )


def _stored_angle(slope: float, to_stored: Affine) -> float:
    """Return the angle, degrees, that the map's direction (1, slope) has in the stored bitmap."""
    along = to_stored[:, :2] @ np.array([1.0, slope])
    return degrees(atan2(float(along[1]), float(along[0])))


def _to_quarters(angle: float) -> float:
    """Treat lines with next to no skew as level, on pages that are upright, sideways, or upside down."""
    quarters = 90.0 * round(angle / 90.0)
    return quarters if abs(angle - quarters) < SMALLEST_ANGLE else angle


def _stored_points(points: NDArray[np.float64], to_stored: Affine) -> NDArray[np.float32]:
    """Transform control points of the map, rows (in_x, in_y, out_x, out_y), to stored ones, rows (in_y, in_x, ...)."""
    bent, straight = transform(points[:, :2], to_stored), transform(points[:, 2:], to_stored)
    return np.hstack([bent[:, ::-1], straight[:, ::-1]]).astype(np.float32)


def _parted(points: NDArray[np.int32], outlines: Sequence[Points]) -> tuple[NDArray[np.int32], ...]:
    """Split the points of all outlines into those of each."""
    ends = list(accumulate(len(outline) for outline in outlines))
    return tuple(points[start:end] for start, end in pairwise((0, *ends)))
