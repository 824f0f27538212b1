"""GIF 89a: blocks walked here, the pixels of its frames by Pillow."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bec_orch.errors import PageError
from bec_orch.jobs.formats import raster
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader, corrupt, no_such_frame, truncated

MAX_BLOCKS = 1_000_000
"""A walk over them takes 0.3 s. Blocks have 255 bytes as a rule, so that files of 255 MB stay below."""

_EXTENSION, _FRAME, _TRAILER = 0x21, 0x2C, 0x3B
_HEAD, _DESCRIPTOR = 13, 9


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the blocks say: the size of screen and frames together, the number of frames, and what ended the walk.

    Frames after the one that is asked for do not count for the size.

    A file that is cut is reported when it is decoded, so that an absurd size is reported first.
    """

    width: int
    height: int
    frames: int
    fault: PageError | None


class _Walk:
    """A place in the file, moved on block by block."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._blocks = 0
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes, and move past them."""
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            raise truncated("The GIF is cut: it ends before its trailer.")
        self._at += size
        return part

    def pass_table(self, flags: int) -> None:
        """Move past a colour table, where the flags announce one."""
        if flags & 0x80:
            self.take(3 * 2 ** ((flags & 7) + 1))

    def pass_blocks(self) -> None:
        """Move past a chain of sub-blocks."""
        while size := self.take(1)[0]:
            self.take(size)
            self._blocks += 1
            if self._blocks > MAX_BLOCKS:
                raise corrupt(f"The GIF has more than {MAX_BLOCKS} blocks.")

    def next_frame(self) -> bytes | None:
        """Move past the next frame's descriptor, and return it; None at the trailer."""
        while (kind := self.take(1)[0]) != _TRAILER:
            if kind == _FRAME:
                return self.take(_DESCRIPTOR)
            if kind != _EXTENSION:
                raise corrupt(f"The GIF has no block at byte {self._at - 1}, where one must begin.")
            self.take(1)
            self.pass_blocks()
        return None


def probe(data: bytes, frame: int = 1) -> ImageHeader:
    """Read the size of the screen and of the frames up to one, the first by default, and count the frames.

    Raises:
        PageError: E_IMAGE_TRUNCATED, E_IMAGE_CORRUPT, E_IMAGE_FRAME.
    """
    facts = _facts(data, frame)
    if not facts.width or not facts.height:
        raise facts.fault or corrupt(f"The GIF's header says {facts.width} x {facts.height} pixels.")
    if frame > max(1, facts.frames):
        raise no_such_frame(frame, facts.frames)
    return ImageHeader(ImageFormat.GIF, facts.width, facts.height, 4, 8, frames=max(1, facts.frames), frame=frame)


def decode(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode a frame, drawn over those before it, and shrink it to 1/`reduce`: grey (H, W) or BGR (H, W, 3).

    Raises:
        PageError: E_IMAGE_TRUNCATED (it has no trailer), E_IMAGE_CORRUPT.
    """
    if fault := _facts(data, header.frame).fault:
        raise fault
    return raster.decode(data, header, reduce)


def _facts(data: bytes, wanted: int) -> _Facts:
    width, height, frames = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"), 0
    walk = _Walk(data)
    try:
        walk.pass_table(walk.take(_HEAD)[10])
        while frame := walk.next_frame():
            if frames < wanted:
                left, top, wide, high = struct.unpack_from("<HHHH", frame)
                width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            walk.pass_table(frame[8])
            walk.take(1)  # the least size of a code
            walk.pass_blocks()
    except PageError as fault:
        return _Facts(width, height, frames, fault)
    return _Facts(width, height, frames, None if frames else corrupt("The GIF holds no picture."))
