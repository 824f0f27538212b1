"""The line network of the package: its file, its inputs for a page, and its maps.

The file is `lines.onnx`; what it is made of, and what it is good for, stands in `docs/line-model.md`, and what
`training.lines.export` knows of it in `lines.json`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from bec_orch.errors import ConfigError
from bec_orch.jobs.ldv1.bec.network_input import (
    CONTRACT,
    MULTIPLE,
    OUTPUTS,
    PITCH,
    STRIDE,
    Bytes,
    normalised,
    padded,
)
from bec_orch.jobs.ldv1.kinds.traced import Floats
from bec_orch.jobs.shared.geometry import Affine, compose, in_grey, resized, scaling
from bec_orch.jobs.shared.model_session import ModelSession

FILE = Path(__file__).with_name("lines.onnx")
MOST_PIXELS = 1.5e6
"""Pixels of the largest input: bounds memory and time of one run."""
LARGEST_ENLARGEMENT = 3.0
MAPS_TO_INPUT: Affine = np.array([[STRIDE, 0.0, (STRIDE - 1) / 2], [0.0, STRIDE, (STRIDE - 1) / 2]])


@dataclass(frozen=True, slots=True)
class View:
    """A page as the network sees it.

    Attributes:
        pixels: the network's input before it is normalised, grey (H, W), its sides multiples of `MULTIPLE`.
        shown: width and height of the page in it; what is beyond repeats its edge.
        scale: pixels of the input for one of the page.
        to_image: affine transform from the maps to the page.
    """

    pixels: Bytes
    shown: tuple[int, int]
    scale: float
    to_image: Affine


class Network:
    """The network, opened. Holds no state between pages; any thread may call it.

    Args:
        session: the opened model.
    """

    name = "bec-lines"

    def __init__(self, session: ModelSession) -> None:
        session.require_image_input()
        self.digest = session.digest
        self.engine = session.engine
        self._session = session

    def view(self, image: Bytes, pitch: float) -> View:
        """See a page, grey or BGR, at a scale at which lines that stand `pitch` pixels apart stand `PITCH` apart."""
        height, width = image.shape[:2]
        scale = min(PITCH / pitch, LARGEST_ENLARGEMENT, sqrt(MOST_PIXELS / (width * height)))
        shown = max(MULTIPLE, round(width * scale)), max(MULTIPLE, round(height * scale))
        pixels = padded(in_grey(resized(image, *shown)))
        return View(pixels, shown, scale, compose(scaling(shown, (width, height)), MAPS_TO_INPUT))

    def infer(self, items: Sequence[Bytes]) -> list[Floats]:
        """Return the maps of inputs of any pages. One run for each: pages differ in shape."""
        return [self._session.run(normalised(item)[None, None])[0] for item in items]

    def maps(self, view: View, output: Floats) -> Floats:
        """Return the maps of a view without what is beyond the page."""
        width, height = (-(-side // STRIDE) for side in view.shown)
        return output[:, :height, :width]


def bundled_network(threads: int) -> Network:
    """Open the network that the package carries.

    Raises:
        ConfigError: its file is gone or broken (E_MODEL_NOT_FOUND, E_MODEL_INVALID), or not the one that its card tells
            of (E_MODEL_DIGEST).
    """
    session = ModelSession(FILE, threads, may_be_half=True)
    card = json.loads(FILE.with_suffix(".json").read_text("utf-8"))
    if session.digest != card["sha256"]:
        raise ConfigError(
            f"The line network '{FILE}' has the SHA-256 {session.digest}, its card says {card['sha256']}.",
            code="E_MODEL_DIGEST",
            hint="Install the package anew.",
        )
    if card["input"] != CONTRACT or card["outputs"] != list(OUTPUTS):
        raise ConfigError(
            f"The line network '{FILE}' was made for another input or returns other maps than this version reads.",
            code="E_MODEL_INVALID",
            hint="Install the package anew.",
        )
    return Network(session)
