"""One decoder process, seen from the worker: started, asked, and told apart by how it ended."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import Any

from bec_orch.core.shortages import shortage_of
from bec_orch.core.wording import said
from bec_orch.errors import PageError, RetryableError
from bec_orch.jobs.decoders.memory import SharedPage
from bec_orch.jobs.decoders.messages import receive, send
from bec_orch.jobs.formats.header import Decoded, ImageHeader

PROGRAM = (sys.executable, "-P", "-m", "bec_orch.jobs.decoders.child")
START_SECONDS = 60.0
"""For Python to start and to import NumPy, on a machine that has much else to do."""


class DecoderLost(Exception):
    """The process ended, or had to be ended, in the middle of a page.

    Args:
        fault: what that says of the page.
        again: another process may fare better.
    """

    def __init__(self, fault: PageError, *, again: bool = True) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.again = again


class DecoderProcess:
    """A child process that decodes one page after the other.

    It is in a session of its own, so that Ctrl-C and the end of a terminal do not reach it before the worker has
    finished its page, and it gets none of the worker's environment, which may hold passwords. It ends with the worker,
    however that ends, because it then reads the end of its connection.

    Args:
        program: the command to run; the numbers of its socket and of the shared memory are appended.
        seconds: how long one page may take.

    Raises:
        RetryableError: no other process can be started (E_DECODER_START, or what this machine is short of).
    """

    def __init__(self, program: Sequence[str], seconds: float) -> None:
        self._seconds = seconds
        with ExitStack() as undo:
            self._memory = undo.enter_context(closing(SharedPage()))
            self._connection, theirs = socket.socketpair()
            undo.enter_context(self._connection)
            with theirs:
                self._process = _start(program, theirs.fileno(), self._memory.fileno())
            undo.pop_all()
        self._ready = False

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def decode(self, data: bytes, header: ImageHeader, reduce: int) -> Decoded:
        """Decode one page.

        Raises:
            PageError: what the decoder says of it.
            DecoderLost: the process is gone.
            RetryableError: E_DECODER_START, it never got far enough to be asked; E_MEMORY.
        """
        self._wait_ready()
        room = header.decoded_bytes(reduce)
        self._memory.put(data, room)
        asked = {"header": asdict(header), "reduce": reduce, "room": room, "size": len(data)}
        answer = self._answer({**asked, "memory": self._memory.size})
        if "shape" not in answer:
            raise PageError(answer["message"], stage="decode", code=answer["code"], hint=answer.get("hint", ""))
        return Decoded(self._memory.pixels(answer["shape"]), answer.get("assumed", ""))

    def close(self) -> None:
        """End the process, whatever it does. May be called twice."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
        self._memory.close()

    def _wait_ready(self) -> None:
        if self._ready:
            return
        self._connection.settimeout(START_SECONDS)
        try:
            receive(self._connection)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise _not_started(f"A decoder process did not start (it ended with {self._process.returncode})") from error
        self._ready = True

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._connection.settimeout(self._seconds)
        try:
            send(self._connection, request)
            return receive(self._connection)
        except TimeoutError as error:
            self.close()
            raise DecoderLost(_late(f"Decoding took longer than {self._seconds:g} s.")) from error
        except (OSError, EOFError, ValueError) as error:
            raise self._lost() from error

    def _lost(self) -> DecoderLost:
        """Return what ended the process; one that lives, but breaks the protocol, is ended."""
        try:
            ended = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            ended = 0
        self.close()
        if ended == -signal.SIGXCPU:
            return DecoderLost(_late("Decoding took more CPU time than any page may."), again=False)
        if ended == -signal.SIGKILL:
            return DecoderLost(_killed())
        return DecoderLost(_crashed(ended))


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
