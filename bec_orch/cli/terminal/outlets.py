"""stdout and stderr, so that nobody who reads them, or does not, holds the program up or changes its exit code.

Where the reader is gone (`bec ... | head`), what is written goes nowhere. Where a reader of stderr takes nothing for a
while, lines are dropped until it does, and their size is reported: a worker whose log nobody reads goes on working, and
ends when it is told to.
"""

import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT, _STDERR = 1, 2
# Seconds that a reader of stderr is waited for. Threads wait one after the other, so it must be far below a lease.
_PATIENCE = 3.0


class Outlet(io.RawIOBase):
    """Writes to a descriptor what its reader takes.

    Args:
        descriptor: where to write; it stays open.
        patience: seconds that a reader which takes nothing is waited for; None: forever, or until a signal comes.
    """

    def __init__(self, descriptor: int, patience: float | None) -> None:
        self._descriptor = descriptor
        self._patience = patience
        self._gone = False
        self._dropped = 0

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True: it can be written to."""
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of it, or drop what nobody takes."""
        view = memoryview(data)
        left = view
        while left and self._is_taken():
            # As much as a pipe that takes anything takes at once.
            left = left[self._put(left[: select.PIPE_BUF]) :]
        self._dropped += len(left)
        return len(view)

    def _put(self, part: memoryview) -> int:
        try:
            return os.write(self._descriptor, part)
        except BrokenPipeError:
            self._gone = True
            return 0

    def _is_taken(self) -> bool:
        if self._gone or self._patience is None:
            return not self._gone
        if not _is_ready(self._descriptor, 0.0 if self._dropped else self._patience):
            return False
        if self._dropped:
            told, self._dropped = f"\n[{self._dropped} bytes were dropped here: nobody read them]\n", 0
            self._put(memoryview(told.encode()))
        return not self._gone


def install() -> None:
    """Have this process write its stdout and stderr through outlets. Those that are closed go nowhere."""
    _occupy_standard_descriptors()
    # Not buffered: a signal's handler may say something while a line is being written.
    sys.stderr = io.TextIOWrapper(
        Outlet(_STDERR, _PATIENCE), _encoding(sys.stderr), "backslashreplace", write_through=True
    )
    stdout = Outlet(_STDOUT, None)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(stdout), _encoding(sys.stdout), "strict", line_buffering=stdout.isatty()
    )


def _occupy_standard_descriptors() -> None:
    # Else the next file that is opened gets the number, and what is printed.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _encoding(before: TextIO | None) -> str:
    return before.encoding if before else "utf-8"


def _is_ready(descriptor: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    return bool(poller.poll(seconds * 1000))
