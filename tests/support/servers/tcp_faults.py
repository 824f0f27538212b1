"""A proxy in front of a PostgreSQL server that does what networks do: refuse, reset, swallow, and lose an answer."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)
_COMMITTED = b"COMMIT\x00"


class TcpFaults:
    """Passes bytes between clients and `target`, until told otherwise. May be told from any thread.

    `target` may be set to another server; connections that are made from then on go there.

    `lose_commit_after` is a piece of SQL: the next time that a client sent it, the server's answer to the `COMMIT` that
    follows is lost together with the connection, and `lost` is set.
    """

    def __init__(self, target: str | tuple[str, int]) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        self._mode = "pass"
        self.lose_commit_after: bytes | None = None
        self.lost = threading.Event()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Nobody listens any more, and all connections end."""
        self._mode = "refuse"
        # Wakes the thread that accepts; a socket that is only closed would take one more connection.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end_all()

    def reset(self) -> None:
        """All connections end with a reset; new ones are made as usual."""
        self._end_all(reset=True)

    def swallow(self) -> None:
        """All connections stay, and new ones are taken, but nothing is passed on, ever."""
        self._mode = "swallow"
        with self._lock:
            for pair in self._pairs:
                pair.swallowing = True

    def restore(self) -> None:
        """New connections work again."""
        if self._mode == "refuse":
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        self._mode = "pass"

    def close(self) -> None:
        """End it all."""
        self.refuse()

    def _end_all(self, *, reset: bool = False) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.end(reset=reset)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = self._connected()
                if server is None:
                    client.close()
                    continue
                pair = _Pair(self, client, server, swallowing=self._mode == "swallow")
                with self._lock:
                    self._pairs.append(pair)
                pair.start()

    def _connected(self) -> socket.socket | None:
        """Connect to the server; None while it is not there."""
        server = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
        try:
            server.connect(self.target)
        except OSError:
            server.close()
            return None
        return server


class _Pair:
    """One client's connection and the server's."""

    def __init__(self, faults: TcpFaults, client: socket.socket, server: socket.socket, *, swallowing: bool) -> None:
        self._faults = faults
        self._client = client
        self._server = server
        self._armed = False
        self.swallowing = swallowing

    def start(self) -> None:
        for source, sink, watch in (
            (self._client, self._server, self._watch_client),
            (self._server, self._client, self._watch_server),
        ):
            threading.Thread(target=self._pump, args=(source, sink, watch), daemon=True).start()

    def end(self, *, reset: bool = False) -> None:
        if reset:
            with suppress(OSError):
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for one in (self._client, self._server):
            with suppress(OSError):
                if not reset:
                    one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _pump(self, source: socket.socket, sink: socket.socket, watch: object) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.swallowing:
                    continue
                if callable(watch) and watch(data):
                    break
                sink.sendall(data)
        if not self.swallowing:
            self.end()

    def _watch_client(self, data: bytes) -> bool:
        wanted = self._faults.lose_commit_after
        if wanted and wanted in data:
            self._faults.lose_commit_after = None
            self._armed = True
        return False

    def _watch_server(self, data: bytes) -> bool:
        if self._armed and _COMMITTED in data:
            self._armed = False
            self._faults.lost.set()
            return True
        return False


@contextmanager
def tcp_faults(target: str | tuple[str, int]) -> Iterator[TcpFaults]:
    """Run a proxy for a block."""
    faults = TcpFaults(target)
    try:
        yield faults
    finally:
        faults.close()
