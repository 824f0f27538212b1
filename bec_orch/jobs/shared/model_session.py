"""ONNX models run by onnxruntime: opened once, shared by threads, named by the digest of their file."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bec_orch.errors import ConfigError

onnxruntime.set_default_logger_severity(3)  # errors only: its warnings are about graphs, which nobody here can mend


class ModelSession:
    """One ONNX model with one input and one output (or the first of several), ready to run from any thread.

    Args:
        path: the ONNX file.
        threads: intra-op threads of each run. 1 is best when every core has its own caller: two callers of one
            thread do 21.9 pages/s where one caller of two threads does 19.0.

    Raises:
        ConfigError: the file is missing (E_MODEL_NOT_FOUND), or onnxruntime cannot open it (E_MODEL_INVALID).
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self.digest = file_digest(path)
        self._session = _open_session(path, threads)
        self._input_name: str = self._session.get_inputs()[0].name
        self.input_shape: list[Any] = self._session.get_inputs()[0].shape
        self.output_shape: list[Any] = self._session.get_outputs()[0].shape
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.on_gpu = self._session.get_providers()[0] != "CPUExecutionProvider"

    def run(self, batch: NDArray[np.float32], output_name: str | None = None) -> NDArray[np.float32]:
        """Run the model on one batch and give its first output, or the one of that name."""
        wanted = [output_name] if output_name else None
        output: NDArray[np.float32] = self._session.run(wanted, {self._input_name: batch})[0]
        return output

    def require_image_input(self) -> None:
        """Refuse a model that does not take and give stacks of pictures.

        Raises:
            ConfigError: E_MODEL_INVALID.
        """
        for side, shape in (("input", self.input_shape), ("output", self.output_shape)):
            if len(shape) != len("NCHW"):
                raise ConfigError(
                    f"The model '{self.path}' has an {side} of shape {shape}, not of four axes (N, C, H, W).",
                    code="E_MODEL_INVALID",
                    hint="Name a model that marks text lines in pictures.",
                )


def file_digest(path: Path) -> str:
    """Give the SHA-256 of a model file, as hex.

    Raises:
        ConfigError: E_MODEL_NOT_FOUND.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"The model file '{path}' cannot be read: {error.strerror}.",
            code="E_MODEL_NOT_FOUND",
            hint="Check the path, or leave it out to use the default model.",
        ) from error


def _open_session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no base class but Exception
        raise ConfigError(
            f"The model file '{path}' is not an ONNX model that onnxruntime can open: {_first_line(error)}",
            code="E_MODEL_INVALID",
            hint="Check that the file is complete (a git-lfs pointer is not) and is an .onnx file.",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
