"""The child processes of a worker that do one kind of work: one for each thread that asks at a time.

A child that crashes, runs out of memory or out of time costs one page: it is tried once more in a fresh child, and is
an error then. The worker and its other pages go on.
"""

import atexit
from collections.abc import Callable
from typing import Generic, TypeVar

from bec_orch.errors import PageError, TaskFault
from bec_orch.jobs.decoders.child_process import ChildLost, ChildProcess

ChildT = TypeVar("ChildT", bound=ChildProcess)
ResultT = TypeVar("ResultT")

SECONDS = 120.0
"""For one page, by the clock. The child's CPU time is limited more closely, and a busy machine does not count there."""
MOST_LOST = 3
"""When this many pages in a row end their children, with none done in between, the pages alone are not to blame."""


class Children(Generic[ChildT]):
    """Has work done by child processes. Any thread may call it; children are started as they are needed, and kept.

    Args:
        start: starts a child.
    """

    def __init__(self, start: Callable[[], ChildT]) -> None:
        self._start = start
        self._idle: list[ChildT] = []  # each operation on it is atomic
        self._lost_in_a_row = 0
        atexit.register(self.close)

    def do(self, work: Callable[[ChildT], ResultT]) -> ResultT:
        """Do a page's work in a child.

        Raises:
            PageError: what the child says of the page; E_PAGE_CRASH, E_PAGE_MEMORY or E_PAGE_TIMEOUT when it took its
                children with it.
            TaskFault: E_DECODER_LOST, several pages in a row did.
            RetryableError: E_DECODER_START, E_MEMORY.
        """
        try:
            return self._done_in(self._idle_or_new(), work)
        except ChildLost as lost:
            if not lost.again:
                raise self._given_up(lost.fault) from lost
        try:
            return self._done_in(self._start(), work)
        except ChildLost as lost:
            raise self._given_up(lost.fault) from lost

    def close(self) -> None:
        """End the children that do nothing; the others end with this process. May be called twice."""
        while self._idle:
            self._idle.pop().close()

    def _done_in(self, child: ChildT, work: Callable[[ChildT], ResultT]) -> ResultT:
        try:
            return work(child)
        finally:
            if child.lives:
                self._lost_in_a_row = 0
                self._idle.append(child)

    def _idle_or_new(self) -> ChildT:
        while True:
            try:
                child = self._idle.pop()
            except IndexError:
                return self._start()
            if child.lives:
                return child
            child.close()

    def _given_up(self, fault: PageError) -> PageError | TaskFault:
        self._lost_in_a_row += 1
        if self._lost_in_a_row < MOST_LOST:
            return fault
        return TaskFault(
            f"The last {self._lost_in_a_row} pages ended their decoder processes. {fault.message}",
            code="E_DECODER_LOST",
            hint=fault.hint,
        )
