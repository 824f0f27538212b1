"""A thread that runs beside a block, and ends with it."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Companion(ABC):
    """A thread beside a block, as a context manager: begun with the block, asked to end and waited for at its end.

    A subclass looks at `_closed` between its steps, or waits for it.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._accompany, name=name, daemon=True)

    @abstractmethod
    def _accompany(self) -> None:
        """Do what is to be done beside the block, until `_closed` is set."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()
