"""A transaction pooler in front of a PostgreSQL server, as pgbouncer is in its mode `transaction`.

A few connections to the server are shared by all clients: each transaction takes the one that was unused for longest,
so the next one of the same client runs in another session. What lives in a session (prepared statements, temporary
tables, LISTEN, locks of a session) is therefore lost between transactions.

The messages are those of the frontend/backend protocol 3.0 (PostgreSQL manual, chapter "Message Formats").
"""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_TLS_REQUEST, _GSS_REQUEST = 80877103, 80877104
_READY, _COPY_IN = b"Z", b"G"
# After these the client waits for the server: a query, the end of a batch, of a COPY, and of a COPY that failed.
_ASKING = frozenset({b"Q", b"S", b"c", b"f"})
_TERMINATE = b"X"
_IDLE = b"I"


class Pooler:
    """Lends `connections` sessions of the server behind the socket at `path` to any number of clients of one user.

    `transactions` counts what was lent, `swaps` how often a client got another session than the time before.
    """

    def __init__(self, path: str, connections: int) -> None:
        self._path = path
        self._connections = connections
        self._free: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        self._greeting = b""
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.transactions = 0
        self.swaps = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it all."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for one in [self._listener, *self._open]:
                one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, EOFError), client:
            self._greet(client)
            _Client(self, client).serve()

    def _greet(self, client: socket.socket) -> None:
        startup = _startup(client)
        with self._lock:
            while self._connections:
                self._connections -= 1
                self._free.put(self._session(startup))
        client.sendall(self._greeting)

    def _session(self, startup: bytes) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._path)
        self._open.append(server)
        server.sendall(startup)
        greeting = [b""]
        while greeting[-1][:1] != _READY:
            greeting.append(_message(server))
        self._greeting = b"".join(greeting)
        return server

    def lend(self) -> socket.socket:
        """Return the session that was unused for longest."""
        return self._free.get()

    def take_back(self, server: socket.socket, *, swapped: bool) -> None:
        """Take back the session of a transaction that is over."""
        with self._lock:
            self.transactions += 1
            self.swaps += swapped
        self._free.put(server)


class _Client:
    """One client, and the session that it has for the length of its transaction."""

    def __init__(self, pooler: Pooler, client: socket.socket) -> None:
        self._pooler = pooler
        self._client = client
        self._server: socket.socket | None = None
        self._last: socket.socket | None = None

    def serve(self) -> None:
        try:
            while (message := _message(self._client))[:1] != _TERMINATE:
                self._server = self._server or self._pooler.lend()
                self._server.sendall(message)
                if message[:1] in _ASKING:
                    self._answer(self._server)
        finally:
            if self._server:
                self._roll_back(self._server)

    def _answer(self, server: socket.socket) -> None:
        """Pass the answer on, up to where the client has the word again."""
        kind = b""
        while kind not in {_READY, _COPY_IN}:
            message = _message(server)
            kind = message[:1]
            if kind == _READY and message[5:6] == _IDLE:
                self._give_back(server)
            self._client.sendall(message)

    def _give_back(self, server: socket.socket) -> None:
        self._pooler.take_back(server, swapped=self._last not in {None, server})
        self._last, self._server = server, None

    def _roll_back(self, server: socket.socket) -> None:
        """End the transaction of a client that is gone."""
        server.sendall(b"Q\x00\x00\x00\x0dROLLBACK\x00")
        while _message(server)[:1] != _READY:
            pass
        self._give_back(server)


def _startup(client: socket.socket) -> bytes:
    while True:
        length = _exactly(client, 4)
        rest = _exactly(client, int.from_bytes(length) - 4)
        if int.from_bytes(rest[:4]) not in {_TLS_REQUEST, _GSS_REQUEST}:
            return length + rest
        client.sendall(b"N")


def _message(source: socket.socket) -> bytes:
    head = _exactly(source, 5)
    return head + _exactly(source, int.from_bytes(head[1:]) - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@contextmanager
def pooler(path: str, connections: int = 3) -> Iterator[Pooler]:
    """Run a pooler for a block."""
    running = Pooler(path, connections)
    try:
        yield running
    finally:
        running.close()
