"""A model behind a real HTTP server of known capacity, and a page job that asks it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar

import httpx
import pyarrow as pa

from bec_orch.core.job_config import JobConfig
from bec_orch.errors import PageError, RetryableError, ServerBusy
from bec_orch.jobs.pipeline.config import RequestJobConfig
from bec_orch.jobs.pipeline.page_input import PageInput
from bec_orch.jobs.pipeline.page_job import Round
from bec_orch.jobs.pipeline.page_worker import RequestJobWorker
from bec_orch.jobs.pipeline.seats import Ask
from bec_orch.plugin import Row


@dataclass
class ModelServer:
    """Reports the length of what it is sent. Changed by a test from its own thread, at any time.

    Attributes:
        capacity: requests that it works on at once; more are refused with `refusal`.
        seconds: how long each takes.
        refusal: the status of a refusal, and what it says of when to come back (`Retry-After`), if anything.
        hanging: bodies that are never answered.
        failing: so many of the next requests are answered with status 500.
        work: when each request was begun and ended.
    """

    capacity: int = 1000
    seconds: float = 0.0
    refusal: tuple[int, str | None] = (429, "1")
    hanging: frozenset[bytes] = frozenset()
    failing: int = 0
    work: list[tuple[float, float]] = field(default_factory=list)
    served: int = 0
    refused: int = 0
    at_once: int = 0
    most_at_once: int = 0
    cut_off: int = 0
    url: str = ""
    _ready: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _stop: asyncio.Event | None = None
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def die(self) -> None:
        """Take no more requests, and cut off those that are in work."""
        self._do(self._die())

    def live(self) -> None:
        """Be there again, on the same port."""
        self._do(self._listen())

    def run(self) -> None:
        """Serve until `stop`; for a thread of its own."""
        asyncio.run(self._serve_all())

    def stop(self) -> None:
        """End; the thread's `run` returns."""
        assert self._loop
        assert self._stop
        self._loop.call_soon_threadsafe(self._stop.set)

    def wait(self) -> None:
        """Wait until it listens."""
        assert self._ready.wait(10)

    def _do(self, what: Coroutine[None, None, None]) -> None:
        assert self._loop
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _serve_all(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._listen()
        self._ready.set()
        await self._stop.wait()
        await self._die()

    async def _listen(self) -> None:
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _die(self) -> None:
        if self._server:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await self._answer(reader, writer, await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
        if self.failing:
            self.failing -= 1
            await _write(writer, 500, b"")
        elif self.at_once >= self.capacity:
            self.refused += 1
            status, retry_after = self.refusal
            await _write(writer, status, b"", f"Retry-After: {retry_after}\r\n" if retry_after else "")
        else:
            await self._serve(reader, writer, body)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._work(reader, body)
        finally:
            self.at_once -= 1
        await _write(writer, 200, str(len(body)).encode())

    async def _work(self, reader: asyncio.StreamReader, body: bytes) -> None:
        begun = time.monotonic()
        if body in self.hanging:
            while not reader.at_eof():  # noqa: ASYNC110  (the client's end is no event here)
                await asyncio.sleep(0.01)
            self.cut_off += 1
            raise ConnectionError
        await asyncio.sleep(self.seconds)
        self.work.append((begun, time.monotonic()))
        self.served += 1

    def share_busy(self) -> float:
        """How much of what it can do at once it did, from its first request to its last answer."""
        begun, ended = min(begun for begun, _ in self.work), max(ended for _, ended in self.work)
        return sum(ended - begun for begun, ended in self.work) / (self.capacity * (ended - begun))


async def _write(writer: asyncio.StreamWriter, status: int, body: bytes, more: str = "") -> None:
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


@contextmanager
def serving(server: ModelServer) -> Iterator[ModelServer]:
    """Have a server in a thread of its own for the time of a block."""
    thread = threading.Thread(target=server.run, name="model-server")
    thread.start()
    server.wait()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


class LengthsConfig(RequestJobConfig):
    """Where the server is."""

    url: str = ""


class ServedLengths(RequestJobWorker[LengthsConfig, bytes, int, None]):
    """Has a server tell how long the file of each page is; `on_ask` is called before each request."""

    job_type = "served_lengths"
    config_type: ClassVar[type[JobConfig]] = LengthsConfig
    code_version = "1"
    schema = pa.schema([("length", pa.int32())])
    on_ask: Callable[[bytes], None] = staticmethod(lambda _: None)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Ask[bytes, int]]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        # The pipeline holds the time of each request.
        forever, url = httpx.Timeout(None), self.config.url
        async with httpx.AsyncClient(base_url=url, timeout=forever, limits=limits, trust_env=False) as client:

            async def ask(item: bytes) -> int:
                self.on_ask(item)
                return _read(await _sent(client, item))

            yield ask

    def measure(self, page: PageInput) -> int:
        return page.nbytes

    def decode(self, page: PageInput) -> Round[bytes, None]:
        return Round([page.data], None, page.nbytes)

    def finish(self, page: PageInput, state: None, outputs: Sequence[int]) -> Row:
        return {"length": outputs[0]}


async def _sent(client: httpx.AsyncClient, item: bytes) -> httpx.Response:
    try:
        return await client.post("/lengths", content=item)
    except httpx.TransportError as error:
        raise RetryableError(f"The server {client.base_url} is away: {error!r}.", code="E_SERVER_AWAY") from error


def _read(response: httpx.Response) -> int:
    if response.status_code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        after = response.headers.get("Retry-After")
        raise ServerBusy(f"The server {response.url.host} is busy.", float(after) if after else None)
    if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise PageError("The server cannot read the page.", stage="infer", code="E_SERVER_REFUSED")
    if response.is_error:
        raise RetryableError(f"The server answered {response.status_code}.", code="E_SERVER_FAILED")
    return int(response.text)
