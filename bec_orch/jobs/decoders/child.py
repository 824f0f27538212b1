"""A decoder process: decodes page after page for the worker that started it, and ends when that closes the connection.

    python -m bec_orch.jobs.decoders.child SOCKET MEMORY

It imports what decoding needs and nothing else, and the kernel holds its limits (`limits.py`).
"""

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bec_orch.core.wording import named
from bec_orch.errors import PageError
from bec_orch.jobs.decoders import decoders
from bec_orch.jobs.decoders.limits import SPARE_BYTES, limit, settle
from bec_orch.jobs.decoders.memory import DecoderMemory
from bec_orch.jobs.decoders.messages import receive, send
from bec_orch.jobs.formats import heif
from bec_orch.jobs.formats.header import Decoded, ImageFormat, ImageHeader, corrupt

Decode = Callable[[bytes, ImageHeader, int], Decoded]


def serve(decode: Decode, arguments: Sequence[str]) -> None:
    """Answer requests until the worker is gone.

    Args:
        decode: does the work; may raise PageError.
        arguments: descriptors of the socket to the worker, and of the memory shared with it.
    """
    connection, memory = socket.socket(fileno=int(arguments[0])), DecoderMemory(int(arguments[1]))
    # What reads HEIC starts a thread, for which it lifts this limit: see `heif.decode`.
    settle(resource.getrlimit(resource.RLIMIT_NPROC)[1] if heif.is_read() else 0)
    with contextlib.suppress(EOFError, ConnectionError):
        send(connection, {"ready": os.getpid()})
        while True:
            send(connection, _answer(receive(connection), memory, decode))


def _answer(request: Mapping[str, Any], memory: DecoderMemory, decode: Decode) -> dict[str, Any]:
    """Decode one page: its pixels go into the shared memory, their shape into the answer."""
    header = ImageHeader(**{**request["header"], "format": ImageFormat(request["header"]["format"])})
    memory.fit(request["memory"])
    limit(2 * header.decoding_bytes(request["reduce"]) + request["size"] + SPARE_BYTES)
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


if __name__ == "__main__":
    serve(decoders.decode, sys.argv[1:])
