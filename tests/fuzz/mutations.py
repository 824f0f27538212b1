"""Seeded changes of bytes, as files and messages get damaged, or as somebody would who wants to do harm."""

from collections.abc import Callable, Sequence
from random import Random

MOST_CHANGES = 4
LONGEST = 400_000
_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
_SIZES = (1, 2, 4, 8)
_HEADER = 512


class Mutator:
    """Makes input after input out of a corpus; the same for the same seed.

    Args:
        corpus: what to begin with.
        tokens: words of the format, to be put in.
        seed: of the random numbers.
    """

    def __init__(self, corpus: Sequence[bytes], tokens: Sequence[bytes], seed: int) -> None:
        self._corpus = corpus
        self._tokens = tokens
        self._random = Random(seed)
        self._changes: tuple[Callable[[bytearray], None], ...] = (
            self._flip,
            self._overwrite,
            self._number,
            self._cut,
            self._drop,
            self._repeat,
            self._splice,
            self._token,
        )

    def next(self) -> bytes:
        """Make one more input."""
        data = bytearray(self._random.choice(self._corpus))
        for _ in range(self._random.randint(1, MOST_CHANGES)):
            self._random.choice(self._changes)(data)
        return bytes(data[:LONGEST])

    def _place(self, data: bytearray) -> int:
        """Choose a place, in the first bytes every second time: headers are a small part of a file."""
        reach = len(data) if self._random.random() < 0.5 else min(len(data), _HEADER)
        return self._random.randint(0, max(0, reach - 1))

    def _part(self, data: bytearray) -> slice:
        start = self._place(data)
        return slice(start, start + min(int(self._random.expovariate(1 / 32)) + 1, len(data)))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._place(data)] ^= 1 << self._random.randrange(8)

    def _overwrite(self, data: bytearray) -> None:
        part = self._part(data)
        data[part] = self._random.randbytes(len(data[part]))

    def _number(self, data: bytearray) -> None:
        size = self._random.choice(_SIZES)
        value = self._random.choice(_NUMBERS) % 2 ** (8 * size)
        start = self._place(data)
        data[start : start + size] = value.to_bytes(size, self._random.choice(("little", "big")))

    def _cut(self, data: bytearray) -> None:
        del data[self._place(data) :]

    def _drop(self, data: bytearray) -> None:
        del data[self._part(data)]

    def _repeat(self, data: bytearray) -> None:
        part = self._part(data)
        data[part] = data[part] * self._random.choice((2, 3, 50, 1000))

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._corpus)
        data[self._place(data) :] = other[self._random.randint(0, len(other)) :]

    def _token(self, data: bytearray) -> None:
        start = self._place(data)
        token = self._random.choice(self._tokens)
        replaced = self._random.choice((0, len(token)))
        data[start : start + replaced] = token
