"""Runs the steps of pages in threads, each for as long as a page may take, and keeps their times."""

from collections.abc import Callable

import anyio

from bec_orch.core.metrics import Metrics, Stopwatch
from bec_orch.errors import PageError, RetryableError
from bec_orch.jobs.pipeline.threads import HungThreads, ResultT

MAX_HUNG_THREADS = 2
"""Each takes a core for ever, so more of them are a fault of the worker."""


class InTime:
    """The threads and the clock of one volume's steps.

    Args:
        hung: knows the threads that were left behind, of all volumes.
        timeout: seconds that a step may take.
    """

    def __init__(self, hung: HungThreads, timeout: float) -> None:
        self._hung = hung
        self._timeout = timeout
        self._elsewhere = Metrics()
        self.watch = Stopwatch()

    async def stage(self, name: str, function: Callable[[], ResultT]) -> ResultT:
        """Do what `call` does, and count its time under a stage's name. Not cancelled: a thread ends by itself."""
        with self.watch.stage(name), anyio.CancelScope(shield=True):
            result = await self.call(function)
        return result  # noqa: RET504  (to the type checker, the scope may swallow what the call raises)

    async def call(self, function: Callable[[], ResultT]) -> ResultT:
        """Run a function in a thread.

        Raises:
            PageError: E_PAGE_TIMEOUT, it takes too long; its thread is left behind.
            RetryableError: E_WORKER_STUCK, too many threads were left behind.
        """
        try:
            return await self._hung.call(function, self._timeout)
        except TimeoutError as error:
            if self._hung.count > MAX_HUNG_THREADS:
                raise RetryableError(
                    f"{self._hung.count} threads of this worker hang.",
                    code="E_WORKER_STUCK",
                    hint="Start the worker again; look at its last pages if that does not help.",
                ) from error
            raise PageError(
                f"The page took longer than {self._timeout:g} s.", stage="time", code="E_PAGE_TIMEOUT"
            ) from error

    def add(self, metrics: Metrics) -> None:
        """Add times that were taken in a thread."""
        self._elsewhere += metrics

    def metrics(self) -> Metrics:
        """Return all times and counters."""
        return self._elsewhere + self.watch.metrics()
