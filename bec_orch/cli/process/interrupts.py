"""Signals that ask for the end, at every moment of a process: each interrupts it once, and none changes how it ends.

While modules are imported, nothing is open: the process ends at once. Then the first signal raises KeyboardInterrupt,
so that what was opened is closed, and those that follow it disturb nobody who is closing things. At last, when the
exit code is known, the process ends without Python's own way out, which waits for threads that nobody needs any more
and lets signals change the exit code.

None of that helps where a thread hangs in the kernel: a share that went away, a library that waits for nothing. So a
thread hears of signals by itself, and ends the process when the first one is older than all that a stop may take.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    # The argument of `sys.unraisablehook`, which exists for type checkers alone.
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that ask for the end: Ctrl-C, a service manager, a terminal that was closed."""

# Seconds. A signal after this long is not impatience: what is being closed hangs.
_PATIENCE = 20.0
# Seconds until an interrupt that was lost comes again, in the main thread, where no destructor runs any more.
_AGAIN_AFTER = 0.05
# Seconds to the end of what hangs: after the first signal, beyond the grace, for closing what is open (the embedded
# database has 60); and after one that asks again when its sender had patience.
_TO_CLOSE = 75.0
_ASKED_AGAIN = 30.0
_USUAL_GRACE = 90.0
# Who is told that the process ends now has so many seconds: the disk where that is noted may be what hangs.
_LAST_WORDS = 1.0


class Interrupts:
    """What this process heard so far."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self.grace = _USUAL_GRACE
        self.last_words: Callable[[], None] | None = None
        self._deaf_until = 0.0

    def deafen(self) -> None:
        """Treat the signals that follow as repeats of the one that was just obeyed."""
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
        # Raised in the timer's own thread, it would not wake the main one from what it waits for.
        again = threading.Timer(_AGAIN_AFTER, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
        again.daemon = True
        again.start()


INTERRUPTS = Interrupts()
"""Those of this process."""


def exit_at_once(code: int) -> None:
    """From now on, have the signals end the process with this code: there is nothing to close."""

    def end(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    _listen(end)


def interrupt_once() -> None:
    """From now on, have the first signal raise KeyboardInterrupt."""
    sys.unraisablehook = INTERRUPTS.lost
    _listen(INTERRUPTS.handle)


def end_what_hangs(code: int) -> None:
    """From now on, have a thread end the process some time after a signal, if it still runs then."""
    heard, told = os.pipe()
    os.set_blocking(told, False)
    # By this Python tells of a signal also while its main thread is in native code, and runs no handler.
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    # Where no thread can be started, that is told as soon as somebody needs one.
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=_watch, args=(heard, code), name="last-resort", daemon=True).start()


def say_last_words() -> None:
    """Have the end of this process, which hangs, be noted as such, if that does not hang, too."""
    if INTERRUPTS.last_words:
        last = threading.Thread(target=INTERRUPTS.last_words, daemon=True)
        last.start()
        last.join(_LAST_WORDS)


def _watch(heard: int, code: int) -> None:
    wait_for_the_last_moment(heard)
    say_last_words()
    leave(code)


def wait_for_the_last_moment(heard: int) -> None:
    """Return when the first of the signals whose numbers come through a descriptor is older than a stop may take."""
    while not _asked(heard, None):
        pass
    first = time.monotonic()
    end_by = first + INTERRUPTS.grace + _TO_CLOSE
    while (left := end_by - time.monotonic()) > 0:
        if _asked(heard, left) and time.monotonic() - first >= _PATIENCE:
            end_by = min(end_by, time.monotonic() + _ASKED_AGAIN)


def _asked(heard: int, within: float | None) -> bool:
    """Wait for signals, and return whether one of them asks for the end."""
    if not select.select([heard], [], [], within)[0]:
        return False
    return not set(SIGNALS).isdisjoint(os.read(heard, select.PIPE_BUF))


def leave(code: int) -> NoReturn:
    """End the process with this code, now: all that it opened is closed, and all that it printed is printed."""
    os._exit(code)


def heeded() -> Iterator[signal.Signals]:
    """Yield the signals that are not to be passed over: a shell has background jobs ignore Ctrl-C, `nohup` SIGHUP."""
    yield from (number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)


def _listen(handler: "signal._HANDLER") -> None:
    for number in heeded():
        signal.signal(number, handler)
