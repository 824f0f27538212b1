"""Blocking calls in threads that can be left behind.

A call that hangs in C cannot be stopped. Its thread is abandoned: a daemon, so that it keeps no process from ending,
which is what the worker threads of anyio and concurrent.futures would do. A thread per call costs 0.1 ms, a page's
work hundreds.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio

ResultT = TypeVar("ResultT")


class HungThreads:
    """Knows how many of its calls ran out of time and run still."""

    def __init__(self) -> None:
        self._running: set[object] = set()
        self._late: set[object] = set()

    @property
    def count(self) -> int:
        """Number of threads that were abandoned and have not come back."""
        self._late &= self._running
        return len(self._late)

    async def call(self, function: Callable[[], ResultT], timeout: float) -> ResultT:  # noqa: ASYNC109
        """Run a function in a thread of its own, and wait for it, at most so many seconds.

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


async def _in_daemon_thread(function: Callable[[], ResultT]) -> ResultT:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ResultT] = loop.create_future()
    threading.Thread(target=_run, args=(function, loop, future), daemon=True, name="page work").start()
    try:
        return await future
    finally:
        del future  # an error's traceback knows this frame: a cycle would keep the page's arrays


def _run(function: Callable[[], ResultT], loop: asyncio.AbstractEventLoop, future: "asyncio.Future[ResultT]") -> None:
    deliver: Callable[[], None]
    try:
        deliver = partial(_set_result, future, function())
    except BaseException as error:  # noqa: BLE001  (goes to whom waits, whatever it is)
        deliver = partial(_set_error, future, error)
    with suppress(RuntimeError):  # the loop has ended: nobody waits any more
        loop.call_soon_threadsafe(deliver)
    del deliver, future  # as above


def _set_result(future: "asyncio.Future[ResultT]", result: ResultT) -> None:
    if not future.cancelled():
        future.set_result(result)


def _set_error(future: "asyncio.Future[ResultT]", error: BaseException) -> None:
    if not future.cancelled():
        future.set_exception(error)
