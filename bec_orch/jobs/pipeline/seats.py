"""Where the model of a page job sits: in this process, run on batches, or behind a server, asked by single requests."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
OutputT = TypeVar("OutputT")

Ask = Callable[[ItemT], Awaitable[OutputT]]
"""Asks a server about one item. Cancelling it ends the request.

Raises:
    ServerBusy: the server takes no more just now; asked again when it says, until the page's patience ends.
    RetryableError: the server is away, or failed; asked again a few times.
    PageError: the server answered, and the item cannot be done.
"""


@dataclass(frozen=True, slots=True)
class Batched(Generic[ItemT, OutputT]):
    """A model in this process.

    Attributes:
        infer: runs it on items of any pages, at most `size`; one output per item, in their order.
        size: how many items it wants at once, at most; 1 on CPUs, where batches are slower.
    """

    infer: Callable[[Sequence[ItemT]], Sequence[OutputT]]
    size: int


@dataclass(frozen=True, slots=True)
class Requests(Generic[ItemT, OutputT]):
    """A model behind a server.

    Attributes:
        connect: opens a connection to the server, or a pool of them, for one volume.
        at_once: requests in flight at once, at most, for all volumes of the process; fewer when the server refuses.
        timeout: seconds that one request may take.
        tries: how often an item is asked for while the server is away, fails, or takes too long.
        patience: seconds that an item waits for a server that is busy.
    """

    connect: Callable[[], AbstractAsyncContextManager[Ask[ItemT, OutputT]]]
    at_once: int
    timeout: float
    tries: int = 3
    patience: float = 600.0


Seat = Batched[ItemT, OutputT] | Requests[ItemT, OutputT]
