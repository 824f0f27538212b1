"""Damage in Group 4 fax data (ITU-T T.6), found without decoding it.

No chain of T.6 codes holds eleven zero bits in a row: that is what makes the end-of-block mark, two times 000000000001,
plain to see. libtiff skips rows with codes that it does not know, and reports no error; so zeros that are not such
a mark are looked for here. Damage hits them soon: in random bytes, one in about 2,000 bits begins such a run.
"""

import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.formats.header import corrupt, truncated

_FORBIDDEN_ZEROS = 11
_MARK = "000000000001000000000001"
_PADDING = 64
"""Zero bytes that may follow the last code where a writer leaves the end-of-block mark out."""

_BYTES = [f"{value:08b}" for value in range(256)]
_LEADING = np.array([len(bits) - len(bits.lstrip("0")) for bits in _BYTES], np.uint8)
_TRAILING = np.array([len(bits) - len(bits.rstrip("0")) for bits in _BYTES], np.uint8)
_MIRRORED = bytes(int(bits[::-1], 2) for bits in _BYTES)


def check_group4(strip: bytes, *, lowest_bit_first: bool) -> None:
    """See that nothing stands in a strip that cannot be Group 4.

    Raises:
        PageError: E_IMAGE_CORRUPT, or E_IMAGE_TRUNCATED where the rest is zeros.
    """
    data = strip.translate(_MIRRORED) if lowest_bit_first else strip
    at = _first_long_run(np.frombuffer(data, np.uint8))
    if at is None:
        return
    rest = data[at + 1 :]
    if not rest.strip(b"\0"):
        if len(rest) > _PADDING:
            raise truncated(f"The TIFF is cut: zeros stand from byte {at} of a strip to its end.")
        return
    bits = "".join(_BYTES[value] for value in data[at : at + 6])
    if not _is_mark(bits):
        raise corrupt(f"The TIFF is damaged: byte {at} of a strip begins no Group 4 code.")


def _first_long_run(values: NDArray[np.uint8]) -> int | None:
    """Return the byte in which the first run of eleven or more zero bits begins."""
    following = np.append(values[1:], np.uint8(255))
    after_that = np.append(values[2:], np.array([255, 255], np.uint8))[: len(values)]
    zeros = _TRAILING[values] + np.where(following == 0, 8 + _LEADING[after_that], _LEADING[following])
    begins = np.flatnonzero(zeros >= _FORBIDDEN_ZEROS)
    return int(begins[0]) if len(begins) else None


def _is_mark(bits: str) -> bool:
    """Return whether the bits, from the byte in which the long run begins, are an end-of-block mark.

    The last code before the mark may itself end in zeros, so the run may be a few zeros longer than eleven.
    """
    run = bits.find("0" * _FORBIDDEN_ZEROS)
    first_one = bits.find("1", run)
    return first_one >= 0 and bits[first_one - _FORBIDDEN_ZEROS :].startswith(_MARK)
