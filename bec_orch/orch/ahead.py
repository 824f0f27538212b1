"""Works through many things at once, in order, and never far ahead of whoever takes the results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], things: Iterable[T], *, threads: int) -> Iterator[R]:
    """Yield the result of each thing, in order; what `work` raises is raised in its turn.

    At most `2 * threads` results wait to be taken, however many things there are.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        begun: deque[Future[R]] = deque()
        try:
            for thing in things:
                begun.append(pool.submit(work, thing))
                if len(begun) > 2 * threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut what comes into lists of at most `size`."""
    left = iter(things)
    while batch := list(islice(left, size)):
        yield batch
