"""A signal is obeyed whenever it comes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import typer

from bec_orch.cli.process import interrupts
from bec_orch.cli.process.signals import stopping
from bec_orch.cli.process.words import OPTIONS_WITH_VALUE, code_if_interrupted
from bec_orch.cli.program import app


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Interrupts of the test's own; handlers as before."""
    monkeypatch.setattr(interrupts, "INTERRUPTS", interrupts.Interrupts())
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupt_that_was_lost_still_stops_what_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    interrupts.interrupt_once()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    asked: list[str] = []
    with stopping(asked.append, "Stopping.") as request:
        assert (asked, request.asked) == (["shutdown"], True)


def test_a_signal_within_the_block_stops_and_one_after_it_is_none_of_its_business() -> None:
    asked: list[str] = []
    with stopping(asked.append, "Stopping.") as request:
        assert not request.asked
        signal.raise_signal(signal.SIGTERM)
    assert asked == ["shutdown"]


def test_a_signal_that_comes_while_one_is_passed_on_waits_for_no_lock() -> None:
    asked: list[str] = []
    held = threading.Lock()

    def stop(reason: str) -> None:
        assert held.acquire(blocking=False), "it would wait for itself for ever"
        signal.raise_signal(signal.SIGTERM)
        asked.append(reason)
        held.release()

    with stopping(stop, "Stopping."):
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
    assert asked == ["shutdown", "shutdown"]


def listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have signals interrupt this test as they do the program."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    interrupts.interrupt_once()


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_signals_that_follow_the_first_disturb_nobody_who_closes_things(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    listen(monkeypatch)
    closed = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            signal.raise_signal(signal.SIGINT)
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert closed


def test_one_who_asks_again_after_long_interrupts_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    listen(monkeypatch)
    monkeypatch.setattr(interrupts, "_PATIENCE", 0.0)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_after_a_stop_disturb_nobody_either(monkeypatch: pytest.MonkeyPatch) -> None:
    listen(monkeypatch)
    with stopping(lambda _reason: None, "Stopping."):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


class _Interrupted:
    """Is destroyed at the very moment at which a signal comes."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_an_interrupt_that_a_destructor_swallows_comes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listen(monkeypatch)
    del [_Interrupted()][0]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        time.sleep(30)
    assert time.monotonic() - began < 25, "it did not wake the main thread"
    assert capsys.readouterr().err == ""


def test_other_exceptions_of_destructors_are_reported_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ZeroDivisionError("oops")

    listen(monkeypatch)
    del [Broken()][0]
    assert "ZeroDivisionError: oops" in capsys.readouterr().err


def program(first: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the program after a few lines of Python."""
    code = f"import atexit, os, signal, sys\n{first}\nfrom bec_orch.cli.main import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


_WHILE_IMPORTED = """
class Finder:
    def find_spec(self, name, *_):
        if name == "bec_orch.cli.{module}":
            os.kill(os.getpid(), signal.{number})
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("arguments", "module", "code"),
    [
        (["config", "show"], "program", 130),
        (["config", "show"], "setup.config", 130),
        (["--log-level", "info", "worker", "--job", "x"], "program", 0),
        (["--log-level", "info", "worker", "--job", "x"], "worker.command", 0),
        ([], "program", 130),
    ],
)
def test_a_signal_while_modules_are_imported(number: str, arguments: list[str], module: str, code: int) -> None:
    done = program(_WHILE_IMPORTED.format(module=module, number=number), *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr in {"", "Interrupted. What was finished is kept; run the same command again.\n"}


@pytest.mark.parametrize("module", ["process.interrupts", "terminal.outlets"])
@pytest.mark.parametrize(("argument", "code"), [("--version", 130), ("worker", 0)])
def test_a_ctrl_c_before_the_program_listens_leaves_no_traceback(module: str, argument: str, code: int) -> None:
    done = program(_WHILE_IMPORTED.format(module=module, number="SIGINT"), argument)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize("moment", ["exit_at_once", "end_what_hangs"])
def test_a_ctrl_c_while_the_program_begins_to_listen_leaves_no_traceback(moment: str) -> None:
    interrupted = f"interrupts.{moment} = lambda _code: signal.raise_signal(signal.SIGINT)"
    done = program(f"from bec_orch.cli.process import interrupts\n{interrupted}", "worker")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_on_the_way_out_changes_no_exit_code(number: str) -> None:
    at_exit = (
        f"def at_exit():\n    os.write(2, b'late')\n    os.kill(os.getpid(), signal.{number})\natexit.register(at_exit)"
    )
    done = program(at_exit, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("bec-orch ")
    assert done.stderr == ""


_HANGS = """
import ctypes
from bec_orch.cli import program
from bec_orch.cli.process import interrupts
interrupts._TO_CLOSE, interrupts.INTERRUPTS.grace = 0.2, 0.0
interrupts.INTERRUPTS.last_words = lambda: os.write(2, b"noted")
locks, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
def run(arguments):
    interrupts.threading.Timer(0.1, os.kill, [os.getpid(), signal.{number}]).start()
    while True:
        try:
            locks.pthread_mutex_lock(mutex)
        except KeyboardInterrupt:
            pass
program.run = run
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("arguments", "code"), [(["config", "show"], 130), (["worker"], 1)])
def test_what_hangs_where_no_signal_reaches_it_ends_all_the_same(number: str, arguments: list[str], code: int) -> None:
    done = program(_HANGS.format(number=number), *arguments)
    assert (done.returncode, done.stderr) == (code, "noted")


def test_who_asks_again_after_long_does_not_wait_for_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_PATIENCE", 0.0)
    monkeypatch.setattr(interrupts, "_ASKED_AGAIN", 0.0)
    monkeypatch.setattr(interrupts.INTERRUPTS, "grace", 1e6)
    heard, told = os.pipe()
    os.write(told, bytes([signal.SIGCHLD, signal.SIGTERM]))
    waits = threading.Thread(target=interrupts.wait_for_the_last_moment, args=(heard,), daemon=True)
    waits.start()
    while waits.is_alive():
        os.write(told, bytes([signal.SIGINT]))
        waits.join(0.01)
    os.close(told)
    os.close(heard)


def test_nohup_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    listen(monkeypatch)
    with stopping(lambda _reason: None, "Stopping.") as request:
        signal.raise_signal(signal.SIGHUP)
    assert not request.asked


def test_the_options_that_take_a_value_before_a_command_are_known() -> None:
    group = typer.main.get_command(app)
    with_value = {name for option in group.params if not getattr(option, "is_flag", False) for name in option.opts}
    assert with_value == OPTIONS_WITH_VALUE


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("worker --job x", 0),
        ("--home /x --debug worker", 0),
        ("--home=/x worker", 0),
        ("--home worker run ldv1 worker", 130),
        ("run ldv1 worker", 130),
        ("--home", 130),
        ("", 130),
    ],
)
def test_only_a_worker_ends_well_when_it_is_interrupted(line: str, code: int) -> None:
    assert code_if_interrupted(line.split()) == code
