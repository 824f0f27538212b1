"""Ctrl-C, SIGTERM and SIGHUP become a request to stop at the next page boundary."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from bec_orch.cli.process import interrupts
from bec_orch.cli.terminal.console import note
from bec_orch.core.life.stop import StopReason


@dataclass
class StopRequest:
    """Whether a signal asked for the end, and whether its request is being passed on just now."""

    asked: bool = False
    passing_on: bool = False


@contextmanager
def stopping(stop: Callable[[StopReason], None], word: str) -> Iterator[StopRequest]:
    """Within the block, turn them into `stop(StopReason.SHUTDOWN)`, and say `word` once, if it is not empty.

    One that came before the block, and whose interrupt was lost, counts too.
    """
    request = StopRequest()

    def handle(_number: int, _frame: FrameType | None) -> None:
        # Signals interrupt this function, too, and `stop` holds a lock: it would wait for itself for ever.
        if request.passing_on:
            return
        request.passing_on = True
        first, request.asked = not request.asked, True
        stop(StopReason.SHUTDOWN)
        request.passing_on = False
        if first and word:
            note(word)

    before = {number: signal.signal(number, handle) for number in interrupts.heeded()}
    if interrupts.INTERRUPTS.heard.is_set():
        handle(signal.SIGTERM, None)
    try:
        yield request
    finally:
        if request.asked:
            interrupts.INTERRUPTS.deafen()  # whoever asks again while things are closed asks for the same
        for number, handler in before.items():
            signal.signal(number, handler)
