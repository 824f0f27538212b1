"""Models that are made to do harm, met by a worker that is to use them: each is told, and the worker lives."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bec_orch.errors import BecError, ConfigError, RetryableError, TaskFault
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.ocrv1.worker import Ocrv1Worker
from bec_orch.jobs.shared import model_files, trial
from bec_orch.jobs.shared.model_files import read_model
from bec_orch.jobs.shared.model_session import ModelSession
from tests.unit import harmful_models as made
from tests.unit.fakes import resources

NETWORK = 17
"""The place of the network among the components of a language."""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = {"patch_size": made.PATCH, "onnx-model": "lines.onnx"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def opened(folder: Path) -> Ldv1Worker:
    return Ldv1Worker.create({"model": str(folder)}, resources())


def test_a_sound_model_is_opened(folder: Path) -> None:
    made.plain(folder / "lines.onnx")
    opened(folder).close()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (made.not_numbers, "returned values that are not numbers"),
        (made.smaller_map, "gives 1 x 1 x 32 x 32 for 1 tiles of 64 pixels"),
        (made.of_whole_numbers, "expected: (tensor(int64))"),
        (made.of_two_inputs, "has 2 inputs and 1 outputs, not one of each"),
        (made.without_outputs, "has 1 inputs and 0 outputs, not one of each"),
        (made.of_an_unknown_domain, "evil.org"),
        (made.of_all_memory, "cannot be used: Fail"),
        (lambda path: path.write_bytes(made.plain(path).read_bytes()[:-20]), "an ONNX model"),
        (lambda path: path.write_text("hello\n" * 50), "an ONNX model"),
        (
            lambda path: path.write_bytes(b"\x08\x08\x3a\xff\xff\xff\xff\x0b" + bytes(99)),
            "an ONNX model",
        ),
        (lambda path: path.write_bytes(b""), "has 0 bytes"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_by_name(
    folder: Path, make: Callable[[Path], object], told: str
) -> None:
    make(folder / "lines.onnx")
    with pytest.raises(ConfigError) as caught:
        opened(folder)
    assert caught.value.code == "E_MODEL_INVALID"
    assert told in caught.value.message
    assert str(folder) in caught.value.message
    assert caught.value.hint


def test_a_graph_that_never_ends_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "CPU_SECONDS", 3)
    made.without_end(folder / "lines.onnx")
    with pytest.raises(ConfigError, match="took more than 3 s of CPU time") as caught:
        opened(folder)
    assert caught.value.code == "E_MODEL_INVALID"


def test_a_graph_that_is_not_ready_in_time_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.01)
    made.plain(folder / "lines.onnx")
    with pytest.raises(ConfigError, match=r"was not ready in 0\.01 s"):
        opened(folder)


@pytest.mark.parametrize("file", ["beside.bin", "../outside.bin", "/etc/hostname", "link.bin", "missing.bin", "pipe"])
def test_weights_in_other_files_are_not_read(folder: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "beside.bin").write_bytes(bytes(16))
    (folder.parent / "outside.bin").write_bytes(bytes(16))
    (folder / "link.bin").symlink_to(folder.parent / "outside.bin")
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    path = made.with_weights_in(folder / "lines.onnx", file)
    with pytest.raises(ConfigError, match="keeps weights in another file") as caught:
        opened(folder)
    assert caught.value.code == "E_MODEL_INVALID"
    assert str(path) in caught.value.message


def test_weights_that_are_said_to_be_huge_are_not_made(folder: Path) -> None:
    (folder / "beside.bin").write_bytes(bytes(16))
    made.with_weights_in(folder / "lines.onnx", "beside.bin", 2**40)
    with pytest.raises(ConfigError, match="keeps weights in another file"):
        opened(folder)


def test_values_that_are_no_numbers_are_a_fault_of_the_task_and_no_empty_page(tmp_path: Path) -> None:
    session = ModelSession(made.not_numbers(tmp_path / "m.onnx"))
    with pytest.raises(TaskFault) as caught:
        session.run(np.zeros((1, 3, made.PATCH, made.PATCH), np.float32))
    assert caught.value.code == "E_MODEL_NAN"
    assert str(tmp_path) in caught.value.message


@pytest.mark.parametrize("kind", ["pipe", "folder", "nothing"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.onnx"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(ConfigError) as caught:
        read_model(path)
    assert caught.value.code == "E_MODEL_NOT_FOUND"


def test_a_model_of_gigabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "MOST_BYTES", 10)
    (tmp_path / "m.onnx").write_bytes(bytes(11))
    with pytest.raises(ConfigError, match="has 11 bytes") as caught:
        read_model(tmp_path / "m.onnx")
    assert caught.value.code == "E_MODEL_INVALID"


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], BecError]:
    """Try a model with a child of our own making; returns what is said of it."""

    def tried(code: str) -> BecError:
        (tmp_path / "odd_child.py").write_text(f"import os, signal, resource\n{code}\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(BecError) as caught:
            trial.try_model("odd_child", "The model 'm'", tmp_path, {})
        return caught.value

    return tried


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "(SIGSEGV)"),
        ("os.abort()", "(SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the system killed it"),
        ("os._exit(7)", "(exit code 7)"),
        ("print('no JSON')", "(exit code 0)"),
        ("print('[]')", "(exit code 0)"),
        ("resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); open('x', 'w').write('x')", "exit code"),
        ('print(\'{"fault": "it is odd"}\')', "cannot be used: it is odd."),
    ],
)
def test_however_the_trial_ends_it_is_reported(child: Callable[[str], BecError], code: str, told: str) -> None:
    error = child(code)
    assert error.code == "E_MODEL_INVALID"
    assert error.message.startswith("The model 'm' ")
    assert told in error.message


def test_what_the_child_says_in_our_words_is_reported_as_it_is(child: Callable[[str], BecError]) -> None:
    error = child('print(\'{"message": "It is odd.", "code": "E_ODD", "hint": "Mend it."}\')')
    assert (error.message, error.code, error.hint) == ("It is odd.", "E_ODD", "Mend it.")


def test_a_trial_gets_nothing_of_the_environment(
    child: Callable[[str], BecError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", "hush")
    error = child("import json; print(json.dumps({'fault': ' '.join(os.environ)}))")
    assert "BEC_SQL_PASSWORD" not in error.message


def test_a_machine_without_room_for_a_process_is_no_fault_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(RetryableError) as caught:
        trial.try_model("odd_child", "The model 'm'", tmp_path, {})
    assert caught.value.code == "E_MODEL_TRIAL"


class TestTraineddata:
    @pytest.fixture
    def parts(self, shared_data: Path) -> dict[int, bytes]:
        return made.components((shared_data / "models" / "tessdata" / "bod.traineddata").read_bytes())

    def refused(self, path: Path, data: bytes) -> ConfigError:
        path.write_bytes(data)
        with pytest.raises(ConfigError) as caught:
            Ocrv1Worker.create({"tessdata": str(path)}, resources())
        assert caught.value.code == "E_MODEL_INVALID"
        assert str(path) in caught.value.message
        return caught.value

    def test_a_config_that_changes_no_more_than_texts_is_taken(self, parts: dict[int, bytes], tmp_path: Path) -> None:
        path = tmp_path / "bod.traineddata"
        path.write_bytes(made.traineddata({**parts, 0: b"# a comment\npreserve_interword_spaces 1\n"}))
        Ocrv1Worker.create({"tessdata": str(path)}, resources()).close()

    def test_no_file_is_written_by_opening_a_language(self, parts: dict[int, bytes], tmp_path: Path) -> None:
        left = tmp_path / "left"
        config = f"tessedit_write_params_to_file {left}\n".encode()
        error = self.refused(tmp_path / "bod.traineddata", made.traineddata({**parts, 0: config}))
        assert "sets Tesseract's variable `tessedit_write_params_to_file`" in error.message
        assert not left.exists()

    def test_a_language_that_ends_its_process_is_reported(self, parts: dict[int, bytes], tmp_path: Path) -> None:
        network = bytearray(parts[NETWORK])
        # How much the first part of the network gives: Tesseract aborts when the next one does not take as much.
        network[60:64] = (7).to_bytes(4, "little")
        error = self.refused(tmp_path / "bod.traineddata", made.traineddata({**parts, NETWORK: bytes(network)}))
        assert "ended the process that tried it (SIGABRT)" in error.message
