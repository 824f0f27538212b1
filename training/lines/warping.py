"""Bend, rotate and shrink a drawn page, and move its lines along."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.lines.kinds import Page
from training.shared import Bytes, Floats

ROUNDS = 6
"""Steps of the fixed point that inverts the bend: it moves pixels by little more than its neighbours' move."""


@dataclass(frozen=True, slots=True)
class Warp:
    """Where the bent page's pixels come from: `turn` applied to (x, y), then waves added along both axes.

    Attributes:
        turn: 2 x 3, from the bent page to the drawn one.
        waves: amplitude, phase, and the frequencies along x and y, of the shifts of rows.
        sways: the same of the shifts of columns.
    """

    turn: NDArray[np.float64]
    waves: tuple[tuple[float, float, float, float], ...]
    sways: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def drawn(cls, rng: np.random.Generator, width: int, height: int, *, lean: float, bend: float) -> "Warp":
        """Draw a warp: a skew of some degrees, and bends of some pixels over the page's width."""
        lean = float(rng.normal(0, lean))
        turn = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), lean, 1.0), np.float64)
        turn[0, 1] += rng.normal(0, 0.01)
        turn[1, 0] += rng.normal(0, 0.003)
        turn[1, 1] *= 1 + rng.normal(0, 0.02)
        long = max(width, height)

        def wave(amount: float, cycles: float) -> tuple[float, float, float, float]:
            along, across = rng.uniform(0.2, cycles) / long, rng.normal(0, 0.3) / long
            return float(rng.normal(0, amount)), float(rng.uniform(0, 7)), float(along), float(across)

        waves = (wave(bend, 0.9), wave(0.35 * bend, 2.5), wave(0.1 * bend, 6.0))
        return cls(turn, waves, (wave(0.4 * bend, 1.5),))

    def sources(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where on the drawn page points of the bent page come from."""
        (a, b, c), (d, e, f) = self.turn
        return (
            a * x + b * y + c + sum(_wave(each, y, x) for each in self.sways),
            d * x + e * y + f + sum(_wave(each, x, y) for each in self.waves),
        )

    def moved(self, points: Floats) -> Floats:
        """Return where points of the drawn page lie on the bent one."""
        back = np.linalg.inv(self.turn[:, :2])
        goal = points.astype(np.float64)
        at = (goal - self.turn[:, 2]) @ back.T
        for _ in range(ROUNDS):
            x, y = self.sources(at[:, 0], at[:, 1])
            at = at + (goal - np.column_stack([x, y])) @ back.T
        return at.astype(np.float32)

    def bent(self, image: Bytes, ground: int) -> Bytes:
        """Bend a picture; what comes from outside of it is `ground`."""
        height, width = image.shape
        step = 8
        grid = np.meshgrid(np.arange(0.0, width + step, step), np.arange(0.0, height + step, step))
        maps = self.sources(*grid)
        x, y = (_enlarged(each.astype(np.float32), width, height, step) for each in maps)
        bent = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=ground)
        return np.asarray(bent, np.uint8)


def _wave(
    wave: tuple[float, float, float, float], along: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    amount, phase, frequency, lean = wave
    return amount * np.sin(phase + 2 * np.pi * (frequency * along + lean * across))


def _enlarged(coarse: Floats, width: int, height: int, step: int) -> Floats:
    """Interpolate a map that is known at every `step`-th pixel."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) / step, np.arange(height, dtype=np.float32) / step)
    return np.asarray(cv2.remap(coarse, x, y, cv2.INTER_LINEAR), np.float32)


def shrunk(page: Page, factor: float) -> Page:
    """Scale a page and its lines."""
    height, width = page.grey.shape
    size = max(16, round(width * factor)), max(16, round(height * factor))
    grey = cv2.resize(page.grey, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    return replace(
        page,
        grey=np.asarray(grey, np.uint8),
        lines=tuple(line.changed(lambda points: points * np.float32(factor), factor) for line in page.lines),
        gaps=tuple(gap * np.float32(factor) for gap in page.gaps),
        pitch=page.pitch * factor,
    )


def on_its_side(page: Page, *, clockwise: bool) -> Page:
    """Rotate a page by a right angle. Its lines are not kept: a network of level lines is to find none."""
    turn = cv2.ROTATE_90_CLOCKWISE if clockwise else cv2.ROTATE_90_COUNTERCLOCKWISE
    grey = np.asarray(cv2.rotate(page.grey, turn), np.uint8)
    return replace(page, grey=grey, lines=(), gaps=(), layout=page.layout + " on its side")
