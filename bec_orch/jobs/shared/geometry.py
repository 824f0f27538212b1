"""Plane geometry of pages: affine frames, grown polygons, bounding boxes.

An affine frame is a 2x3 matrix that takes a point (x, y) of one picture to another. Coordinates are those of pixel
centres, so the first pixel's centre is (0, 0) and its left edge lies at -0.5.
"""

from typing import TypeAlias

import cv2
import numpy as np
import pyclipper
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.float64]
Points: TypeAlias = NDArray[np.float64]

ROUNDNESS = 0.7
"""A grown corner's arc may be off by this many pixels: so that it takes few points."""
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
        image = cv2.resize(whole, (half_width, half_height), interpolation=cv2.INTER_AREA)
    if image.shape[:2] == (height, width):
        return image
    scaled: NDArray[np.uint8] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return scaled


def in_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give a picture in grey (H, W), whether it is grey or BGR."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # noqa: PLR2004


def scaling(from_size: tuple[int, int], to_size: tuple[int, int]) -> Matrix:
    """Give the frame that stretches a picture of one (width, height) over another, edges on edges."""
    scale_x, scale_y = to_size[0] / from_size[0], to_size[1] / from_size[1]
    return np.array([[scale_x, 0.0, (scale_x - 1) / 2], [0.0, scale_y, (scale_y - 1) / 2]])


def turning(size: tuple[int, int], angle: float) -> tuple[Matrix, tuple[int, int]]:
    """Give the frame that turns a picture of (width, height) about its centre, and the size that holds it whole.

    Args:
        size: (width, height) before the turn.
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


def after(second: Matrix, first: Matrix) -> Matrix:
    """Give the frame that does `first`, then `second`."""
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def inverse(frame: Matrix) -> Matrix:
    """Give the frame that undoes `frame`."""
    linear = np.linalg.inv(frame[:, :2])
    return np.column_stack([linear, -linear @ frame[:, 2]])


def moved(points: Points, frame: Matrix) -> Points:
    """Take points (n, 2) through a frame."""
    return points @ frame[:, :2].T + frame[:, 2]


def grown(contour: NDArray[np.int32], distance: float) -> Points:
    """Move a closed contour (n, 2) outwards by `distance` pixels (Vatti's offset, round corners).

    Of a contour that falls into several pieces by it, the largest is kept; a contour of less than three points is
    taken as the line or dot it is.
    """
    offset = pyclipper.PyclipperOffset(2.0, CLIPPER_UNITS * ROUNDNESS)
    scaled = np.round(contour * CLIPPER_UNITS).astype(np.int64)
    end = pyclipper.ET_CLOSEDPOLYGON if len(contour) > 2 else pyclipper.ET_OPENROUND  # noqa: PLR2004
    offset.AddPath(scaled.tolist(), pyclipper.JT_ROUND, end)
    pieces = [np.array(piece, np.float64) / CLIPPER_UNITS for piece in offset.Execute(distance * CLIPPER_UNITS)]
    if len(pieces) > 1:
        return max(pieces, key=lambda piece: cv2.contourArea(piece.astype(np.float32)))
    return pieces[0] if pieces else contour.astype(np.float64)


def on_pixels(points: Points, width: int, height: int) -> NDArray[np.int32]:
    """Round points to pixels of a picture of that size; what lies outside is moved to its edge."""
    return np.clip(np.rint(points), 0, (width - 1, height - 1)).astype(np.int32)


def bounding_box(contour: NDArray[np.int32]) -> tuple[int, int, int, int]:
    """Give (x, y, width, height) of the smallest upright box that holds all pixels of a contour (n, 2)."""
    x, y, width, height = cv2.boundingRect(contour)
    return x, y, width, height
