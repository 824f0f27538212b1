"""A child process whose reader of documents does what the file says: how code in C goes wrong.

    python tests/support/documents_gone_wrong.py SOCKET

`crash`, `kill`, `spin`, `eat`, `bug`, `away`, `short`, `boast`, `write`. Anything else is handed back as it is.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bec_orch.jobs.decoders import document_child, limits

limits.CPU_SECONDS = 1


def spin() -> None:
    while True:
        pass


def bug() -> None:
    raise KeyError("nobody thought of it")


def away() -> None:
    raise OSError(errno.EIO, "away")


def write() -> None:
    try:
        Path(__file__).with_suffix(".written").write_bytes(b"x")
    except OSError as error:
        raise KeyError(str(error)) from error


FAULTS: dict[bytes, Callable[[], object]] = {
    b"crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"spin": spin,
    b"eat": lambda: bytearray(2**34),
    b"bug": bug,
    b"away": away,
    b"write": write,
}


def read(_request: Mapping[str, Any], file: int) -> tuple[dict[str, Any], bytes]:
    asked = os.pread(file, 100, 0)
    FAULTS.get(asked, lambda: None)()
    if asked == b"short":
        sys.stdout.flush()
        raise SystemExit(0)
    return {"size": 2**40 if asked == b"boast" else len(asked)}, asked


if __name__ == "__main__":
    document_child.serve(read, sys.argv[1:])
