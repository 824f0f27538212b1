"""Pipes that are full, as those are that nobody reads."""

import os


def fill(descriptor: int) -> int:
    """Fill a pipe up by its end for writing; returns the bytes."""
    os.set_blocking(descriptor, False)
    filled = 0
    try:
        while True:
            filled += os.write(descriptor, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(descriptor, True)
    return filled
