"""The boxes that JPEG 2000, AVIF and HEIC files are made of (ISO/IEC 14496-12, 4.2, and ITU-T T.800, I.4)."""

import struct
from collections.abc import Iterator

from bec_orch.jobs.formats.header import corrupt, truncated

MAX_BOXES = 10_000
"""A walk over them takes 10 ms. A photograph of many tiles has some hundred."""


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of the content of each box between two offsets.

    Raises:
        PageError: a box ends past the end (E_IMAGE_TRUNCATED), has less than its own head, or there are too many
            (E_IMAGE_CORRUPT).
    """
    for _ in range(MAX_BOXES):
        if at + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= end:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        after = at + size if size else end
        if size and size < head:
            raise corrupt(f"The file has a box of {size} bytes.")
        if after > end:
            raise truncated("The file is cut: a box ends past its end.")
        yield kind, at + head, after
        at = after
    raise corrupt(f"The file has more than {MAX_BOXES} boxes.")
