"""Ctrl-C and SIGTERM become a request to stop at the next page boundary."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from bec_orch.cli.console import note

REASON = "shutdown"

_interrupted = threading.Event()


@dataclass
class StopRequest:
    """Whether a signal asked for the end."""

    asked: bool = False


@contextmanager
def stopping(stop: Callable[[str], None], word: str) -> Iterator[StopRequest]:
    """Within the block, turn SIGINT and SIGTERM into `stop("shutdown")`, and say `word` once.

    One that came before the block, and whose interrupt was lost, counts too.
    """
    request = StopRequest()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if not request.asked:
            note(word)
        request.asked = True
        stop(REASON)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    if _interrupted.is_set():
        handle(signal.SIGTERM, None)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_on_sigterm() -> None:
    """Let SIGTERM end the program as Ctrl-C does, so that what was opened is closed."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Python drops an exception that is raised while it destroys an object: that a signal came is not forgotten with it.
    _interrupted.set()
    signal.default_int_handler(number, frame)
