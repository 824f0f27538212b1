"""Documents read in child processes: PDF is a language, and its readers are code in C."""

import errno
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from bec_orch.core.extras import optional_packages, package_folder
from bec_orch.core.ports.sources import Documents
from bec_orch.core.wording import said
from bec_orch.errors import PageError, StorageError, extra_hint
from bec_orch.jobs.decoders.child_process import ChildProcess
from bec_orch.jobs.decoders.children import SECONDS, Children
from bec_orch.jobs.decoders.messages import exactly

PROGRAM = (sys.executable, "-P", "-m", "bec_orch.jobs.decoders.document_child")
MAX_PIXELS = 200_000_000
"""As many as a page image of any kind may have (`images.DEFAULT_MAX_PIXELS`)."""
MAX_BYTES = 512 * 2**20
"""The largest picture of a page that is taken from a child."""


class DocumentProcess(ChildProcess):
    """A child process that reads one document after the other."""

    def read(self, file: int, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Send a request about a file; return the answer, and the bytes that follow it.

        Raises:
            PageError: what the child says of the document or page.
            StorageError: the file could not be read.
            ChildLost: the process is gone.
            RetryableError: E_DECODER_START, it never got far enough to be asked.
        """
        self.wait_ready()
        answer = self.ask(request, file)
        if "code" in answer:
            raise PageError(answer["message"], stage="decode", code=answer["code"], hint=answer.get("hint", ""))
        if "errno" in answer:
            fault = OSError(answer["errno"] or errno.EIO, os.strerror(answer["errno"] or errno.EIO))
            raise StorageError(f"The PDF could not be read: {said(fault)}.", hint="Look at its disk, or its mount.")
        return answer, self._data(answer.get("size", 0))

    def _data(self, size: int) -> bytes:
        try:
            if size > MAX_BYTES:
                raise ValueError(f"a picture of {size} bytes")
            return exactly(self.connection, size)
        except TimeoutError as error:
            raise self.late() from error
        except (OSError, EOFError, ValueError) as error:
            raise self.lost() from error


class DocumentPool(Documents):
    """Reads documents in child processes, one for each core at a time. Any thread may call it.

    Args:
        program: the command of a child.
        seconds: how long one page may take, by the clock.
    """

    def __init__(self, program: Sequence[str] = PROGRAM, seconds: float = SECONDS) -> None:
        self._children = Children(lambda: DocumentProcess(program, seconds))
        self._cores = threading.BoundedSemaphore(os.cpu_count() or 1)

    @override
    def count_pages(self, file: int) -> int:
        return int(self._read(file, {})[0]["pages"])

    @override
    def picture(self, file: int, index: int, dpi: int) -> bytes:
        return self._read(file, {"index": index, "dpi": dpi, "max_pixels": MAX_PIXELS})[1]

    def close(self) -> None:
        """End the children that do nothing; the others end with this process. May be called twice."""
        self._children.close()

    def _read(self, file: int, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        with optional_packages("Reading PDF", extra_hint("pdf")):
            package_folder("pypdfium2")
        with self._cores:
            return self._children.do(lambda child: child.read(file, request))
