"""Work that goes on beside whoever asked for it, but never far behind: files that are written and uploaded."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec

P = ParamSpec("P")


class Backlog:
    """Runs calls in threads of its own, and hands on what one raised: each time again. May be used by all threads."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._calls: deque[Future[None]] = deque()

    def submit(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have a call made."""
        with self._lock:
            self._calls.append(self._pool.submit(call, *args, **kwargs))

    def settle(self, behind: int = 0) -> None:
        """Wait until, of the calls that were submitted by now, all but the newest `behind` ended.

        Raises:
            Exception: whatever one of those that ended raised.
        """
        with self._lock:
            oldest = len(self._calls) - behind
            due = [call for number, call in enumerate(self._calls) if number < oldest or call.done()]
        for call in due:
            call.result()
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)

    def close(self) -> None:
        """End the calls that are under way, and make none that was not begun once one failed. May be called twice."""
        failed = any(call.done() and call.exception() for call in self._calls)
        self._pool.shutdown(wait=True, cancel_futures=failed)
