"""The default line model: PP-OCRv6 text detection (small), the ONNX file that the `rapidocr` wheel carries.

The network marks the core of each piece of text, a band about a third of the line pitch high. Facts about its input,
from the wheel's own config: BGR, value / 127.5 - 1, sides that are multiples of 32. Its cost is linear in the input's
area (about 300 ms a megapixel on one core), so the scale follows the line pitch: 24 pixels from line to line find all
lines of the real pages that the project measures on, and half the pitch still finds most.
"""

from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.extras import optional_packages, package_folder
from bec_orch.errors import ConfigError, extra_hint
from bec_orch.jobs.ldv1.one_map.line_model import LineModel, PageView
from bec_orch.jobs.ldv1.one_map.segments import above
from bec_orch.jobs.ldv1.page.decoded_size import reduce_factor
from bec_orch.jobs.ldv1.page.detector import Item
from bec_orch.jobs.shared.geometry import in_grey, resized, scaling
from bec_orch.jobs.shared.model_session import ModelSession

MODEL_FILE = "PP-OCRv6_det_small.onnx"
SIDE_STEP = 32
SMALLEST_AREA = 0.28e6
"""Pixels of the smallest input: small notes on a page of large script must still be seen."""
PITCHLESS_SCALE = 1.5
"""A page that shows no pitch (titles, pictures, blank) is viewed at this much more than the smallest scale."""
LARGEST_AREA = 2.5e6
"""Pixels of the largest input: bounds memory (about 1 GB) and time (under 1 s) of one run."""
LARGEST_ENLARGEMENT = 2.0
FAINTEST_INK = 14
"""Grey levels between the darkest and the brightest pixel near a letter: less is paper."""
INK_REACH = 13
INKED_PAGE = 0.9
INKED_REGION = 0.5
"""When less than the first share of all that is marked has ink, regions with less than the second are taken out."""
_HOW_TO_GET = f"{extra_hint('ldv1')} Or name a model folder in the job's config."


class PpocrModel(LineModel):
    """PP-OCRv6 detection, run by onnxruntime.

    Args:
        session: the opened model.
        line_pitch: wanted distance of neighbouring lines in the input, pixels.
    """

    kind = "ppocr"
    threshold = 0.3
    min_score = 0.5
    unclip_ratio = 1.8
    zoomable = True
    marks_all_text = True

    def __init__(self, session: ModelSession, line_pitch: float) -> None:
        session.require_image_input()
        self.name = session.path.stem
        self.digest = session.digest
        self.engine = session.engine
        self._session = session
        self._line_pitch = line_pitch

    @override
    def reduce_factor(self, width: int, height: int) -> int:
        return reduce_factor(width, height)

    @override
    def view(self, image: NDArray[np.uint8], pitch: float | None, zoom: float = 1.0) -> PageView:
        height, width = image.shape[:2]
        scale = self._scale(width * height, pitch) * zoom
        scale = min(scale, LARGEST_ENLARGEMENT, sqrt(LARGEST_AREA / (width * height)))
        view_width, view_height = _stepped(width * scale), _stepped(height * scale)
        item = resized(image, view_width, view_height)
        to_image = scaling((view_width, view_height), (width, height))
        map_pitch = pitch * scale if pitch else None
        return PageView((item,), (view_width, view_height), view_width, view_height, to_image, map_pitch)

    def _scale(self, area: int, pitch: float | None) -> float:
        smallest = sqrt(SMALLEST_AREA / area)
        return max(smallest, self._line_pitch / pitch) if pitch else PITCHLESS_SCALE * smallest

    @override
    def infer(self, items: Sequence[Item]) -> list[NDArray[np.float32]]:
        """See `LineModel.infer`. One run per input: on CPU a batch is slower, and pages differ in shape."""
        return [self._session.run(_normalised(item))[0, 0] for item in items]

    @override
    def probability(self, view: PageView, outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return _where_inked(outputs[0], _inked(view.items[0]), self.threshold)


def bundled_model_path(name: str = MODEL_FILE) -> Path:
    """Find a model in the installed `rapidocr` wheel, without importing it (which takes a second).

    Raises:
        ConfigError: the wheel is not installed (E_EXTRA_MISSING), or has no such model (E_MODEL_NOT_FOUND).
    """
    with optional_packages(f"The model {name}", _HOW_TO_GET):
        path = package_folder("rapidocr") / "models" / name
    if not path.is_file():
        raise ConfigError(
            f"The installed `rapidocr` wheel has no model {name}.", code="E_MODEL_NOT_FOUND", hint=_HOW_TO_GET
        )
    return path


def _stepped(side: float) -> int:
    return max(1, round(side / SIDE_STEP)) * SIDE_STEP


def _inked(item: Item) -> NDArray[np.uint8]:
    """Mark (255) the pixels that have ink near them: on blank paper the network sees patterns of its own making."""
    near = cv2.getStructuringElement(cv2.MORPH_RECT, (INK_REACH, INK_REACH))
    contrast = cv2.morphologyEx(in_grey(item), cv2.MORPH_GRADIENT, near)
    return np.asarray(cv2.threshold(contrast, FAINTEST_INK - 1, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _where_inked(probability: NDArray[np.float32], inked: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Take out of a map what the network marked on blank paper."""
    marked = above(probability, threshold)
    with_ink = cv2.countNonZero(cv2.bitwise_and(marked, inked))
    if with_ink >= INKED_PAGE * cv2.countNonZero(marked):
        return probability
    count, labels = cv2.connectedComponents(marked)
    sizes = np.bincount(labels.ravel(), minlength=count)
    inked_sizes = np.bincount(labels[inked > 0], minlength=count)
    good = inked_sizes >= INKED_REGION * np.maximum(sizes, 1)
    return np.where(good[labels], probability, np.float32(0))


def _normalised(item: Item) -> NDArray[np.float32]:
    planes = np.empty((1, 3, *item.shape[:2]), np.float32)
    # Plane by plane: numpy is half as fast where the colours of a pixel lie side by side.
    for number, plane in enumerate(cv2.split(item) if item.ndim == 3 else (item,) * 3):  # noqa: PLR2004
        planes[0, number] = plane
    planes *= np.float32(1 / 127.5)
    planes -= 1
    return planes
