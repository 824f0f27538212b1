"""From the stored bitmap to the straightened page and back: the spline of curved lines first, then the rotation.

The spline is the thin-plate spline (Bookstein, IEEE PAMI 11(6), 1989): an affine map and a sum of U(r) = r^2 log r over
the control points, with a stiffness on the kernel matrix's diagonal, so that it need not meet the points exactly
(Belongie, Malik and Puzicha, IEEE PAMI 24(4), 2002, section 4).
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.page.page_lines import PageLines
from bec_orch.jobs.shared.geometry import Affine, Points, compose, inverse, rotation, transform

GRID_STEP = 16
"""The spline is computed at steps of this many pixels, and linear between them: pages bend slowly."""
TINY = 1e-30
EDGE = 2
"""Pixels of the page taken beside what is wanted, for the interpolation."""

Grey = NDArray[np.uint8]


class Spline:
    """A thin-plate spline of the plane, fitted to take points to points.

    Args:
        start: control points (n, 2), pixels.
        end: where they go (n, 2).
        alpha: stiffness, square pixels.
    """

    def __init__(self, start: Points, end: Points, alpha: float) -> None:
        # Lengths are counted in spans of the points: else the system holds numbers from 1 to 10^8.
        self._span = max(float(np.ptp(start, axis=0).max()), 1.0)
        self._centres = start / self._span
        count = len(start)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = _kernel(self._centres, self._centres) + alpha / self._span**2 * np.eye(count)
        system[:count, count:] = _affine_terms(self._centres)
        system[count:, :count] = system[:count, count:].T
        self._weights = np.linalg.lstsq(system, np.vstack([end, np.zeros((3, 2))]), rcond=None)[0]

    def __call__(self, points: Points) -> Points:
        """Take points (n, 2) to where the spline moves them."""
        scaled = points / self._span
        terms = np.hstack([_kernel(scaled, self._centres), _affine_terms(scaled)])
        return np.asarray(terms @ self._weights, np.float64)


def _kernel(points: Points, centres: Points) -> NDArray[np.float64]:
    squares = ((points[:, None] - centres[None]) ** 2).sum(axis=2)
    # r^2 log r = r^2 log(r^2) / 2, which goes to 0 with r
    return np.asarray(squares * np.log(np.maximum(squares, TINY)) / 2, np.float64)


def _affine_terms(points: Points) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(points)), points])


@dataclass(frozen=True, slots=True)
class Straightening:
    """How a page is straightened.

    Attributes:
        to_level: rotation of the page with straight lines to the level page; None where they are level.
        to_straight: spline from the stored bitmap to the page with straight lines; None where they are straight.
        to_stored: the way back.
    """

    to_level: Affine | None = None
    to_straight: Spline | None = None
    to_stored: Spline | None = None

    def forward(self, points: Points) -> Points:
        """Take points (n, 2) of the stored bitmap to the straightened page."""
        straight = self.to_straight(points) if self.to_straight else points
        return straight if self.to_level is None else transform(straight, self.to_level)

    def cut(self, page: Grey, left: int, top: int, size: tuple[int, int]) -> Grey:
        """Cut a piece out of the straightened page.

        Args:
            page: the stored bitmap, grey.
            left: column of the straightened page at which the piece begins; may lie outside of it.
            top: its row.
            size: (width, height) of the piece.
        """
        back = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
        if self.to_level is not None:
            back = compose(inverse(self.to_level), back)
        if self.to_stored:
            return _bent(page, back, self.to_stored, size)
        if self.to_level is None:
            return _slice(page, left, top, size)
        return _rotated(page, back, size)


def standing_upright(page: Grey, lines: PageLines) -> tuple[Grey, PageLines]:
    """Rotate a page that lies or stands on its head by whole quarters, which moves pixels and changes none.

    So it reads like the same page stored upright. What is left to rotate is less than 45 degrees.
    """
    angle = lines.rotation_angle or 0.0
    quarters = round(angle / 90)
    if not quarters:
        return page, lines
    affine, (width, height) = rotation((lines.width, lines.height), 90.0 * quarters)
    points = lines.tps_points
    standing = replace(
        lines,
        width=width,
        height=height,
        rotation_angle=angle - 90 * quarters or None,
        tps_points=points if points is None or not len(points) else _transformed_rows(points, affine),
        contours=tuple(
            np.rint(transform(contour.astype(np.float64), affine)).astype(np.int32) for contour in lines.contours
        ),
    )
    return np.ascontiguousarray(np.rot90(page, quarters)), standing


def _transformed_rows(points: NDArray[np.float32], affine: Affine) -> NDArray[np.float32]:
    """Take control points, rows [in_y, in_x, out_y, out_x], through an affine transform."""
    ends = (points[:, 1::-1].astype(np.float64), points[:, :1:-1].astype(np.float64))
    return np.hstack([transform(end, affine)[:, ::-1] for end in ends]).astype(np.float32)


def straightening(lines: PageLines) -> Straightening:
    """Return how the page with these lines is straightened."""
    to_level = None
    if lines.rotation_angle is not None:
        to_level, _ = rotation((lines.width, lines.height), lines.rotation_angle)
    if lines.tps_points is None or not len(lines.tps_points):
        return Straightening(to_level)
    points = np.asarray(lines.tps_points, np.float64)
    bent, straight = points[:, 1::-1], points[:, :1:-1]
    alpha = lines.tps_alpha or 0.0
    return Straightening(to_level, Spline(bent, straight, alpha), Spline(straight, bent, alpha))


def _slice(page: Grey, left: int, top: int, size: tuple[int, int]) -> Grey:
    """Cut a level piece; what lies outside of the page repeats its edge."""
    width, height = size
    first, last = np.clip([[left, top], [left + width - 1, top + height - 1]], 0, np.array(page.shape[::-1]) - 1)
    inner = page[first[1] : last[1] + 1, first[0] : last[0] + 1]
    above, before = min(max(0, -top), height - len(inner)), min(max(0, -left), width - inner.shape[1])
    below, beyond = height - len(inner) - above, width - inner.shape[1] - before
    return np.asarray(cv2.copyMakeBorder(inner, above, below, before, beyond, cv2.BORDER_REPLICATE), np.uint8)


def _rotated(page: Grey, back: Affine, size: tuple[int, int]) -> Grey:
    """Cut a piece, given the affine transform from it to the page."""
    width, height = size
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    piece, offset = _around(page, transform(corners, back))
    back = np.column_stack([back[:, :2], back[:, 2] - offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(piece, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _bent(page: Grey, back: Affine, to_stored: Spline, size: tuple[int, int]) -> Grey:
    """Cut a piece, given the affine transform and the spline from it to the page."""
    middles = _middles(size)
    coarse = to_stored(transform(middles.reshape(-1, 2), back))
    piece, offset = _around(page, coarse)
    places = _between((coarse - offset).reshape(middles.shape).astype(np.float32), size)
    columns, rows = cv2.split(places)
    cut = cv2.remap(piece, columns, rows, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)


def _middles(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the middles (h, w, 2) of the squares of a piece, from one square before it to one after it."""
    columns, rows = (np.arange(-1, -(-side // GRID_STEP) + 1) for side in size)
    return np.asarray(np.stack(np.meshgrid(columns, rows), axis=-1) * GRID_STEP + (GRID_STEP - 1) / 2, np.float64)


def _between(coarse: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the place (height, width, 2) of each pixel of a piece, given those of `_middles`.

    They are enlarged, which is exact for what is linear within the piece.
    """
    whole = cv2.resize(coarse, None, fx=GRID_STEP, fy=GRID_STEP, interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole[GRID_STEP : GRID_STEP + size[1], GRID_STEP : GRID_STEP + size[0]], np.float32)


def _around(page: Grey, places: Points) -> tuple[Grey, Points]:
    """Return the part of a page that these places lie in, and the place (x, y) of its first pixel."""
    limits = np.array([page.shape[1], page.shape[0]]) - 1
    low = np.clip(np.floor(places.min(axis=0)).astype(int) - EDGE, 0, limits)
    high = np.clip(np.ceil(places.max(axis=0)).astype(int) + EDGE, 0, limits)
    return page[low[1] : high[1] + 1, low[0] : high[0] + 1], low.astype(np.float64)
