"""Server-sent events: a page hears that something has moved on, and asks for its figures again.

One question to the database serves all pages that listen.
"""

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bec_orch.errors import BecError
from bec_orch.web.sight.sight import Sight

_EVERY = 2.0
# The database is asked no more often than this many times as long as its answer took.
_REST = 20.0
# Proxies and browsers give up on a connection that is silent for longer.
_ALIVE_EVERY = 15.0
_MOST_LISTENERS = 64
_SLICE = 0.5


class Pulse:
    """What changes when something has moved on, asked of the database now and then.

    Args:
        ask: returns a text that changes then.
    """

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._beat = ""
        self._next = 0.0

    def beat(self) -> str:
        """Return the text that holds now; the last one while the database is away, or somebody asks already."""
        if self._lock.acquire(blocking=False):
            try:
                self._renew()
            finally:
                self._lock.release()
        return self._beat

    def _renew(self) -> None:
        begun = time.monotonic()
        if begun < self._next:
            return
        with suppress(BecError):  # those who ask for a page are told
            self._beat = self._ask()
        self._next = time.monotonic() + max(_EVERY, _REST * (time.monotonic() - begun))


def stream(request: Request) -> Response:
    """Tell of changes for as long as somebody listens."""
    state = request.app.state
    return StreamingResponse(
        _events(state.sight, state.pulse, state.listeners),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _events(sight: Sight, pulse: Pulse, listeners: anyio.CapacityLimiter) -> AsyncIterator[str]:
    try:
        listeners.acquire_on_behalf_of_nowait(borrower := object())
    except anyio.WouldBlock:
        yield "retry: 60000\n\n"
        return
    try:
        known, spoken = "", time.monotonic()
        yield "retry: 3000\n\n"
        while not sight.closing.is_set():
            beat = await anyio.to_thread.run_sync(pulse.beat)
            if beat != known or time.monotonic() - spoken > _ALIVE_EVERY:
                yield ": alive\n\n" if beat == known or not known else "event: change\ndata: \n\n"
                known, spoken = beat, time.monotonic()
            await anyio.sleep(_SLICE)
    finally:
        listeners.release_on_behalf_of(borrower)


def new_listeners() -> anyio.CapacityLimiter:
    """Return what bounds how many pages listen at a time."""
    return anyio.CapacityLimiter(_MOST_LISTENERS)
