"""The network's maps drawn for the tests, with known lines; and a network that marks dark pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.bec.network import Network
from bec_orch.jobs.ldv1.bec.network_input import OUTPUTS, STRIDE

Floats = NDArray[np.float32]
MAIN, OTHER, TOP, BOTTOM, GAP = (OUTPUTS.index(name) for name in ("main", "other", "top", "bottom", "gap"))
SIZE = (120, 400)
THICK = 3
REACH = 9.0
"""A line's edges lie this many pixels of the network's input above and below its core."""


def maps_with(*lines: tuple[int, int, float], slope: float = 0.0, size: tuple[int, int] = SIZE) -> Floats:
    """Maps (height, width) with cores of main text from column to column, centred at a row, falling by a slope."""
    maps = np.zeros((len(OUTPUTS), *size), np.float32)
    for line in lines:
        draw(maps, line, slope=slope)
    return maps


def draw(maps: Floats, line: tuple[int, int, float], kind: int = MAIN, slope: float = 0.0) -> None:
    """Draw one more core, of main or other text."""
    left, right, row = line
    for x in range(left, right):
        centre = row + slope * (x - left)
        y = round(centre) + np.arange(-(THICK // 2), THICK // 2 + 1)
        maps[kind, y, x] = 0.99
        maps[TOP, y, x] = REACH + STRIDE * (y - centre)
        maps[BOTTOM, y, x] = REACH + STRIDE * (centre - y)


def inked(maps: Floats) -> NDArray[np.uint8]:
    """A page that has ink wherever the maps have text."""
    text = cv2.dilate((maps[MAIN] + maps[OTHER]).astype(np.float32), np.ones((5, 5), np.uint8))
    rng = np.random.default_rng(1)
    strokes = (rng.random(text.shape) < 0.5) & (text > 0)
    return np.where(strokes, 0, 255).astype(np.uint8)


@dataclass
class DarkPixels:
    """What stands for an opened model: it marks as main text what is darker than its surroundings.

    Attributes:
        sure: the probability that it gives.
        runs: the sizes of what it was given.
    """

    sure: float = 0.98
    digest: str = "0" * 64
    path: Path = Path("dark.onnx")
    engine: str = "drawn"

    def __post_init__(self) -> None:
        self.runs: list[tuple[int, int]] = []

    def require_image_input(self) -> None:
        """Take pictures, as it does."""

    def run(self, batch: Floats, output_name: str | None = None) -> Floats:
        """Return the maps of one page."""
        page = batch[0, 0]
        self.runs.append((page.shape[1], page.shape[0]))
        half = cv2.resize(page, (page.shape[1] // STRIDE, page.shape[0] // STRIDE), interpolation=cv2.INTER_AREA)
        maps = np.zeros((1, len(OUTPUTS), *half.shape), np.float32)
        maps[0, MAIN] = np.where(half < -0.7, self.sure, 0)
        maps[0, TOP] = maps[0, BOTTOM] = REACH
        return maps


def network(model: Any) -> Network:
    """The network that such a model makes."""
    return Network(model)
