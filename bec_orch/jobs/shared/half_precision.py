"""Models in half precision (bf16) on processors that calculate in it, by OpenVINO where that is installed.

onnxruntime calculates in f32 on CPUs, and OpenVINO is no faster there. In bf16 it takes 0.6 of the time, and moves the
probabilities of line models by some hundredths at most. Whether it is taken is decided for each model, by a probe.
"""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from threading import Lock, local
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Batch: TypeAlias = NDArray[np.float32]
Run: TypeAlias = Callable[[Batch], Batch]

PACKAGE = "openvino"
PROBE_SIDES = 192, 960
PROBE_ROUNDS = 3
WORTH = 0.9
"""Half precision is taken where it needs at most this share of the processor's time..."""
SAME = 0.05
"""... and its output is off by at most this share of the output's mean size, as a mean over all values."""
SHAPES_KEPT = 0
"""OpenVINO's default keeps what it compiled for 5,000 layers of given shapes, and pages come in thousands of shapes: a
process grows from 400 to 880 MB over 240 of them. Keeping none takes a tenth more time on a page whose shape is not
that of the page before it, and no more on others."""

_taken: dict[str, bool] = {}
_probing = Lock()


class HalfModel:
    """A model compiled for bf16. Any thread may run it, each with a workspace of its own.

    Args:
        data: the ONNX file.
        threads: threads of one run.

    Raises:
        RuntimeError: OpenVINO cannot read or compile it.
    """

    def __init__(self, data: bytes, threads: int) -> None:
        openvino = _openvino()
        # Its first tensor makes what all share: two threads that make theirs at once wait for each other for ever.
        openvino.Tensor(np.zeros(1, np.float32))
        core = openvino.Core()
        callers = os.cpu_count() or 1
        wanted = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "NUM_STREAMS": callers,
            "INFERENCE_NUM_THREADS": callers * threads,
            "CPU_RUNTIME_CACHE_CAPACITY": SHAPES_KEPT,
        }
        self.name = f"{PACKAGE} {version(PACKAGE)}, bf16"
        self._compiled = core.compile_model(core.read_model(BytesIO(data)), "CPU", wanted)
        self._of_thread = local()

    def run(self, batch: Batch) -> Batch:
        """Return the first output for one batch."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        # A copy: the request writes its next output into the same memory.
        return np.array(self._of_thread.request.infer({0: batch}, share_inputs=True)[0], np.float32)


def half_model(data: bytes, digest: str, channels: int, threads: int, usual: Run) -> HalfModel | None:
    """Return a model compiled for bf16 where this machine is faster with it, and its output the same but for rounding.

    The probe takes half a second, once for each model and process.

    Args:
        data: the ONNX file.
        digest: its SHA-256.
        channels: of its input.
        threads: threads of one run.
        usual: runs the same model in f32.
    """
    if not _calculates_in_half():
        return None
    # In a thread of its own: the state that bf16 leaves in one can make it die of the next signal (SIGSEGV), if a
    # library gave it an alternate stack; and Python hears of signals in the main thread. What OpenVINO cannot open or
    # run is onnxruntime's.
    with suppress(RuntimeError), _probing, ThreadPoolExecutor(1) as away:
        return away.submit(_tried, data, digest, channels, threads, usual).result()
    return None


def _tried(data: bytes, digest: str, channels: int, threads: int, usual: Run) -> HalfModel | None:
    model = HalfModel(data, threads)
    if digest not in _taken:
        noise = np.random.default_rng(0).standard_normal((1, channels, *PROBE_SIDES), dtype=np.float32)
        _taken[digest] = is_better(usual, model.run, noise)
    return model if _taken[digest] else None


def is_better(usual: Run, half: Run, batch: Batch, clock: Callable[[], float] = time.process_time) -> bool:
    """Return whether a model in half precision is faster on a batch, and returns the same.

    Both are run once before, as the first run of a shape takes longer, and then in turn; the fastest of each counts.
    Time is that of the processor: who else is on the machine does not decide.
    """
    expected, found = usual(batch), half(batch)
    if found.shape != expected.shape or not np.abs(found - expected).mean() <= SAME * np.abs(expected).mean():
        return False
    times: list[list[float]] = [[], []]
    for _ in range(PROBE_ROUNDS):
        for run, spent in zip((usual, half), times, strict=True):
            started = clock()
            run(batch)
            spent.append(clock() - started)
    return min(times[1]) <= WORTH * min(times[0])


def _calculates_in_half() -> bool:
    if find_spec(PACKAGE) is None:
        return False
    with suppress(ImportError, RuntimeError):  # built for another machine, or no CPU plugin
        return "BF16" in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return False


def _openvino() -> Any:
    # On import it reports to its maker by this package, where that is installed. This is the one place that loads it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None forbids the import
    import openvino  # noqa: PLC0415  (a second, and an optional package)

    return openvino
