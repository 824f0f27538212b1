"""The PP-OCRv6 recogniser (small) that the `rapidocr` wheel carries: Chinese, Japanese, Latin script and more.

Facts about it, from the wheel: pictures 48 pixels high of any width, BGR, value / 127.5 - 1; its classes are the blank,
the lines of the `character` entry of the ONNX metadata, and the space. It knows no Tibetan.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.jobs.ldv1.one_map.ppocr import bundled_model_path
from bec_orch.jobs.ocrv1.decoding.paths import best_path, confidence, probabilities
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import EMPTY, LineText, Recogniser
from bec_orch.jobs.shared.model_session import ModelSession

Grey = NDArray[np.uint8]

MODEL_FILE = "PP-OCRv6_rec_small.onnx"
LINE_HEIGHT = 48
NARROWEST = 48
"""The network shrinks the width by 8; a picture narrower than high says nothing."""
BATCH_ON_GPU = 32
MOST_PADDING = 0.25
"""Lines go together while the widest is at most this share wider than the narrowest."""


class PpocrRecogniser(Recogniser):
    """Reads lines with PP-OCRv6.

    Args:
        session: the opened model.
    """

    line_height = LINE_HEIGHT

    def __init__(self, session: ModelSession) -> None:
        self.models = (ModelInfo(session.path.stem, session.digest),)
        self.batch_size = BATCH_ON_GPU if session.on_gpu else 1
        self._session = session
        self._symbols = ["", *session.metadata["character"].split("\n"), " "]

    @override
    def recognise(self, images: Sequence[Grey]) -> list[LineText]:
        """See `Recogniser.recognise`. Lines of like width run together, whichever pages they are of."""
        scaled = [_scaled(image) for image in images]
        texts = [EMPTY] * len(images)
        for group in by_width([image.shape[1] for image in scaled]):
            output = self._session.run(_batch([scaled[place] for place in group]))
            for place, scores in zip(group, output, strict=True):
                texts[place] = self._read(scores)
        return texts

    @override
    def close(self) -> None:
        """See `Recogniser.close`. The model goes with its last user."""

    def _read(self, scores: NDArray[np.float32]) -> LineText:
        matrix = probabilities(scores)
        text = "".join(self._symbols[symbol] for symbol in best_path(matrix)).strip()
        return LineText(text, confidence(matrix)) if text else EMPTY


def load(config: Ocrv1Config, resources: WorkerResources) -> PpocrRecogniser:  # noqa: ARG001  (as every engine's)
    """Open the model; see `load_recogniser`."""
    return PpocrRecogniser(ModelSession(bundled_model_path(MODEL_FILE), config.intra_op_threads))


def by_width(widths: Sequence[int]) -> Iterator[list[int]]:
    """Return the places of pictures of like width, group by group, the narrowest first."""
    group: list[int] = []
    for place in sorted(range(len(widths)), key=widths.__getitem__):
        if group and widths[place] > (1 + MOST_PADDING) * widths[group[0]]:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _scaled(image: Grey) -> Grey:
    height, width = image.shape
    size = (max(NARROWEST, round(width * LINE_HEIGHT / height)), LINE_HEIGHT)
    interpolation = cv2.INTER_AREA if height > LINE_HEIGHT else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


def _batch(images: Sequence[Grey]) -> NDArray[np.float32]:
    """Make the input (N, 3, height, width) of pictures; the narrower ones are padded with middle grey, 0."""
    widest = max(image.shape[1] for image in images)
    planes = np.zeros((len(images), LINE_HEIGHT, widest), np.float32)
    for plane, image in zip(planes, images, strict=True):
        plane[:, : image.shape[1]] = image / np.float32(127.5) - 1
    return np.repeat(planes[:, None], 3, axis=1)
