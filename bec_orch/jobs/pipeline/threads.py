"""Blocking calls in threads that can be left behind.

A call that hangs in C cannot be stopped. Its thread is abandoned: a daemon, so that it keeps no process from ending,
which is what the worker threads of anyio and concurrent.futures would do. Threads are kept for the next call, because
starting one for each call costs a small page 2 % of its time.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import anyio

ResultT = TypeVar("ResultT")

IDLE_SECONDS = 10.0


class HungThreads:
    """Knows how many of its calls ran out of time and still run."""

    def __init__(self) -> None:
        self._running: set[object] = set()
        self._late: set[object] = set()

    @property
    def count(self) -> int:
        """Number of threads that were abandoned and have not come back."""
        self._late &= self._running
        return len(self._late)

    async def call(self, function: Callable[[], ResultT], timeout: float) -> ResultT:  # noqa: ASYNC109
        """Run a function in a thread of its own, and wait for it, at most this many seconds.

        Raises:
            TimeoutError: it has not ended; its thread is left behind.
        """
        mark = object()

        def marked() -> ResultT:
            try:
                return function()
            finally:
                self._running.discard(mark)

        self._running.add(mark)
        try:
            with anyio.fail_after(timeout):
                return await _in_daemon_thread(marked)
        except TimeoutError:
            self._late.add(mark)
            raise


_Call = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class _Thread:
    """A daemon thread that does one call after another, and ends when there was none for a while."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="page work").start()

    def do(self, call: "_Call") -> None:
        self._calls.put(call)

    def _work(self) -> None:
        while True:
            try:
                function, future = self._calls.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                if self._has_left():
                    return
                continue
            deliver = _done(function, future)
            _idle.append(self)  # before anybody is told, so that the next call finds this thread
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                future.get_loop().call_soon_threadsafe(deliver)
            del function, future, deliver  # they hold a page's arrays

    def _has_left(self) -> bool:
        """Leave the idle threads, unless somebody has just taken this one from them."""
        try:
            _idle.remove(self)
        except ValueError:
            return False
        return True


_idle: list[_Thread] = []  # each operation on it is atomic


def _idle_thread() -> _Thread:
    try:
        return _idle.pop()
    except IndexError:
        return _Thread()


async def _in_daemon_thread(function: Callable[[], ResultT]) -> ResultT:
    future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
    _idle_thread().do((function, future))
    try:
        return await future
    finally:
        del future  # an error's traceback knows this frame: a cycle would keep the page's arrays


def _done(function: Callable[[], ResultT], future: "asyncio.Future[ResultT]") -> Callable[[], None]:
    """Do a call, and return what hands its outcome to the waiting task, in the thread of the loop."""
    try:
        return partial(_set_result, future, function())
    except BaseException as error:  # noqa: BLE001  (whoever waits gets it, whatever it is)
        return partial(_set_error, future, error)
    finally:
        del future  # as above


def _set_result(future: "asyncio.Future[ResultT]", result: ResultT) -> None:
    if not future.cancelled():
        future.set_result(result)


def _set_error(future: "asyncio.Future[ResultT]", error: BaseException) -> None:
    if not future.cancelled():
        future.set_exception(error)
