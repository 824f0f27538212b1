"""EXIF (CIPA DC-008): the one tag of it that counts here, the orientation of a picture."""

import struct

UPRIGHT = 1
MARK = b"Exif\0\0"
_ORIENTATION = 0x0112
ORIENTATIONS = range(1, 9)


def orientation(block: bytes) -> int:
    """Return the orientation (1 to 8) that an EXIF block states; 1 where it states none, or cannot be read."""
    block = block.removeprefix(MARK)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return UPRIGHT
    (at,) = struct.unpack_from(order + "I", block, 4)
    if at + 2 > len(block):
        return UPRIGHT
    (count,) = struct.unpack_from(order + "H", block, at)
    for entry in range(at + 2, min(at + 2 + 12 * count, len(block) - 11), 12):
        tag, _, _, value = struct.unpack_from(order + "HHIH", block, entry)
        if tag == _ORIENTATION:
            return value if value in ORIENTATIONS else UPRIGHT
    return UPRIGHT
