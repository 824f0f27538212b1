"""Items of many pages combined into batches for the model."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic

import anyio

from bec_orch.errors import BecError
from bec_orch.jobs.pipeline.budget import Budget
from bec_orch.jobs.pipeline.seats import ItemT, OutputT


class _Answer(Generic[OutputT]):
    """The outputs for one page's items, as they come in."""

    def __init__(self, count: int) -> None:
        self.outputs: dict[int, OutputT] = {}
        self.failure: BecError | None = None
        self.complete = anyio.Event()
        self._count = count

    def put(self, place: int, output: OutputT) -> None:
        self.outputs[place] = output
        if len(self.outputs) == self._count:
            self.complete.set()

    def fail(self, error: BecError) -> None:
        self.failure = error
        self.complete.set()


_Wanted = tuple[ItemT, int, _Answer[OutputT]]


class Batches(Generic[ItemT, OutputT]):
    """Runs the model on items from many pages, as many at once as are there, at most `size`.

    Items gather while the accelerator is busy with earlier ones, so nobody waits for a batch to fill.

    Args:
        infer: runs the model on one batch.
        size: the largest batch.
        cores: a batch takes one core while it runs.
        rank: the rank with which it asks for the core.
    """

    def __init__(
        self,
        infer: Callable[[Sequence[ItemT]], Awaitable[Sequence[OutputT]]],
        size: int,
        cores: Budget,
        rank: int,
    ) -> None:
        self._infer = infer
        self._size = size
        self._cores = cores
        self._rank = rank
        # No bound: the items' bytes are counted by the memory budget.
        self._send, self._receive = anyio.create_memory_object_stream[_Wanted[ItemT, OutputT]](math.inf)

    async def outputs(self, items: Sequence[ItemT]) -> list[OutputT]:
        """Get the model's outputs for one page's items.

        Raises:
            BecError: what running the model raised.
        """
        if not items:
            return []
        answer: _Answer[OutputT] = _Answer(len(items))
        for place, item in enumerate(items):
            self._send.send_nowait((item, place, answer))
        await answer.complete.wait()
        if answer.failure:
            raise answer.failure
        return [answer.outputs[place] for place in range(len(items))]

    async def run(self) -> None:
        """Run batch after batch, until the stream of items is closed. Several tasks may do so at once."""
        async for first in self._receive:
            with await self._cores.take(1, rank=self._rank):
                await self._run_batch([first, *self._more()])

    def close(self) -> None:
        """End the stream of items."""
        self._send.close()
        self._receive.close()

    def _more(self) -> list[_Wanted[ItemT, OutputT]]:
        waiting = self._receive.statistics().current_buffer_used
        return [self._receive.receive_nowait() for _ in range(min(self._size - 1, waiting))]

    async def _run_batch(self, batch: Sequence[_Wanted[ItemT, OutputT]]) -> None:
        live = [wanted for wanted in batch if wanted[2].failure is None]
        if not live:
            return
        try:
            outputs = await self._infer([item for item, _, _ in live])
        except BecError as error:
            for _, _, answer in live:
                answer.fail(error)
            return
        for (_, place, answer), output in zip(live, outputs, strict=True):
            answer.put(place, output)
