"""Single requests in flight to a server: each ends by itself, and their number follows what the server takes."""

import math
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Generic

import anyio

from bec_orch.errors import PageError, RetryableError, ServerBusy
from bec_orch.jobs.pipeline.seats import Ask, ItemT, OutputT, Requests

# Successes per request in flight before one more is tried: a refusal costs the server something.
_SUCCESSES_PER_STEP = 8
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Throttle:
    """Limits the requests in flight to what the server takes, at most `most`.

    A refusal shows how many it takes: those that are still in flight. After some successes one more is tried (additive
    increase, as TCP's congestion avoidance has it: Jacobson 1988). All methods belong to one event loop.

    Attributes:
        in_flight: requests that are out now.
        limit: how many may be.
        answered: requests that the server answered so far, be it with a refusal.
    """

    def __init__(self, most: int) -> None:
        self.in_flight = 0
        self.limit = float(most)
        self.answered = 0
        self._most = most
        self._changed = anyio.Event()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait until one more request may be out, and count it for the time of the block."""
        while self.in_flight >= math.floor(self.limit):
            await self._changed.wait()
        self.in_flight += 1
        try:
            yield
        except ServerBusy:
            self.answered += 1
            self.limit = max(1.0, min(self.limit, float(self.in_flight - 1)))
            raise
        except PageError:
            self.answered += 1
            raise
        else:
            self.answered += 1
            self.limit = min(float(self._most), self.limit + 1 / (_SUCCESSES_PER_STEP * self.limit))
        finally:
            self.in_flight -= 1
            changed, self._changed = self._changed, anyio.Event()
            changed.set()


class InFlight(Generic[ItemT, OutputT]):
    """Asks a server about the items of one volume's pages, each by a request of its own.

    Args:
        seat: how the server is asked.
        ask: the open connection.
        throttle: shared by all volumes that ask this server.
    """

    def __init__(self, seat: Requests[ItemT, OutputT], ask: Ask[ItemT, OutputT], throttle: Throttle) -> None:
        self._seat = seat
        self._ask = ask
        self._throttle = throttle

    async def outputs(self, items: Sequence[ItemT]) -> list[OutputT]:
        """Return the server's answers for one page's items, in their order.

        Raises:
            PageError: the server cannot do an item, or took too long for it each time, and answered others meanwhile
                (E_PAGE_TIMEOUT).
            RetryableError: the server is away, fails, answers nobody (E_SERVER_SILENT), or is busy for longer than
                anybody waits.
        """
        answers: dict[int, OutputT] = {}

        async def one(place: int, item: ItemT) -> None:
            answers[place] = await self._answer(item)

        try:
            async with anyio.create_task_group() as group:
                for place, item in enumerate(items):
                    group.start_soon(one, place, item)
        except ExceptionGroup as failed:
            # The first failure ended the others: a page is whole, or an error.
            raise failed.exceptions[0] from None
        return [answers[place] for place in range(len(items))]

    async def _answer(self, item: ItemT) -> OutputT:
        give_up = time.monotonic() + self._seat.patience
        failures, answered = 0, 0
        while True:
            try:
                async with self._throttle.one():
                    if not failures:
                        answered = self._throttle.answered
                    with anyio.fail_after(self._seat.timeout):
                        return await self._ask(item)
            except ServerBusy as busy:
                pause = _FIRST_PAUSE + _jitter() if busy.retry_after is None else busy.retry_after
                if time.monotonic() + pause > give_up:
                    raise
            except (RetryableError, TimeoutError) as error:
                failures += 1
                if failures >= self._seat.tries:
                    raise self._final(error, answered) from error
                pause = _after_failure(failures)
            await anyio.sleep(pause)

    def _final(self, error: RetryableError | TimeoutError, answered: int) -> RetryableError | PageError:
        """Return the error of the last try; `answered` is how many the server had answered when the first one began."""
        if isinstance(error, RetryableError):
            return error
        told = f"The server did not answer within {self._seat.timeout:g} s, {self._seat.tries} times"
        if self._throttle.answered > answered:
            return PageError(f"{told}.", stage="infer", code="E_PAGE_TIMEOUT")
        return RetryableError(
            f"{told}, and nobody else in that time.",
            code="E_SERVER_SILENT",
            hint="Look whether the server hangs. If it is well, the page takes too long: raise `request_timeout`.",
        )


def _after_failure(failures: int) -> float:
    """Back off exponentially, with jitter, so that the requests of many workers do not come back at the same moment."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (failures - 1))
    return longest * (0.5 + _jitter() / 2)


def _jitter() -> float:
    return random.random()  # nosec B311  # noqa: S311  (nothing secret hangs on it)
