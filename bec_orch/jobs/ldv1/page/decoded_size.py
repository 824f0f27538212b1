"""How small a page may be decoded: by which factor its decoder may shrink it."""

DECODED_SHORT_SIDES = {1: 0, 2: 300, 4: 700, 8: 1200}
"""Shortest side that must be left after decoding at 1/2, 1/4, 1/8. Real pages of 7 to 9 lines, decoded to a height of
120 to 180 pixels, keep all their lines; this leaves room for twice as many. Going from 1/2 to 1/4 saves little, as the
entropy decoding stays."""
DECODED_AREA = 0.4e6


def reduce_factor(width: int, height: int) -> int:
    """Return by how much (1, 2, 4 or 8) a page may be shrunk while it is decoded, without loss of lines."""
    allowed = (
        factor
        for factor, short_side in DECODED_SHORT_SIDES.items()
        if min(width, height) >= short_side * factor and width * height >= DECODED_AREA * factor**2
    )
    return max(allowed, default=1)
