"""What an engine is: pictures of lines in, their texts out.

One more engine is one more module with a `load(config, resources)`, named in `config.Engine`.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.extras import optional_packages
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.errors import extra_hint
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LineText:
    """What was read in one line.

    Attributes:
        text: as the engine returns it; empty where nothing was read.
        confidence: how sure the engine is, 0 to 1; 0 where nothing was read.
        by_language: a language model made it read otherwise than the letters stand there.
    """

    text: str
    confidence: float
    by_language: bool = False


EMPTY = LineText("", 0.0)


class Recogniser(Protocol):
    """Reads pictures of lines. All methods may be called from several threads.

    Attributes:
        models: the models that the text depends on.
        line_height: pixels; a higher picture is of no use to the engine.
        batch_size: how many lines it prefers at once; 1 where batches are no faster.
        with_neighbours: it wants lines as `cut_windows` cuts them, not as `cut_lines` does.
        unsure: a line that it is less sure of counts as unsure.
    """

    models: tuple[ModelInfo, ...]
    line_height: int
    batch_size: int
    with_neighbours: bool = False
    unsure: float = 0.5

    def recognise(self, images: Sequence[Grey]) -> list[LineText]:
        """Read lines of any pages, grey (H, W), dark ink on light paper; one text per picture, in their order."""
        ...

    def close(self) -> None:
        """Free the models. May be called twice."""
        ...


def load_recogniser(config: Ocrv1Config, resources: WorkerResources) -> Recogniser:
    """Open the engine that a config names, with its model.

    Raises:
        ConfigError: the engine's packages are not installed (E_EXTRA_MISSING), the language is not (E_OCR_LANGUAGE), or
            the model is missing or cannot be used (E_MODEL_...).
    """
    engine = config.chosen_engine
    with optional_packages(f"The OCR engine `{engine}`", extra_hint("ocrv1")):
        module = importlib.import_module(f"bec_orch.jobs.ocrv1.engines.{engine}")
    recogniser: Recogniser = module.load(config, resources)
    return recogniser
