"""Plane geometry of pages: affine transforms, offset polygons, bounding boxes.

An affine transform is a 2x3 matrix that takes a point (x, y) of one picture to another. Coordinates are those of pixel
centres, so the first pixel's centre is (0, 0) and its left edge lies at -0.5.
"""

from typing import TypeAlias

import cv2
import numpy as np
import pyclipper
from numpy.typing import NDArray

Affine: TypeAlias = NDArray[np.float64]
Points: TypeAlias = NDArray[np.float64]

ROUNDNESS = 0.7
"""The arc at an offset corner may be off by this many pixels, so that it takes few points."""
CLIPPER_UNITS = 64.0
"""pyclipper works on integers: this many of its units make one pixel."""


def resized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale a picture (H, W) or (H, W, C) to a size, fast: by halves as far as they go, then bilinear.

    Exact halves run in vector code; averaging by odd factors at once takes ten times as long. A last odd row or column
    is left out at each halving, which moves nothing by more than that row.
    """
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        half_height, half_width = image.shape[0] // 2, image.shape[1] // 2
        whole = image[: 2 * half_height, : 2 * half_width]
        image = np.asarray(cv2.resize(whole, (half_width, half_height), interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def in_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture in grey (H, W), whether it is grey or BGR."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)  # noqa: PLR2004


def scaling(from_size: tuple[int, int], to_size: tuple[int, int]) -> Affine:
    """Return the transform that scales a picture of one (width, height) to another, edges to edges."""
    scale_x, scale_y = to_size[0] / from_size[0], to_size[1] / from_size[1]
    return np.array([[scale_x, 0.0, (scale_x - 1) / 2], [0.0, scale_y, (scale_y - 1) / 2]])


def rotation(size: tuple[int, int], angle: float) -> tuple[Affine, tuple[int, int]]:
    """Return the transform that rotates a picture about its centre, and the size that holds it whole.

    Args:
        size: (width, height) before the rotation.
        angle: degrees, positive is counter-clockwise on the screen.
    """
    width, height = size
    radians = np.deg2rad(angle)
    cosine, sine = np.cos(radians), np.sin(radians)
    new_width = int(np.ceil(abs(width * cosine) + abs(height * sine) - 1e-6))
    new_height = int(np.ceil(abs(width * sine) + abs(height * cosine) - 1e-6))
    linear = np.array([[cosine, sine], [-sine, cosine]])
    old_centre = np.array([(width - 1) / 2, (height - 1) / 2])
    new_centre = np.array([(new_width - 1) / 2, (new_height - 1) / 2])
    return np.column_stack([linear, new_centre - linear @ old_centre]), (new_width, new_height)


def compose(second: Affine, first: Affine) -> Affine:
    """Return the transform that applies `first`, then `second`."""
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def inverse(affine: Affine) -> Affine:
    """Return the transform that undoes another."""
    linear = np.linalg.inv(affine[:, :2])
    return np.column_stack([linear, -linear @ affine[:, 2]])


def transform(points: Points, affine: Affine) -> Points:
    """Apply a transform to points (n, 2)."""
    return points @ affine[:, :2].T + affine[:, 2]


def offset_polygon(contour: NDArray[np.int32], distance: float) -> Points:
    """Offset a closed contour (n, 2) outwards by `distance` pixels, with round corners.

    Polygon offsetting by winding numbers (Chen and McMains, ASME DETC 2005), as the Clipper library does it. Where the
    contour falls into several pieces, the largest is kept; a contour of fewer than three points is taken for the line
    or dot that it is.
    """
    clipper = pyclipper.PyclipperOffset(2.0, CLIPPER_UNITS * ROUNDNESS)
    scaled = np.round(contour * CLIPPER_UNITS).astype(np.int64)
    end = pyclipper.ET_CLOSEDPOLYGON if len(contour) > 2 else pyclipper.ET_OPENROUND  # noqa: PLR2004
    clipper.AddPath(scaled.tolist(), pyclipper.JT_ROUND, end)
    pieces = [np.array(piece, np.float64) / CLIPPER_UNITS for piece in clipper.Execute(distance * CLIPPER_UNITS)]
    if len(pieces) > 1:
        return max(pieces, key=lambda piece: cv2.contourArea(piece.astype(np.float32)))
    return pieces[0] if pieces else contour.astype(np.float64)


def reduction(side: int, least: int) -> int:
    """Return by how much (1, 2, 4 or 8) an image may be shrunk on decoding for a side to keep `least` pixels."""
    return max(factor for factor in (1, 2, 4, 8) if factor == 1 or side // factor >= least)


def on_pixels(points: Points, width: int, height: int) -> NDArray[np.int32]:
    """Round points to pixels of a picture of that size; those outside are moved to its edge."""
    return np.clip(np.rint(points), 0, (width - 1, height - 1)).astype(np.int32)


def bounding_box(contour: NDArray[np.int32]) -> tuple[int, int, int, int]:
    """Return (x, y, width, height) of the smallest upright box that holds all pixels of a contour (n, 2)."""
    x, y, width, height = cv2.boundingRect(contour)
    return x, y, width, height
