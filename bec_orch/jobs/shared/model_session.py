"""ONNX models run by onnxruntime, or in half precision by OpenVINO: opened once, shared by threads, named by digest."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.wording import said
from bec_orch.errors import ConfigError, TaskFault
from bec_orch.jobs.shared.half_precision import HalfModel, half_model
from bec_orch.jobs.shared.model_files import digest_of, invalid_model, read_model

# From 1.29 on it writes an id of the machine below ~/.cache and reports to its maker, unless it is told so before it is
# loaded (its Privacy.md, "Disabling Telemetry"). This is the one place that loads it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

onnxruntime.set_default_logger_severity(4)  # fatal only: all else comes as an error, or is about graphs

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .*? failed:)?")


class ModelSession:
    """One ONNX model with one input and one output (or the first of several), ready to run from any thread.

    Args:
        path: the ONNX file.
        threads: intra-op threads of each run. 1 is best when every core has its own caller: two callers of one
            thread do 21.9 pages/s where one caller of two threads does 19.0.
        may_be_half: it may run in half precision, where that is faster (`half_precision`).

    Raises:
        ConfigError: the file is missing (E_MODEL_NOT_FOUND), or onnxruntime cannot open it, or it has not one input
            (E_MODEL_INVALID).
    """

    def __init__(self, path: Path, threads: int = 1, *, may_be_half: bool = False) -> None:
        self.path = path
        data = read_model(path)
        self.digest = digest_of(data)
        self._session = _open_session(path, data, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or not outputs:
            raise invalid_model(path, f"has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")
        self._input_name: str = inputs[0].name
        self.input_shape: list[Any] = inputs[0].shape
        self.output_shape: list[Any] = outputs[0].shape
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.on_gpu = self._session.get_providers()[0] != "CPUExecutionProvider"
        self._half = self._in_half(data, threads) if may_be_half and not self.on_gpu else None
        self.engine = self._half.name if self._half else f"onnxruntime {onnxruntime.__version__}"

    def run(self, batch: NDArray[np.float32], output_name: str | None = None) -> NDArray[np.float32]:
        """Run the model on one batch and return its first output, or the one of that name.

        Raises:
            ConfigError: the output is not an array of numbers (E_MODEL_INVALID).
            TaskFault: it holds NaN (E_MODEL_NAN): taken as it is, it would be a page without text.
        """
        if self._half and output_name is None:
            return self._checked(self._half.run(batch))
        return self._checked(self._in_full(batch, output_name))

    def _in_full(self, batch: NDArray[np.float32], output_name: str | None = None) -> NDArray[np.float32]:
        wanted = [output_name] if output_name else None
        output: NDArray[np.float32] = self._session.run(wanted, {self._input_name: batch})[0]
        return output

    def _in_half(self, data: bytes, threads: int) -> HalfModel | None:
        channels = self.input_shape[1] if len(self.input_shape) == len("NCHW") else None
        if not isinstance(channels, int):
            return None
        return half_model(data, self.digest, channels, threads, self._in_full)

    def _checked(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        if not isinstance(output, np.ndarray) or output.dtype.kind != "f" or output.size == 0:
            raise invalid_model(self.path, "gives no array of numbers")
        # The maximum is NaN where any value is, and is found in half the time.
        if np.isnan(output.max()):
            raise TaskFault(
                f"The model '{self.path}' returned values that are not numbers.",
                code="E_MODEL_NAN",
                hint="Check that the model is the one that is meant, and whole: `model_sha256` pins it.",
            )
        return output

    def require_image_input(self) -> None:
        """Refuse a model whose input or output is not a stack of pictures.

        Raises:
            ConfigError: E_MODEL_INVALID.
        """
        for side, shape in (("input", self.input_shape), ("output", self.output_shape)):
            if len(shape) != len("NCHW"):
                axes = " x ".join(map(str, shape)) or "no shape"
                raise ConfigError(
                    f"The model '{self.path}' has an {side} of {axes}, not of four axes (N, C, H, W).",
                    code="E_MODEL_INVALID",
                    hint="Name a model that marks text lines in pictures.",
                )


def _open_session(path: Path, data: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A plan of memory for each shape of input is kept for ever, and pages have thousands: over 80 shapes a process
    # takes 900 MB with them and 600 without. A model alone takes the same time, the pipeline a twentieth more.
    options.enable_mem_pattern = False
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        # From its bytes: these were hashed, and a model without a path can name no weights in other files.
        return onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no base class but Exception
        words = words_of(error)
        if "external data" in words.lower():
            # In these words too stands where onnxruntime looked for it.
            raise invalid_model(path, "keeps weights in another file, and a model is one file") from error
        raise invalid_model(path, f"is not an ONNX model that onnxruntime can open: {words}") from error


def words_of(error: Exception) -> str:
    """Return what onnxruntime says of a model, without its own codes."""
    return _PREFIX.sub("", said(error))
