"""A decoder process whose decoder does what the last line of the page's bytes says: how code in C goes wrong.

    python tests/support/decoders_gone_wrong.py SOCKET MEMORY

`crash`, `kill`, `exit`, `lie`, `hang`, `spin`, `eat`, `bug`, `environment`, `write`, `fork`; with a file's name behind
it, only while there is no such file. Anything else is a good page.
"""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bec_orch.errors import PageError
from bec_orch.jobs.decoders import child as decoder_child
from bec_orch.jobs.decoders import limits
from bec_orch.jobs.formats.header import Decoded, ImageHeader

limits.CPU_SECONDS = 1


def spin() -> None:
    while True:
        pass


def eat() -> None:
    bytearray(2**34)


def bug() -> None:
    raise KeyError("nobody thought of it")


def tell_environment() -> None:
    raise PageError(" ".join(sorted(os.environ)), stage="decode")


DOES: dict[bytes, Callable[[], object]] = {
    b"crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"exit": lambda: os._exit(3),
    b"lie": lambda: os.write(int(sys.argv[1]), b"\xff" * 100),
    b"hang": threading.Event().wait,
    b"spin": spin,
    b"eat": eat,
    b"bug": bug,
    b"environment": tell_environment,
    # Tries folder after folder by writing a file there.
    b"write": tempfile.gettempdir,
    b"fork": os.fork,
}


def decode(data: bytes, header: ImageHeader, reduce: int) -> Decoded:
    word, _, file = data.rpartition(b"\n")[2].partition(b" ")
    if word in DOES and not (file and Path(file.decode()).exists()):
        if file:
            Path(file.decode()).touch()
        DOES[word]()
    return Decoded(np.full((-(-header.height // reduce), -(-header.width // reduce)), len(data) % 256, np.uint8))


if __name__ == "__main__":
    decoder_child.serve(decode, sys.argv[1:])
