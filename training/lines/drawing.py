"""What stands on pages and is no text: pictures, bands of ornament, stamps, string holes."""

import cv2
import numpy as np

from training.shared import Bytes
from training.wear import clouds

DENSE, MOST_STROKES = 1 / 400, 400
"""Strokes a pixel of a picture cut into wood all over, and the most of them."""


def picture(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """Draw a picture: a figure of curves in line art, or a halftone; 255 is ink."""
    if rng.random() < 0.25:
        return _halftone(rng, width, height)
    ink = np.zeros((height, width), np.uint8)
    _figure(rng, ink)
    if rng.random() < 0.8:
        mirrored = ink[:, : (width + 1) // 2][:, ::-1]
        ink[:, width - mirrored.shape[1] :] = np.maximum(ink[:, width - mirrored.shape[1] :], mirrored)
    if rng.random() < 0.7:
        cv2.rectangle(ink, (1, 1), (width - 2, height - 2), 255, int(rng.integers(1, 5)))
    return ink


def _figure(rng: np.random.Generator, ink: Bytes) -> None:
    height, width = ink.shape
    thick = int(rng.integers(1, 3))
    strokes = int(rng.integers(6, 26)) if rng.random() < 0.45 else int(rng.uniform(0.5, 2.5) * DENSE * height * width)
    for _ in range(min(strokes, MOST_STROKES)):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        kind = rng.random()
        if kind < 0.35:
            size = int(rng.integers(4, max(6, min(height, width) // 3)))
            for ring in range(int(rng.integers(1, 4))):
                axes = max(1, size - 5 * ring), max(1, int(size * rng.uniform(0.5, 1.2)) - 5 * ring)
                cv2.ellipse(ink, (x, y), axes, float(rng.uniform(0, 180)), 0, float(rng.uniform(90, 360)), 255, thick)
        elif kind < 0.75:
            steps = np.cumsum(rng.normal(0, rng.uniform(3, 14), (int(rng.integers(5, 24)), 2)), axis=0)
            points = cv2.blur((steps + np.array([x, y])).astype(np.float32), (1, 3)).round().astype(np.int32)
            cv2.polylines(ink, [points], bool(rng.random() < 0.3), 255, thick, cv2.LINE_AA)
        elif kind < 0.9:
            for k in range(int(rng.integers(3, 12))):
                cv2.line(
                    ink, (x + 5 * k, y), (x + 5 * k + int(rng.normal(0, 5)), y + int(rng.integers(6, 40))), 255, thick
                )
        else:
            box = (x, y, int(rng.integers(4, 24)), int(rng.integers(4, 24)))
            cv2.rectangle(ink, box, 255, cv2.FILLED)


def _halftone(rng: np.random.Generator, width: int, height: int) -> Bytes:
    tone = clouds(rng, height, width, min(height, width) / 4) + 0.6 * clouds(rng, height, width, 14)
    tone += 0.3 * clouds(rng, height, width, 4)
    return np.asarray(np.clip(110 + 70 * tone, 0, 255), np.uint8)


def ornament(rng: np.random.Generator, length: int, height: int) -> Bytes:
    """Draw a band of one motif over and over."""
    period = max(6, int(height * rng.uniform(0.5, 1.8)))
    motif = np.zeros((height, period), np.uint8)
    for _ in range(int(rng.integers(2, 6))):
        ends = [(int(rng.integers(period)), int(rng.integers(height))) for _ in range(2)]
        if rng.random() < 0.5:
            cv2.line(motif, ends[0], ends[1], 255, int(rng.integers(1, 4)))
        else:
            cv2.circle(motif, ends[0], int(rng.integers(2, max(3, height // 3))), 255, int(rng.integers(1, 3)))
    motif = np.concatenate([motif, motif[:, ::-1]], axis=1)
    band = np.tile(motif, (1, length // motif.shape[1] + 1))[:, :length]
    if rng.random() < 0.6:
        band[0], band[-1] = 255, 255
    return np.ascontiguousarray(band)


def smear(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """Draw what a brush full of ink leaves around a printed label: streaks with a ragged rim."""
    streaks = clouds(rng, height, max(2, width // int(rng.integers(6, 40))), rng.uniform(1.5, 6))
    tone = cv2.resize(streaks, (width, height)) + 0.8 * clouds(rng, height, width, rng.uniform(30, 120))
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    rim = np.clip((1 - np.maximum(np.abs(x)[None], np.abs(y)[:, None])) * rng.uniform(5, 20), 0, 2)
    return np.asarray(
        np.clip((rng.uniform(100, 220) + 60 * tone) * np.clip(rim + 0.4 * tone - 0.4, 0, 1), 0, 255), np.uint8
    )


def seal(rng: np.random.Generator, size: int) -> Bytes:
    """Draw a seal: a frame around strokes that nobody reads."""
    ink = np.zeros((size, size), np.uint8)
    if rng.random() < 0.5:
        cv2.rectangle(ink, (1, 1), (size - 2, size - 2), 255, max(2, size // 16))
    else:
        cv2.circle(ink, (size // 2, size // 2), size // 2 - 2, 255, max(2, size // 16))
    cell = max(5, size // 7)
    for y in range(cell, size - cell, cell):
        for x in range(cell, size - cell, cell):
            if rng.random() < 0.7:
                along = (cell, 0) if rng.random() < 0.5 else (0, cell)
                cv2.line(ink, (x, y), (x + along[0], y + along[1]), 255, max(1, cell // 3))
    return ink
