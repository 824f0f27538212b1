"""The library's own published recognisers: a folder with `model_config.json` and an ONNX file, decoded as CTC.

The picture of a line gets a white square on the left and on the right, is scaled to fit the model's canvas, binarised
(by the Gaussian mean around a pixel, less an offset), and centred on a black canvas; values go from -1 to 1. The models
were trained that way.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.errors import ConfigError
from bec_orch.jobs.ocrv1.decoding.beam import beam_search
from bec_orch.jobs.ocrv1.decoding.paths import best_path, confidence, probabilities
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.ctc_config import CtcModelConfig, invalid, read_ctc_config
from bec_orch.jobs.ocrv1.engines.recogniser import EMPTY, LineText, Recogniser
from bec_orch.jobs.ocrv1.engines.vocabulary import Vocabulary, possible_classes
from bec_orch.jobs.shared.model_session import ModelSession, words_of

Grey = NDArray[np.uint8]

BATCH_ON_GPU = 32
BINARISE_WINDOW = 51
BINARISE_OFFSET = 13
WHITE = 255
BLACK = 0
SQUEEZED_RANK = 3
"""Axes of an input without channels: (N, H, W)."""


class CtcRecogniser(Recogniser):
    """Reads lines with a published recogniser.

    Args:
        session: the opened model.
        model_config: its config.
        name: what people call it: the name of its folder.
        config: the job's config.

    Raises:
        ConfigError: the config and the ONNX file do not fit together (E_MODEL_INVALID).
    """

    def __init__(self, session: ModelSession, model_config: CtcModelConfig, name: str, config: Ocrv1Config) -> None:
        self.models = (ModelInfo(name, session.digest),)
        self.line_height = model_config.input_height
        self.batch_size = BATCH_ON_GPU if session.on_gpu else 1
        self._session = session
        self._model = model_config
        squeeze = model_config.squeeze_channel_dim
        self._squeeze = len(session.input_shape) == SQUEEZED_RANK if squeeze is None else squeeze
        self._beam_width = config.beam_width if config.decoder == "beam" else 0
        self._single_shape = self._tried()
        self._class_axis, classes = self._classes()
        self._vocabulary = Vocabulary(model_config, classes)

    @override
    def recognise(self, images: Sequence[Grey]) -> list[LineText]:
        at_once = 1 if isinstance(self._session.input_shape[0], int) else len(images)
        batches = [images[start : start + at_once] for start in range(0, len(images), at_once)]
        return [self._read(scores) for batch in batches for scores in self._scores(batch)]

    @override
    def close(self) -> None:
        """See `Recogniser.close`. The model goes with its last user."""

    def _read(self, scores: NDArray[np.float32]) -> LineText:
        by_step = scores.T if self._class_axis == 0 else scores
        matrix = self._vocabulary.merged(probabilities(by_step))
        symbols = beam_search(matrix, self._beam_width) if self._beam_width else best_path(matrix)
        text = self._vocabulary.text(symbols)
        return LineText(text, confidence(matrix)) if text else EMPTY

    def _scores(self, images: Sequence[Grey]) -> list[NDArray[np.float32]]:
        """Run the model on one batch; return a matrix per line, its axes as the model has them."""
        output = self._run(images)
        if len(images) == 1:
            return [np.squeeze(output)]
        of_lines = next(axis for axis, size in enumerate(self._single_shape) if output.shape[axis] != size)
        return [np.squeeze(scores) for scores in np.split(output, len(images), axis=of_lines)]

    def _run(self, images: Sequence[Grey]) -> NDArray[np.float32]:
        batch = np.stack([on_canvas(image, self._model.input_width, self._model.input_height) for image in images])
        if self._model.swap_hw:
            batch = batch.transpose(0, 2, 1)
        if not self._squeeze:
            batch = batch[:, None]
        return self._session.run(np.ascontiguousarray(batch), self._model.output_layer)

    def _tried(self) -> tuple[int, ...]:
        """Run the model on a blank line; return the shape of its output."""
        blank = np.full((self._model.input_height, self._model.input_width), WHITE, np.uint8)
        try:
            return self._run([blank]).shape
        except Exception as error:  # onnxruntime's errors share no base class but Exception
            raise invalid(self._session.path, f"cannot read a line as its config says: {words_of(error)}") from error

    def _classes(self) -> tuple[int, int]:
        """Return which axis of a line's scores the classes have, and how many there are."""
        shape = tuple(size for size in self._single_shape if size != 1)
        for classes in possible_classes(self._model):
            if len(shape) == 2 and classes in shape:  # noqa: PLR2004  (steps and classes)
                return shape.index(classes), classes
        raise invalid(
            self._session.path,
            f"gives an output of shape {self._single_shape} for a charset of {len(self._model.charset)}",
        )


def load(config: Ocrv1Config, resources: WorkerResources) -> CtcRecogniser:
    """Open the model of a job's config; see `load_recogniser`."""
    folder = resources.models.local_path(config.model or "")  # a config of this engine always names one
    model_config, file = read_ctc_config(folder)
    session = ModelSession(file, config.intra_op_threads)
    if config.model_sha256 and session.digest != config.model_sha256:
        raise ConfigError(
            f"The OCR model '{config.model}' has the SHA-256 {session.digest}, the config wants {config.model_sha256}.",
            code="E_MODEL_DIGEST",
            hint="Fetch the model again, or correct `model_sha256`.",
        )
    return CtcRecogniser(session, model_config, file.parent.name, config)


def on_canvas(image: Grey, width: int, height: int) -> NDArray[np.float32]:
    """Lay a line on a model's canvas: (height, width), ink -1, paper 1, and -1 where the line does not reach."""
    line_height, line_width = image.shape
    scale = min(width / (line_width + 2 * line_height), height / line_height)
    high, side = _side(line_height * scale, height), round(line_height * scale)
    long = _side(line_width * scale, width - 2 * side)
    scaled = cv2.resize(image, (long, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    # The paper is made white before the white squares come to it: an edge between them would be read as ink.
    strip = np.pad(_binarised(np.asarray(scaled, np.uint8)), ((0, 0), (side, side)), constant_values=WHITE)
    canvas = np.full((height, width), BLACK, np.uint8)
    top, left = (height - high) // 2, (width - strip.shape[1]) // 2
    canvas[top : top + high, left : left + strip.shape[1]] = strip
    return canvas.astype(np.float32) / np.float32(127.5) - 1


def _side(length: float, most: int) -> int:
    return max(1, min(most, round(length)))


def _binarised(image: Grey) -> Grey:
    method, kind = cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY
    return np.asarray(cv2.adaptiveThreshold(image, WHITE, method, kind, BINARISE_WINDOW, BINARISE_OFFSET), np.uint8)
