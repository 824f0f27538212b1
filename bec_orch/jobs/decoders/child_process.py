"""A child process that reads hostile files, seen from the worker: started, asked, and told apart by how it ended."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bec_orch.core.shortages import shortage_of
from bec_orch.core.wording import said
from bec_orch.errors import PageError, RetryableError
from bec_orch.jobs.decoders.messages import receive, send, send_file

START_SECONDS = 60.0
"""For Python to start and to import what it needs, on a machine that has much else to do."""


class ChildLost(Exception):
    """The process ended, or had to be ended, in the middle of a page.

    Args:
        fault: what that says of the page.
        again: another process may fare better.
    """

    def __init__(self, fault: PageError, *, again: bool = True) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.again = again


class ChildProcess:
    """A child process that answers one request after the other.

    It is in a session of its own, so that Ctrl-C and the end of a terminal do not reach it before the worker has
    finished its page, and it gets none of the worker's environment, which may hold passwords. It ends with the worker,
    however that ends, because it then reads the end of its connection.

    Args:
        program: the command to run; the numbers of its socket and of the files are appended.
        seconds: how long one request may take.
        files: descriptors that it inherits.

    Raises:
        RetryableError: no other process can be started (E_DECODER_START, or what this machine is short of).
    """

    def __init__(self, program: Sequence[str], seconds: float, *files: int) -> None:
        self._seconds = seconds
        self.connection, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _start(program, theirs.fileno(), *files)
        except BaseException:
            self.connection.close()
            raise
        self._ready = False

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process, whatever it does. May be called twice."""
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def wait_ready(self) -> None:
        """Wait until it can be asked.

        Raises:
            RetryableError: E_DECODER_START, it never got so far.
        """
        if self._ready:
            return
        self.connection.settimeout(START_SECONDS)
        try:
            receive(self.connection)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise _not_started(f"A decoder process did not start (it ended with {self._process.returncode})") from error
        self._ready = True

    def ask(self, request: Mapping[str, Any], *files: int) -> dict[str, Any]:
        """Send a request, after the files that it is about, and return the answer.

        Raises:
            ChildLost: the process is gone.
        """
        self.connection.settimeout(self._seconds)
        try:
            for file in files:
                send_file(self.connection, file)
            send(self.connection, request)
            return receive(self.connection)
        except TimeoutError as error:
            raise self.late() from error
        except (OSError, EOFError, ValueError) as error:
            raise self.lost() from error

    def late(self) -> ChildLost:
        """End the process, which takes too long, and return the error that says so."""
        self.close()
        return ChildLost(_late(f"Decoding took longer than {self._seconds:g} s."))

    def lost(self) -> ChildLost:
        """Return what ended the process; one that lives, but breaks the protocol, is ended."""
        try:
            ended = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            ended = 0
        self.close()
        if ended == -signal.SIGXCPU:
            return ChildLost(_late("Decoding took more CPU time than any page may."), again=False)
        if ended == -signal.SIGKILL:
            return ChildLost(_killed())
        return ChildLost(_crashed(ended))


def _start(program: Sequence[str], *files: int) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # nosec B603  # noqa: S603  (the program is ours)
            [*program, *map(str, files)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=files,
            start_new_session=True,
            # Every core has a process of its own: threads of NumPy's would only cost address space.
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"},
        )
    except OSError as error:
        fault = _not_started(f"A decoder process could not be started: {said(error)}")
        raise shortage_of(error) or fault from error


def _not_started(what: str) -> RetryableError:
    return RetryableError(
        f"{what}.",
        code="E_DECODER_START",
        hint="See whether memory and processes are left; `python -m bec_orch.jobs.decoders.child` says more.",
    )


def _late(message: str) -> PageError:
    return PageError(message, stage="time", code="E_PAGE_TIMEOUT", hint="Look at the page: it may be made to do this.")


def _killed() -> PageError:
    return PageError(
        "The system killed the process that decoded the page, as it does when memory runs out.",
        stage="decode",
        code="E_PAGE_MEMORY",
        hint="Lower the memory budget or the number of threads, or take a larger machine.",
    )


def _crashed(ended: int) -> PageError:
    how = f"by {signal.Signals(-ended).name}" if ended < 0 else f"with exit code {ended}"
    return PageError(
        f"The process that decoded the page ended {how}.",
        stage="decode",
        code="E_PAGE_CRASH",
        hint="Report it, with the page.",
    )
