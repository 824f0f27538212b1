"""Figures that take the database a while: each is taken once, however many ask, and nobody waits long for it."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

Value = TypeVar("Value")

WAIT = 0.15
"""Seconds that a page waits for a figure before it is sent without: with all of them, it has to be there in 0.3 s."""
_FRESH = 1.0
# A figure is taken anew after so many times as long as it took: the database has others to serve.
_REST = 20.0
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[Value]):
    """A figure, and how many seconds ago it was taken."""

    value: Value
    age: float


@dataclass
class _Entry:
    future: "Future[Any]"
    value: Any = None
    taken: float = 0.0
    cost: float = 0.0

    @property
    def is_there(self) -> bool:
        return self.taken > 0

    @property
    def is_fresh(self) -> bool:
        return self.is_there and time.monotonic() - self.taken < max(_FRESH, _REST * self.cost)


class Snapshots:
    """Takes figures in threads of its own, and keeps the last of each."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="snapshot")
        self._entries: dict[Hashable, _Entry] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, take: Callable[[], Value], seconds: float = WAIT) -> Snapshot[Value] | None:
        """Return a figure, taken lately; None where the first is not there after so many seconds.

        Raises what `take` raised, which is asked again by the next call.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or (entry.future.done() and not entry.is_fresh):
                entry = self._entries[key] = self._begin(key, take, entry)
        wait([entry.future], seconds)
        if entry.future.done():
            entry.future.result()
        if not entry.is_there:
            return None
        return Snapshot(cast("Value", entry.value), time.monotonic() - entry.taken)

    def close(self) -> None:
        """Take nothing more. May be called twice."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: Hashable, take: Callable[[], Any], before: _Entry | None) -> _Entry:
        entry = _Entry(Future())
        if before is not None:
            entry.value, entry.taken, entry.cost = before.value, before.taken, before.cost

        def run() -> None:
            begun = time.monotonic()
            try:
                value = take()
            except BaseException:
                self._forget(key)
                raise
            entry.value, entry.taken, entry.cost = value, time.monotonic(), time.monotonic() - begun

        entry.future = self._pool.submit(run)
        return entry

    def _forget(self, key: Hashable) -> None:
        with self._lock:
            self._entries.pop(key, None)
