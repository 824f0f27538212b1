"""A cache with a bound, in which each value is made once, however many ask for it at a time."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Keeps the values that were asked for last. Any thread may ask.

    Args:
        most: the sum of sizes that is kept; a value that is larger by itself is made each time.
        size: returns the size of a value.
    """

    def __init__(self, most: int, size: Callable[[Value], int] = lambda _: 1) -> None:
        self._most = most
        self._size = size
        self._kept = 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key; made in this thread where it is not kept, raising what `make` raises."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = make()
                self._keep(key, value)
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return value

    def _keep(self, key: Hashable, value: Value) -> None:
        size = self._size(value)
        if size > self._most:
            return
        with self._lock:
            self._values[key] = value
            self._kept += size
            while self._kept > self._most:
                _, dropped = self._values.popitem(last=False)
                self._kept -= self._size(dropped)
