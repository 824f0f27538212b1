"""Shares of something limited (bytes of memory, cores) that the tasks of one event loop take and give back."""

import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import anyio


class Budget:
    """A number of units. Whoever must wait is served by rank, the lowest first, and among equals in order of coming.

    A share larger than everything is granted once nothing else is out, so that one giant gets through, alone. All
    methods belong to the thread of one event loop.

    Attributes:
        used: units that are out now.
        peak: the most that were out at once.
    """

    def __init__(self, size: int) -> None:
        self.used = 0
        self.peak = 0
        self._size = size
        self._waiting: list[tuple[int, int, Share]] = []
        self._arrivals = itertools.count()

    async def take(self, units: int, *, rank: int = 0) -> "Share":
        """Wait for this many units. The share is returned by leaving it as a context, or by its `release`."""
        share = Share(self, units)
        await self._ask(share, rank)
        return share

    async def _ask(self, share: "Share", rank: int) -> None:
        heapq.heappush(self._waiting, (rank, next(self._arrivals), share))
        self._serve()
        if share.granted.is_set():  # waiting all the same would cost each page three rounds of the event loop
            return
        try:
            await share.granted.wait()
        except BaseException:
            share.release()
            raise

    def _serve(self) -> None:
        """Grant what fits, in order: nobody passes one who waits for much, or giants would wait for ever."""
        while self._waiting and self._fits(self._waiting[0][2]):
            share = heapq.heappop(self._waiting)[2]
            if share.wanted:
                self._book(share.units)
                share.granted.set()

    def _fits(self, share: "Share") -> bool:
        return not share.wanted or not self.used or self.used + share.units <= self._size

    def _book(self, units: int) -> None:
        self.used += units
        self.peak = max(self.peak, self.used)


class Share:
    """Units that were taken. Holds until it is released, which may be done twice."""

    def __init__(self, budget: Budget, units: int) -> None:
        self.units = units
        self.wanted = True
        self.granted = anyio.Event()
        self._budget = budget

    def resize(self, units: int) -> None:
        """Hold this many units from now on, more or fewer, without waiting."""
        self._budget._book(units - self.units)  # noqa: SLF001  (two halves of one thing)
        self.units = units
        self._budget._serve()  # noqa: SLF001

    def release(self) -> None:
        """Return the units."""
        self.wanted = False
        if self.granted.is_set():
            self.resize(0)
        else:
            self._budget._serve()  # noqa: SLF001

    @asynccontextmanager
    async def lent(self, *, rank: int) -> AsyncIterator[None]:
        """Return the units for the time of the block, and wait for them again at its end, unless it fails."""
        units = self.units
        self.release()
        yield
        self.units, self.wanted, self.granted = units, True, anyio.Event()
        await self._budget._ask(self, rank)  # noqa: SLF001

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
