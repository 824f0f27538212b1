"""The model as one volume's pages see it: something that has outputs for their items, whichever seat it has."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Generic

import anyio
from typing_extensions import override

from bec_orch.core.metrics import Stopwatch
from bec_orch.jobs.pipeline.batches import Batches
from bec_orch.jobs.pipeline.budget import Budget
from bec_orch.jobs.pipeline.requests import InFlight, Throttle
from bec_orch.jobs.pipeline.seats import Batched, ItemT, OutputT, Requests

BATCHES_AT_ONCE = 2
"""One runs on the accelerator, one is made ready."""


class Model(ABC, Generic[ItemT, OutputT]):
    """Has outputs for the items of pages.

    Attributes:
        at_once: how many items it can be at work on at once.
        prompt: whether it answers within seconds; then pages that were begun are finished when the work is to stop, and
            else they are dropped, and done again by the next attempt.
    """

    at_once: int
    prompt: bool

    @abstractmethod
    def open(self) -> AbstractAsyncContextManager[None]:
        """Have it ready for the time of the block."""

    @abstractmethod
    async def outputs(self, items: Sequence[ItemT]) -> Sequence[OutputT]:
        """Return one output for each of a page's items, in their order.

        Raises:
            PageError: it cannot do one of them.
            RetryableError: it fails, or is away.
        """


class LocalModel(Model[ItemT, OutputT]):
    """A model in this process, run on batches of the items of many pages.

    Args:
        seat: how it is run.
        infer: runs one batch, in a thread.
        cores: a batch takes one core while it runs.
        rank: the rank with which it asks for the core.
    """

    prompt = True

    def __init__(
        self,
        seat: Batched[ItemT, OutputT],
        infer: Callable[[Sequence[ItemT]], Awaitable[Sequence[OutputT]]],
        cores: Budget,
        rank: int,
    ) -> None:
        self.at_once = seat.size
        self._infer = infer
        self._cores = cores
        self._rank = rank
        self._batches: Batches[ItemT, OutputT] | None = None

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run batches for the time of the block."""
        with closing(Batches(self._infer, self.at_once, self._cores, self._rank)) as batches:
            self._batches = batches
            async with anyio.create_task_group() as group:
                for _ in range(BATCHES_AT_ONCE):
                    group.start_soon(batches.run)
                yield
                group.cancel_scope.cancel()

    @override
    async def outputs(self, items: Sequence[ItemT]) -> Sequence[OutputT]:
        if self._batches is None:
            raise RuntimeError("the model is asked while no batches are run")
        return await self._batches.outputs(items)


class ServedModel(Model[ItemT, OutputT]):
    """A model behind a server, asked by single requests, which end when they are cancelled.

    Args:
        seat: how it is asked.
        throttle: shared by all volumes that ask this server.
        watch: counts the time of the requests.
    """

    prompt = False

    def __init__(self, seat: Requests[ItemT, OutputT], throttle: Throttle, watch: Stopwatch) -> None:
        self.at_once = seat.at_once
        self._seat = seat
        self._throttle = throttle
        self._watch = watch
        self._in_flight: InFlight[ItemT, OutputT] | None = None

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be connected to the server for the time of the block."""
        async with self._seat.connect() as ask:
            self._in_flight = InFlight(self._seat, ask, self._throttle)
            yield

    @override
    async def outputs(self, items: Sequence[ItemT]) -> Sequence[OutputT]:
        if self._in_flight is None:
            raise RuntimeError("the server is asked while there is no connection to it")
        with self._watch.stage("infer"):
            return await self._in_flight.outputs(items)
