"""The memory of models: pages come in ever new shapes, and a worker runs for weeks."""

from collections.abc import Callable

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from bec_orch.jobs.ldv1.bec.network import FILE
from bec_orch.jobs.shared.half_precision import HalfModel
from bec_orch.jobs.shared.model_session import ModelSession

MIB = 2**20


def grown(run: Callable[[NDArray[np.float32]], object], sides: int, seen: int) -> int:
    """Return by how many bytes the process grows over inputs of ever new shapes, after the largest and some others."""
    shapes = [(32 * height, 32 * width) for height in range(1, sides + 1) for width in range(1, sides + 1)]
    np.random.default_rng(0).shuffle(shapes)
    process = psutil.Process()
    for shape in ((32 * sides, 32 * sides), *shapes[:seen]):
        run(np.zeros((1, 1, *shape), np.float32))
    before = int(process.memory_info().rss)
    for shape in shapes[seen:160]:
        run(np.zeros((1, 1, *shape), np.float32))
    return int(process.memory_info().rss) - before


def test_onnxruntime_keeps_nothing_for_a_shape() -> None:
    assert grown(ModelSession(FILE).run, sides=20, seen=1) < 14 * MIB, "28 MiB where plans of memory are kept"


def test_openvino_keeps_nothing_for_a_shape() -> None:
    pytest.importorskip("openvino")
    assert grown(HalfModel(FILE.read_bytes(), 1).run, sides=10, seen=40) < 60 * MIB, "150 MiB where layers are kept"
