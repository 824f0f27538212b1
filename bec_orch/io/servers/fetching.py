"""Fetches documents and images from servers of others: politely, within limits, and only from where they may lie.

Passing faults (no connection, no answer in time, a cut answer, status 429 and 5xx) are tried again, after the time that
the server names; then they are the task's to try again. What a server refuses (other statuses, redirects without end,
too many bytes) it refuses to everybody who asks again.
"""

import email.utils
import ipaddress
import math
import random
import socket
import ssl
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

import anyio
import httpcore
from typing_extensions import override

from bec_orch import __version__
from bec_orch.core.names import printable
from bec_orch.core.wording import clause, said
from bec_orch.errors import RetryableError, ServerBusy, ServerRefused, StorageError
from bec_orch.io.servers.addresses import Address, Reach, choose, joined

AT_ONCE = 4
"""Requests to one server at a time."""
MAX_REDIRECTS = 5
USER_AGENT = f"bec-orch/{__version__} (page images for text recognition)"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MISSING = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.TOO_EARLY})
_SERVER_FAULTS = 500
_NOT_OFFERED = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})
_INFLATED = 31  # zlib's way to say: with gzip's header and checksum
_AWAY_HINT = "Run the same command again, or leave it to a worker; look whether it can be reached from here."
_LOOK = 0.02  # seconds between two looks whether it is a request's turn


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds, and how often a passing fault is tried again.

    Attributes:
        attempts: requests for one thing.
        first: the pause before the second one, doubled each time.
        longest: no pause that a server asks for is waited out here that is longer.
        connect: for a connection.
        silence: for the next bytes of an answer.
        whole: for all of one answer.
    """

    attempts: int = 4
    first: float = 1.0
    longest: float = 60.0
    connect: float = 10.0
    silence: float = 30.0
    whole: float = 300.0


class Fetched(NamedTuple):
    """What a server answered.

    Attributes:
        data: the body.
        reach: how far away the server is.
    """

    data: bytes
    reach: Reach


@dataclass
class Fetcher:
    """Asks servers. May be used by all threads and event loops."""

    patience: Patience = field(default_factory=Patience)
    _not_before: dict[str, float] = field(default_factory=dict)
    _turns: dict[str, threading.BoundedSemaphore] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def fetch(self, url: str, allowed: frozenset[Reach] | None, *, limit: int) -> Fetched | None:
        """Fetch what lies at an address; None where the server says that there is nothing.

        Args:
            url: the address.
            allowed: how far away the server may be; None: the address was named by hand, and is as far as it is.
            limit: the most bytes that are taken.

        Raises:
            ServerRefused: the server refuses, or the address may not be asked (E_ADDRESS_REFUSED).
            RetryableError: the server is away or busy; already tried several times.
        """
        for attempt in range(self.patience.attempts):
            try:
                return await self._following(url, allowed, limit)
            except RetryableError as error:
                pause = self._pause(error, attempt)
                if pause is None or attempt + 1 == self.patience.attempts:
                    raise
            await anyio.sleep(pause)
        raise AssertionError  # pragma: no cover  (the last attempt returns or raises)

    async def is_there(self, url: str, allowed: frozenset[Reach]) -> bool:
        """Return whether a server has something at an address, whatever it is."""
        try:
            return await self.fetch(url, allowed, limit=0) is not None
        except ServerRefused:
            return True

    @asynccontextmanager
    async def _turn(self, host: str) -> AsyncIterator[None]:
        """Wait until one more request may go to a server, and count it for the time of the block."""
        with self._lock:
            turns = self._turns.setdefault(host, threading.BoundedSemaphore(AT_ONCE))
        while not turns.acquire(blocking=False):  # noqa: ASYNC110  (other threads with event loops of their own are asked)
            await anyio.sleep(_LOOK)
        try:
            yield
        finally:
            turns.release()

    def _pause(self, error: RetryableError, attempt: int) -> float | None:
        """Return the seconds until the next attempt; None where the server asks for more than is waited out here."""
        asked = error.retry_after if isinstance(error, ServerBusy) else None
        if asked is None:
            return self.patience.first * float(2**attempt) * _jitter()
        return asked if asked <= self.patience.longest else None

    async def _following(self, url: str, allowed: frozenset[Reach] | None, limit: int) -> Fetched | None:
        """Ask, and follow redirects: each leads only where the document itself might have led."""
        for _ in range(MAX_REDIRECTS + 1):
            host = urlsplit(url).hostname or ""
            async with self._turn(host):
                await anyio.sleep(max(0.0, self._not_before.get(host, 0.0) - time.monotonic()))
                answer = await self._asked(url, host, allowed, limit)
            if not isinstance(answer, _Redirect):
                return answer
            url, allowed = joined(url, answer.location), allowed or frozenset({Reach.PUBLIC, answer.reach})
        raise ServerRefused(f"The server {printable(host)} redirects without end.", code="E_SERVER_REDIRECTS")

    async def _asked(
        self, url: str, host: str, allowed: frozenset[Reach] | None, limit: int
    ) -> "Fetched | _Redirect | None":
        network = _Network(allowed, self.patience.connect)
        timeouts = {"connect": self.patience.connect, "read": self.patience.silence, "write": self.patience.silence}
        headers: dict[bytes | str, bytes | str] = {
            "Host": urlsplit(url).netloc,
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Connection": "close",
        }
        try:
            with anyio.fail_after(self.patience.whole):
                async with (
                    httpcore.AsyncConnectionPool(network_backend=network, ssl_context=_trust()) as pool,
                    pool.stream("GET", url, headers=headers, extensions={"timeout": timeouts}) as answer,
                ):
                    return await self._answered(answer, host, network.reach, limit)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, TimeoutError) as error:
            raise StorageError(
                f"The server {printable(host)} does not answer as it should: {said(error)}.",
                code="E_SERVER_AWAY",
                hint=_AWAY_HINT,
            ) from error

    async def _answered(
        self, answer: httpcore.Response, host: str, reach: Reach, limit: int
    ) -> "Fetched | _Redirect | None":
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        if answer.status in _REDIRECTS and "location" in headers:
            return _Redirect(headers["location"], reach)
        if answer.status in _MISSING:
            return None
        if answer.status != HTTPStatus.OK:
            raise self._refusal(host, answer.status, headers)
        body = b"".join([part async for part in _body(answer.aiter_stream(), headers, host, limit)])
        return Fetched(body, reach)

    def _refusal(self, host: str, status: int, headers: Mapping[str, str]) -> RetryableError | ServerRefused:
        name = f"The server {printable(host)} answers with status {status}"
        if status in _BUSY:
            seconds = _seconds(headers.get("retry-after", ""))
            with self._lock:
                until = time.monotonic() + min(seconds or 0.0, self.patience.longest)
                self._not_before[host] = max(self._not_before.get(host, 0.0), until)
            asked = f", and asks to wait for {math.ceil(seconds):,} s" if seconds and math.isfinite(seconds) else ""
            return ServerBusy(f"{name}: it is busy{asked}.", retry_after=seconds)
        if status in _PASSING or (status >= _SERVER_FAULTS and status not in _NOT_OFFERED):
            return StorageError(f"{name}.", code="E_SERVER_AWAY", hint=_AWAY_HINT)
        return ServerRefused(
            f"{name}.", hint="See in a browser what it says: it may want a password, or block programs."
        )


class _Redirect(NamedTuple):
    location: str
    reach: Reach


class _Network(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that may be asked, and to no other."""

    def __init__(self, allowed: frozenset[Reach] | None, seconds: float) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._sockets = httpcore.AnyIOBackend()
        self.reach = Reach.NEVER

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        chosen = choose(await _resolved(host, port, self._seconds), self._allowed)
        if not chosen:
            raise ServerRefused(
                f"The server {printable(host)} has no address that may be asked from where it is named.",
                code="E_ADDRESS_REFUSED",
                hint="Documents of others may not lead into one's own network. Take a copy, and name that.",
            )
        address, self.reach = chosen[0]
        return await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)


async def _resolved(host: str, port: int, seconds: float) -> list[Address]:
    try:
        with anyio.fail_after(seconds):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"its name is not known ({said(error)})") from error
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


async def _body(parts: AsyncIterator[bytes], headers: Mapping[str, str], host: str, limit: int) -> AsyncIterator[bytes]:
    """Yield the parts of a body, inflated where it is gzip although nobody asked for that."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise ServerRefused(f"The server {printable(host)} sends what nobody asked for: '{clause(encoding)}'.")
    inflater, size = None if encoding == "identity" else zlib.decompressobj(_INFLATED), 0
    async for part in parts:
        plain = _inflated(inflater, part, limit + 1 - size, host) if inflater else part
        size += len(plain)
        if size > limit:
            raise ServerRefused(
                f"The server {printable(host)} sends more than {limit} bytes.",
                code="E_SERVER_TOO_LARGE",
                hint="Fetch it by hand, and look what it is.",
            )
        yield plain
    if inflater and not inflater.eof:
        raise httpcore.RemoteProtocolError("the answer was cut")


def _inflated(inflater: "zlib._Decompress", part: bytes, room: int, host: str) -> bytes:
    try:
        return inflater.decompress(part, room)
    except zlib.error as error:
        raise ServerRefused(f"The server {printable(host)} sends broken gzip.") from error


def _seconds(retry_after: str, now: Callable[[], float] = time.time) -> float | None:
    """Read a `Retry-After` (RFC 9110, section 10.2.3): seconds or a date; None where it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), math.inf)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now())
    except (TypeError, ValueError, OverflowError):
        return None


def _jitter() -> float:
    """Return a random factor, so that requests that were refused together do not come back together."""
    return random.uniform(0.5, 1.0)  # nosec B311  # noqa: S311  (no secret)


@cache
def _trust() -> ssl.SSLContext:
    """Return whom TLS trusts: the system, what SSL_CERT_FILE names, and Mozilla's list."""
    return httpcore.default_ssl_context()
