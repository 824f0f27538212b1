"""A child process that reads PDF for the worker that started it, and ends when that closes the connection.

    python -m bec_orch.jobs.decoders.document_child SOCKET

A request comes with the descriptor of the file. The answer is how many pages it has, or the size of a page's picture,
which follows. The kernel holds its limits (`limits.py`).
"""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bec_orch.core.wording import named
from bec_orch.errors import PageError
from bec_orch.jobs.decoders.limits import limit, settle
from bec_orch.jobs.decoders.messages import receive, receive_file, send
from bec_orch.jobs.formats import pdf

READING_BYTES = 512 * 2**20
"""Memory for reading a file, and for the pictures and fonts on a page, beside what drawing it takes."""

Read = Callable[[Mapping[str, Any], int], tuple[dict[str, Any], bytes]]


def serve(read: Read, arguments: Sequence[str]) -> None:
    """Answer requests until the worker is gone.

    Args:
        read: does the work of a request on a file: its answer, and the bytes that follow; may raise PageError, OSError.
        arguments: the descriptor of the socket to the worker.
    """
    connection = socket.socket(fileno=int(arguments[0]))
    settle()
    with contextlib.suppress(EOFError, ConnectionError):
        send(connection, {"ready": os.getpid()})
        while True:
            file = receive_file(connection)
            try:
                answer, data = _answer(receive(connection), file, read)
            finally:
                os.close(file)
            send(connection, answer)
            connection.sendall(data)


def _answer(request: Mapping[str, Any], file: int, read: Read) -> tuple[dict[str, Any], bytes]:
    limit(READING_BYTES)
    try:
        return read(request, file)
    except PageError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}, b""
    except OSError as error:
        return {"errno": error.errno}, b""
    except MemoryError:
        return {"code": "E_PAGE_MEMORY", "message": "The page takes more memory than its size explains."}, b""
    except Exception as error:  # noqa: BLE001  (as in the worker: what nobody thought of is this page's fault alone)
        return {"code": "E_PAGE_UNEXPECTED", "message": f"{named(error)}."}, b""


def read_pdf(request: Mapping[str, Any], file: int) -> tuple[dict[str, Any], bytes]:
    """Count the pages of a PDF, or return the picture of one."""
    if "index" not in request:
        return {"pages": pdf.count_pages(file)}, b""
    asked = (request["index"], request["dpi"], request["max_pixels"])
    data = pdf.picture(file, *asked, lambda drawing: limit(READING_BYTES + drawing))
    return {"size": len(data)}, data


if __name__ == "__main__":
    serve(read_pdf, sys.argv[1:])
