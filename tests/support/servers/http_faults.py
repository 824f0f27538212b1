"""A proxy in front of an HTTP service that does to single requests what networks and busy services do."""

import http.client
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
NO_KEYS = b"<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the next requests of a method whose path ends with a name.

    `kind` is `status` (answered here with a status and body), `reset` (cut off before it is passed on), `half` (the
    body of the answer is cut off), `lost` (done by the service, and the answer cut off), `hang` (no answer for
    `seconds`, then cut off).
    """

    kind: str
    method: str
    suffix: str
    status: int = 500
    body: bytes = b""
    seconds: float = 0.0


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on to `target`, but for those that a fault is waiting for; each fault happens once.

    While `down`, every request is cut off. A bucket in `lacking` is without each of its objects, and one in `emptied`
    lists none either, as where a bucket is exchanged for another. `rewrites` changes the headers that are passed on.
    `answers` has method, path and status of each answer of the service itself.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.faults: deque[Fault] = deque()
        self.happened: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.answers: list[tuple[str, str, int]] = []
        self.down = False
        self.lacking: set[str] = set()
        self.emptied: set[str] = set()
        self.rewrites: Callable[[dict[str, str]], dict[str, str]] = lambda headers: headers
        self.closing = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were killed in the middle of a request."""

    def fault_for(self, method: str, path: str, headers: dict[str, str]) -> Fault | None:
        """Take note of a request, and return what is to happen to it."""
        with self._lock:
            self.requests.append((method, path, headers))
            for fault in self.faults:
                if fault.method == method and path.partition("?")[0].endswith(fault.suffix):
                    self.faults.remove(fault)
                    self.happened.append(fault)
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    server: FaultProxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.down:
            self.close_connection = True
            return
        bucket, _, key = self.path.partition("?")[0].strip("/").partition("/")
        if self.command in {"GET", "HEAD"} and key and bucket in self.server.lacking | self.server.emptied:
            self._answer(404, {"Content-Length": str(len(NO_SUCH_KEY))}, NO_SUCH_KEY)
            return
        if self.command == "GET" and not key and bucket in self.server.emptied:
            self._answer(200, {"Content-Length": str(len(NO_KEYS))}, NO_KEYS)
            return
        fault = self.server.fault_for(self.command, self.path, dict(self.headers))
        match fault.kind if fault else "":
            case "status":
                assert fault
                self._answer(fault.status, {"Content-Length": str(len(fault.body))}, fault.body)
            case "hang":
                assert fault
                self.server.closing.wait(fault.seconds)
                self.close_connection = True
            case "reset":
                self.close_connection = True
            case kind:
                self._answer_of_the_service(body, kind)

    def _answer_of_the_service(self, body: bytes, kind: str) -> None:
        service = http.client.HTTPConnection(self.server.target, timeout=30)
        try:
            service.request(self.command, self.path, body, self.server.rewrites(dict(self.headers)))
            answer = service.getresponse()
            data = answer.read()
            self.server.answers.append((self.command, self.path, answer.status))
        finally:
            service.close()
        if kind == "lost":
            self.close_connection = True
            return
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
        if self.command != "HEAD":
            headers["Content-Length"] = str(len(data))
        self._answer(answer.status, headers, data[: len(data) // 2] if kind == "half" else data)
        self.close_connection = kind == "half"

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


_OWN = {"connection", "transfer-encoding", "date", "server"}


@contextmanager
def faulty(target: str) -> Iterator[FaultProxy]:
    """Run a proxy in front of a service for a block."""
    proxy = FaultProxy(target)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()
