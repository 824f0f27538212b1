"""The project's own recogniser of Tibetan print, uchen.

docs/reader-model.md says what it was trained on and how well it reads.
It reads a line's window (`line_windows`), higher than the line. Where it is not sure of what it read, it looks at less
of the window, and where that is no better, at more of it, and keeps what it is surest of.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.jobs.ocrv1.cut.line_windows import BEYOND, line_of
from bec_orch.jobs.ocrv1.decoding.language import LanguageModel
from bec_orch.jobs.ocrv1.decoding.likely_text import Chooser, likeliest_text
from bec_orch.jobs.ocrv1.decoding.paths import Matrix, Prefix, best_path, confidence
from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT, as_input, fitted
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import EMPTY, LineText, Recogniser
from bec_orch.jobs.shared.model_session import ModelSession

Grey = NDArray[np.uint8]

MODELS = Path(__file__).parent / "models"
NETWORK, LANGUAGE = MODELS / "bec-uchen.onnx", MODELS / "bec-uchen.lm.npz"
LOOKS = (1.2, 1.0, 1.6)
"""Heights of the part of the window that is read first, second and third, in terms of the line's: see `line_of`."""
SURE = 0.99
"""Below this mean probability of what was read, the line is looked at again."""
HOPELESS = 0.75
"""What is less sure at first gains nothing from more of the window: specks, bits of lines, other scripts."""
LANGUAGE_WEIGHT, SYMBOL_BONUS = 0.8, 2.0


class BecRecogniser(Recogniser):
    """Reads lines of Tibetan print.

    Args:
        session: the opened network.
        language: the language model; None: letters as they stand.
    """

    line_height = round(HEIGHT * (1 + 2 * BEYOND))
    batch_size = 1
    with_neighbours = True
    unsure = 0.65
    """Nine in ten lines that were composed in cursive hands are below it, nine in ten in block letters above."""

    def __init__(self, session: ModelSession, language: LanguageModel | None) -> None:
        self.models: tuple[ModelInfo, ...] = (ModelInfo(session.path.stem, session.digest),)
        self._chooser = None
        if language:
            self.models += (ModelInfo(LANGUAGE.name.removesuffix(".npz"), language.digest),)
            self._chooser = Chooser(language, LANGUAGE_WEIGHT, SYMBOL_BONUS)
        self._session = session
        self._symbols = ["", *session.metadata["symbols"]]
        self._means, self._right = np.array(json.loads(session.metadata["confidence"])).T

    @override
    def recognise(self, images: Sequence[Grey]) -> list[LineText]:
        return [self._read(image) for image in images]

    @override
    def close(self) -> None:
        """See `Recogniser.close`. The model goes with its last user."""

    def _read(self, window: Grey) -> LineText:
        matrix = self._surest(window)
        seen = self._text(best_path(matrix))
        text = self._text(self._chooser.text(matrix) if self._chooser else likeliest_text(matrix))
        by_language = bool(self._chooser) and text != seen
        return LineText(text, self._chance(confidence(matrix)), by_language) if text else EMPTY

    def _text(self, symbols: Prefix) -> str:
        return "".join(self._symbols[symbol] for symbol in symbols).strip()

    def _surest(self, window: Grey) -> Matrix:
        """Look until it is sure, or surer than at first: where less helps, more does not."""
        first, less, more = LOOKS
        matrix = self._look(window, first)
        if confidence(matrix) >= SURE:
            return matrix
        for height in (less, more) if confidence(matrix) >= HOPELESS else (less,):
            other = self._look(window, height)
            if confidence(other) > confidence(matrix):
                return other
        return matrix

    def _look(self, window: Grey, height: float) -> Matrix:
        picture = as_input(fitted(line_of(window, height)))
        matrix: Matrix = self._session.run(picture[None, None])[0]
        return matrix

    def _chance(self, mean: float) -> float:
        """Return which share of a line's symbols is right, by what was so with composed lines of this mean."""
        return float(np.interp(mean, self._means, self._right))


def load(config: Ocrv1Config, resources: WorkerResources) -> BecRecogniser:  # noqa: ARG001  (as every engine's)
    """Open the network and, where the config says so, the language model; see `load_recogniser`."""
    session = ModelSession(NETWORK, config.intra_op_threads)
    return BecRecogniser(session, LanguageModel(LANGUAGE) if config.lm == "kangyur" else None)
