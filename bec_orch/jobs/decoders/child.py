"""A decoder process: decodes page after page for the worker that started it, and ends when that closes the connection.

    python -m bec_orch.jobs.decoders.child SOCKET MEMORY

It imports what decoding needs and nothing else. The kernel holds its limits, so that they also end code in C that runs
away: memory and CPU time are limited anew for each page, and a crash leaves no core file.
"""

import contextlib
import math
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bec_orch.core.wording import named
from bec_orch.errors import PageError
from bec_orch.jobs.decoders import decoders
from bec_orch.jobs.decoders.memory import DecoderMemory
from bec_orch.jobs.decoders.messages import receive, send
from bec_orch.jobs.formats import heif
from bec_orch.jobs.formats.header import Decoded, ImageFormat, ImageHeader, corrupt

SPARE_BYTES = 64 * 2**20
"""Memory that a page may take beyond twice its estimate: small buffers, and what the allocator keeps."""
CPU_SECONDS = 60
"""CPU time for one page. The largest that is allowed, 200 megapixels, takes 4 to 8 s in its slowest form."""

Decode = Callable[[bytes, ImageHeader, int], Decoded]


def serve(decode: Decode, arguments: Sequence[str]) -> None:
    """Answer requests until the worker is gone.

    Args:
        decode: does the work; may raise PageError.
        arguments: descriptors of the socket to the worker, and of the memory shared with it.
    """
    connection, memory = socket.socket(fileno=int(arguments[0])), DecoderMemory(int(arguments[1]))
    _settle()
    with contextlib.suppress(EOFError, ConnectionError):
        send(connection, {"ready": os.getpid()})
        while True:
            send(connection, _answer(receive(connection), memory, decode))


def _settle() -> None:
    """Leave signals to the worker, which ends this process by closing the connection; and be the first to be killed.

    A page that takes the decoder over writes no file, and starts no program (unless it is root's).
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # Linux alone has it
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))
    # What reads HEIC starts a thread, for which it lifts this limit: see `heif.decode`.
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1] if heif.is_read() else 0
    resource.setrlimit(resource.RLIMIT_NPROC, (0, most))


def _answer(request: Mapping[str, Any], memory: DecoderMemory, decode: Decode) -> dict[str, Any]:
    """Decode one page: its pixels go into the shared memory, their shape into the answer."""
    header = ImageHeader(**{**request["header"], "format": ImageFormat(request["header"]["format"])})
    memory.fit(request["memory"])
    _limit(2 * header.decoding_bytes(request["reduce"]) + request["size"] + SPARE_BYTES)
    try:
        image, assumed = decode(memory.data(request["room"], request["size"]), header, request["reduce"])
        if image.nbytes > request["room"]:
            raise corrupt(f"The image came out as an array of {image.shape}, more than its header says.")
    except PageError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}
    except MemoryError:
        return {"code": "E_PAGE_MEMORY", "message": "Decoding the page takes more memory than its size explains."}
    except Exception as error:  # noqa: BLE001  (as in the worker: what nobody thought of is this page's fault alone)
        return {"code": "E_PAGE_UNEXPECTED", "message": f"{named(error)}."}
    memory.put(image)
    return {"shape": image.shape, "assumed": assumed}


def _limit(allowance: int) -> None:
    """Limit what this process may take from now on, in memory (bytes, Linux alone) and in CPU time."""
    _set_limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + CPU_SECONDS)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        _set_limit(resource.RLIMIT_AS, pages * resource.getpagesize() + allowance)


def _set_limit(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    serve(decoders.decode, sys.argv[1:])
