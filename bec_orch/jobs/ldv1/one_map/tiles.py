"""The library's own line models: a folder with an ONNX file and a JSON config, run on square tiles of a binarised page.

In the config numbers may be strings; `classes` is there for models of several classes only. The network takes tiles
3 x P x P with values 0 to 1 and returns one map of logits per class.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from bec_orch.core.wording import said
from bec_orch.errors import ConfigError
from bec_orch.jobs.ldv1.one_map.line_model import LineModel, PageView
from bec_orch.jobs.ldv1.page.detector import Item
from bec_orch.jobs.shared.geometry import in_grey, resized, scaling
from bec_orch.jobs.shared.model_config import PublishedModelConfig
from bec_orch.jobs.shared.model_session import ModelSession

LONG_SIDES = {"wide": 4096, "tall": 2048}
"""A page wider than high is shrunk to at most this width, another to at most this height, before it is tiled."""
BINARISE_WINDOW = 51
BINARISE_OFFSET = 13
PAPER = 255
LINE_CLASS = "line"
THRESHOLD_ONE_CLASS = 0.9
THRESHOLD_CLASSES = 0.8
MAP_PITCH = 28.0
"""The probability map is shrunk so that lines stand this far apart: finer than that the lines do not get better."""


class TileModelConfig(PublishedModelConfig):
    """The JSON config of a published line model, as far as it matters for running it."""

    patch_size: int = Field(default=512, ge=32, le=8192)
    classes: tuple[str, ...] = ()


class TileModel(LineModel):
    """A line model of the library, run by onnxruntime.

    Args:
        session: the opened model.
        config: its config.
        name: what people call it: the name of its folder.

    Raises:
        ConfigError: the config and the ONNX file do not fit together (E_MODEL_INVALID).
    """

    kind = "tiles"
    min_score = 0.6
    unclip_ratio = 0.0
    zoomable = False
    marks_all_text = False

    def __init__(self, session: ModelSession, config: TileModelConfig, name: str) -> None:
        session.require_image_input()
        self.name = name
        self.digest = session.digest
        self.engine = session.engine
        self.threshold = THRESHOLD_CLASSES if len(config.classes) > 1 else THRESHOLD_ONE_CLASS
        self._session = session
        self._patch = config.patch_size
        self._line_class = _line_class(session, config)
        self._classes = max(1, len(config.classes))
        self._channels = session.input_shape[1] if session.input_shape[1] in {1, 3} else 3
        self._check_patch()

    def _check_patch(self) -> None:
        for side in self._session.input_shape[2:]:
            if isinstance(side, int) and side != self._patch:
                raise _invalid(f"takes tiles of {side} pixels, its config says {self._patch}", self._session.path)

    @override
    def reduce_factor(self, width: int, height: int) -> int:
        scale = _scale(width, height)
        return max(factor for factor in (1, 2, 4, 8) if factor * scale <= 1 or factor == 1)

    @override
    def view(self, image: NDArray[np.uint8], pitch: float | None, zoom: float = 1.0) -> PageView:
        """See `LineModel.view`. The scale is the model's own, so `zoom` is not asked for."""
        del zoom
        height, width = image.shape[:2]
        scale = _scale(width, height)
        page_width, page_height = max(1, round(width * scale)), max(1, round(height * scale))
        page = _binarised(resized(image, page_width, page_height))
        shrink = min(1.0, MAP_PITCH / (pitch * scale)) if pitch else 1.0
        map_width, map_height = max(1, round(page_width * shrink)), max(1, round(page_height * shrink))
        to_image = scaling((map_width, map_height), (width, height))
        map_pitch = pitch * scale * shrink if pitch else None
        shown = (page_width, page_height)
        return PageView(_tiles(page, self._patch), shown, map_width, map_height, to_image, map_pitch)

    @override
    def infer(self, items: Sequence[Item]) -> list[NDArray[np.float32]]:
        """See `LineModel.infer`. On a GPU all tiles run as one batch; on CPU a batch is slower than its parts.

        Raises:
            ConfigError: the model cannot run on such tiles (E_MODEL_INVALID).
        """
        size = len(items) if self._session.on_gpu else 1
        batches = [items[start : start + size] for start in range(0, len(items), max(size, 1))]
        return [output for batch in batches for output in self._run(batch)]

    def _run(self, batch: Sequence[Item]) -> list[NDArray[np.float32]]:
        grey = np.stack(batch).astype(np.float32) / PAPER
        logits = self._session.run(np.repeat(grey[:, None], self._channels, axis=1))
        if logits.shape != (len(batch), self._classes, self._patch, self._patch):
            gives = " x ".join(map(str, logits.shape))
            raise _invalid(f"gives {gives} for {len(batch)} tiles of {self._patch} pixels", self._session.path)
        return [self._line_probability(tile) for tile in logits]

    def _line_probability(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(logits) == 1:
            return np.asarray(1 / (1 + np.exp(-logits[0])), np.float32)
        powers = np.exp(logits - logits.max(axis=0))
        return np.asarray(powers[self._line_class] / powers.sum(axis=0), np.float32)

    @override
    def probability(self, view: PageView, outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        width, height = view.shown
        columns = -(-width // self._patch)
        rows = [np.hstack(outputs[start : start + columns]) for start in range(0, len(outputs), columns)]
        page = np.vstack(rows)[:height, :width]
        shrunk = cv2.resize(page, (view.width, view.height), interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk, np.float32)


def load_tile_model(path: Path, threads: int) -> TileModel:
    """Open a line model of the library.

    Args:
        path: its folder, or a JSON config in it.
        threads: intra-op threads of one run.

    Raises:
        ConfigError: nothing is there (E_MODEL_NOT_FOUND), or it cannot be used (E_MODEL_INVALID).
    """
    config_path = _config_path(path)
    config = read_tile_config(config_path)
    if not config.file_name:
        raise _invalid("names no ONNX file (`onnx-model`, `model_file` or `cpu-model`)", config_path)
    return TileModel(ModelSession(config_path.parent / config.file_name, threads), config, config_path.parent.name)


def read_tile_config(path: Path) -> TileModelConfig:
    """Read the JSON config of a line model.

    Raises:
        ConfigError: it is not JSON, or a value is not allowed (E_MODEL_INVALID).
    """
    try:
        return TileModelConfig.read(path)
    except (OSError, ValueError) as error:
        raise _invalid(f"is not a config of a line model: {said(error)}", path) from error


def _config_path(path: Path) -> Path:
    if path.suffix == ".json" and path.is_file():
        return path
    configs = sorted(path.glob("*.json")) if path.is_dir() else []
    if not configs:
        raise ConfigError(
            f"There is no line model at '{path}': a folder with an ONNX file and a JSON config is wanted.",
            code="E_MODEL_NOT_FOUND",
            hint="Check the path (BEC_LD_MODEL_PATH or the job's config), or use `auto`, the default model.",
        )
    return next((path for path in configs if path.name == "config.json"), configs[0])


def _line_class(session: ModelSession, config: TileModelConfig) -> int:
    given = session.output_shape[1]
    wanted = max(1, len(config.classes))
    if isinstance(given, int) and given != wanted:
        raise _invalid(f"gives {given} classes, its config names {wanted}", session.path)
    if wanted > 1 and LINE_CLASS not in config.classes:
        raise _invalid(f"has no class `{LINE_CLASS}` among {', '.join(config.classes)}", session.path)
    return config.classes.index(LINE_CLASS) if wanted > 1 else 0


def _invalid(fault: str, path: Path) -> ConfigError:
    return ConfigError(
        f"The line model '{path}' {fault}.",
        code="E_MODEL_INVALID",
        hint="Take the folder as it was published, or use `auto`, the default model.",
    )


def _scale(width: int, height: int) -> float:
    limit = LONG_SIDES["wide"] / width if width > height else LONG_SIDES["tall"] / height
    return min(1.0, limit)


def _binarised(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    binary = cv2.adaptiveThreshold(
        in_grey(image), PAPER, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, BINARISE_WINDOW, BINARISE_OFFSET
    )
    return np.asarray(binary, np.uint8)


def _tiles(page: NDArray[np.uint8], patch: int) -> tuple[Item, ...]:
    """Cut the page into squares, row by row; paper fills up the last ones."""
    height, width = page.shape
    full = cv2.copyMakeBorder(page, 0, -height % patch, 0, -width % patch, cv2.BORDER_CONSTANT, value=PAPER)
    rows, columns = full.shape[0] // patch, full.shape[1] // patch
    grid = full.reshape(rows, patch, columns, patch).swapaxes(1, 2).reshape(-1, patch, patch)
    return tuple(np.ascontiguousarray(tile) for tile in grid)
