"""Models in half precision: when they are taken, and that only then."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, count
from pathlib import Path

import numpy as np
import pytest

from bec_orch.errors import TaskFault
from bec_orch.jobs.shared import half_precision, model_session
from bec_orch.jobs.shared.half_precision import Batch, HalfModel, Run, half_model, is_better
from bec_orch.jobs.shared.model_session import ModelSession
from tests.unit import harmful_models as made

BATCH = np.ones((1, 1, 4, 4), np.float32)


class Clock:
    """Time that passes only while a model runs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def model(self, seconds: float, output: Batch = BATCH, first: float = 0.0) -> Run:
        """A model that takes these seconds, and on its first run some more."""
        spent = accumulate(count(), lambda *_: seconds, initial=first + seconds)

        def run(_: Batch) -> Batch:
            self.now += next(spent)
            return output

        return run


@pytest.mark.parametrize(
    ("seconds", "output", "expected"),
    [
        (0.6, BATCH, True),
        (0.6, BATCH * 1.04, True),
        (0.95, BATCH, False),
        (0.6, BATCH * 1.1, False),
        (0.6, BATCH * np.nan, False),
        (0.6, BATCH[:, :, :2], False),
    ],
)
def test_half_precision_is_taken_where_it_is_faster_and_returns_the_same(
    seconds: float,
    output: Batch,
    expected: bool,  # noqa: FBT001
) -> None:
    clock = Clock()
    assert is_better(clock.model(1.0), clock.model(seconds, output), BATCH, clock) is expected


def test_the_first_run_of_a_shape_does_not_count() -> None:
    clock = Clock()
    assert is_better(clock.model(1.0), clock.model(0.6, first=9.0), BATCH, clock)


class Doubled:
    """What stands for a model in half precision, whose output tells that it ran."""

    name = "doubled"

    def run(self, batch: Batch) -> Batch:
        return np.full((1, 1, made.PATCH, made.PATCH), 2.0, np.float32)


def test_a_session_runs_in_half_precision_only_where_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_session, "half_model", lambda *_: Doubled())
    path = made.plain(tmp_path / "m.onnx")
    page = np.zeros((1, 3, made.PATCH, made.PATCH), np.float32)
    may, may_not = ModelSession(path, may_be_half=True), ModelSession(path)
    assert (may.engine, may.run(page).max()) == ("doubled", 2)
    assert may_not.engine.startswith("onnxruntime 1.")
    assert may_not.run(page).max() == 0
    assert may.run(page, "y").max() == 0, "another output is not the one that was probed"


def test_what_is_no_number_is_noticed_in_half_precision_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoNumbers(Doubled):
        def run(self, batch: Batch) -> Batch:
            return np.full_like(super().run(batch), np.nan)

    monkeypatch.setattr(model_session, "half_model", lambda *_: NoNumbers())
    session = ModelSession(made.plain(tmp_path / "m.onnx"), may_be_half=True)
    with pytest.raises(TaskFault, match="not numbers"):
        session.run(np.zeros((1, 3, made.PATCH, made.PATCH), np.float32))


def test_without_the_package_nothing_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_precision, "find_spec", lambda _: None)
    assert half_model(b"no model at all", "0" * 64, 1, 1, lambda _: pytest.fail("it was run")) is None


@pytest.fixture
def on_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that calculates in bf16, or seems to: OpenVINO then runs bf16 models in f32."""
    pytest.importorskip("openvino")
    monkeypatch.setattr(half_precision, "_calculates_in_half", lambda: True)
    monkeypatch.setattr(half_precision, "_taken", {})


@pytest.mark.usefixtures("on_bf16")
def test_each_model_is_probed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[Batch] = []

    def better(_usual: Run, _half: Run, batch: Batch) -> bool:
        probes.append(batch)
        return True

    monkeypatch.setattr(half_precision, "is_better", better)
    data = made.plain(tmp_path / "m.onnx").read_bytes()
    for _ in range(2):
        assert half_model(data, "a" * 64, 3, 1, np.copy) is not None
    assert len(probes) == 1
    assert half_model(data, "b" * 64, 3, 1, np.copy) is not None
    assert len(probes) == 2


@pytest.mark.usefixtures("on_bf16")
def test_the_main_thread_opens_and_tries_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    class Noted(HalfModel):
        def __init__(self, data: bytes, threads_of_a_run: int) -> None:
            threads.append(threading.current_thread())
            super().__init__(data, threads_of_a_run)

    def better(*_: object) -> bool:
        threads.append(threading.current_thread())
        return True

    monkeypatch.setattr(half_precision, "HalfModel", Noted)
    monkeypatch.setattr(half_precision, "is_better", better)
    assert half_model(made.plain(tmp_path / "m.onnx").read_bytes(), "c" * 64, 3, 1, np.copy) is not None
    assert len(threads) == 2
    assert threading.main_thread() not in threads


@pytest.mark.usefixtures("on_bf16")
def test_what_it_cannot_open_is_left_to_onnxruntime() -> None:
    assert half_model(b"no model at all", "0" * 64, 1, 1, np.copy) is None


def test_its_outputs_are_those_of_onnxruntime_from_any_thread(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = made.plain(tmp_path / "m.onnx")
    model, session = HalfModel(path.read_bytes(), 1), ModelSession(path)
    rng = np.random.default_rng(1)
    pages = [rng.random((1, 3, made.PATCH, made.PATCH), np.float32) for _ in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(model.run, pages))
    for page, output in zip(pages, found, strict=True):
        np.testing.assert_allclose(output, session.run(page), atol=0.01)


def test_it_reports_to_nobody() -> None:
    pytest.importorskip("openvino")
    code = (
        "import sys; from bec_orch.jobs.shared.half_precision import _openvino; _openvino();"
        "print([name for name, module in sys.modules.items() if 'openvino_telemetry' in name and module])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert told.stdout.strip() == "[]"
