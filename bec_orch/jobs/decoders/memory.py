"""Memory that a worker shares with one decoder process: a page's pixels, and after them its file.

It has no name, so nothing of it is left behind, however the two end. It is kept from page to page, because memory that
is touched for the first time costs more than decoding: 12 ms for 8 MB on a virtual machine, against 0.3 ms.
"""

import math
import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from bec_orch.core.wording import said
from bec_orch.errors import RetryableError

KEPT_BYTES = 64 * 2**20
"""This much is always kept: 64 MiB hold the pixels of a usual scan, 20 megapixels..."""
KEPT_SHARE = 4
"""... and more while pages need at least one part in this many of it."""


class SharedPage:
    """The memory as the worker has it.

    Attributes:
        size: bytes of the whole, of which those after the current pixels and file are of earlier pages.
    """

    def __init__(self) -> None:
        self._file = _unnamed_file()
        self._memory: mmap.mmap | None = None
        self.size = 0

    def fileno(self) -> int:
        """Return the descriptor to map it by."""
        return self._file.fileno()

    def put(self, data: bytes, room: int) -> None:
        """Put a page's file after room for this many bytes of pixels.

        Raises:
            RetryableError: E_MEMORY, the system has no room for it.
        """
        needed = room + len(data)
        if needed > self.size or self.size > max(KEPT_BYTES, KEPT_SHARE * needed):
            self._resize(max(needed, KEPT_BYTES))
        self._mapped()[room:needed] = data

    def pixels(self, shape: Sequence[int]) -> NDArray[np.uint8]:
        """Return a copy of the pixels."""
        return np.frombuffer(self._mapped(), np.uint8, math.prod(shape)).reshape(shape).copy()

    def close(self) -> None:
        """Release the memory. May be called twice."""
        self._memory = None
        self._file.close()

    def _resize(self, size: int) -> None:
        try:
            os.ftruncate(self.fileno(), size)
            self._memory = mmap.mmap(self.fileno(), size)
        except OSError as error:
            raise RetryableError(
                f"There is no room for a page's pixels: {said(error)}.",
                code="E_MEMORY",
                hint="Lower the memory budget, or take a larger machine.",
            ) from error
        self.size = size

    def _mapped(self) -> mmap.mmap:
        if self._memory is None:
            raise ValueError("nothing was put")
        return self._memory


def _unnamed_file() -> IO[bytes]:
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("bec page"), "w+b")
    return tempfile.TemporaryFile()


class DecoderMemory:
    """The same memory as the decoder process has it.

    Args:
        file: its descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._memory = mmap.mmap(-1, 1)

    def fit(self, size: int) -> None:
        """Map this many bytes, which is its size in the worker now."""
        if len(self._memory) != size:
            self._memory = mmap.mmap(self._file, size)

    def data(self, room: int, size: int) -> bytes:
        """Return the page's file, which lies after the room for its pixels."""
        return self._memory[room : room + size]

    def put(self, image: NDArray[np.uint8]) -> None:
        """Lay the pixels into their room."""
        np.frombuffer(self._memory, np.uint8, image.size).reshape(image.shape)[...] = image
