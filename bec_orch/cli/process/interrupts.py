"""Ctrl-C and SIGTERM, at every moment of a process: each interrupts it once, and no number of them changes how it ends.

While modules are imported, nothing is open: the process ends at once. Then the first signal raises KeyboardInterrupt,
so that what was opened is closed, and those that follow it disturb nobody who is closing things. At last, when the
exit code is known, the process ends without Python's own way out, which waits for threads that nobody needs any more
and lets signals change the exit code.
"""

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    # The argument of `sys.unraisablehook`, which exists for type checkers alone.
    from sys import UnraisableHookArgs

EXIT_INTERRUPTED = 130

# Seconds. Who asks again after so long is not nervous: what is being closed hangs.
_PATIENCE = 20.0
# Seconds until an interrupt that was lost comes again, in the main thread, where no destructor runs any more.
_AGAIN_AFTER = 0.05


class Interrupts:
    """What this process heard so far."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self._deaf_until = 0.0

    def deafen(self) -> None:
        """Take the signals that follow for the same wish as the one that was just obeyed."""
        self._deaf_until = time.monotonic() + _PATIENCE

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt at the first signal."""
        if time.monotonic() >= self._deaf_until:
            self.heard.set()
            self.deafen()
            raise KeyboardInterrupt

    def lost(self, lost: "UnraisableHookArgs") -> None:
        """Have an interrupt come again: Python drops an exception that is raised while it destroys an object."""
        if lost.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(lost)
            return
        self._deaf_until = 0.0
        again = threading.Timer(_AGAIN_AFTER, signal.raise_signal, [signal.SIGINT])
        again.daemon = True
        again.start()


INTERRUPTS = Interrupts()
"""Those of this process."""


def exit_at_once(code: int) -> None:
    """From now on, have SIGINT and SIGTERM end the process with this code: there is nothing to close."""

    def end(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    _listen(end)


def interrupt_once() -> None:
    """From now on, have the first SIGINT or SIGTERM raise KeyboardInterrupt."""
    sys.unraisablehook = INTERRUPTS.lost
    _listen(INTERRUPTS.handle)


def leave(code: int) -> NoReturn:
    """End the process with this code, now: all that it opened is closed, and all that it printed is printed."""
    os._exit(code)


def _listen(handler: "signal._HANDLER") -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell has what it runs in the background ignore Ctrl-C.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
