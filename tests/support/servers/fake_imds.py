"""An instance metadata service, version 2, for tests: what it tells is set while it runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MACHINE = {
    "meta-data/instance-id": "i-0123456789abcdef0",
    "meta-data/instance-type": "g6.xlarge",
    "meta-data/instance-life-cycle": "spot",
    "meta-data/placement/availability-zone": "us-east-1b",
}


class FakeImds(ThreadingHTTPServer):
    """Answers from `told`, with 404 where nothing is; without the newest token with 401."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told = dict(MACHINE)
        self.tokens = 0
        self.broken = False
        self.asked = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, token: str | None) -> tuple[int, str]:
        self.asked.set()
        if self.broken:
            return 500, ""
        if (method, path) == ("PUT", "api/token"):
            self.tokens += 1
            return 200, f"token-{self.tokens}"
        if token != f"token-{self.tokens}":
            return 401, ""
        return (200, self.told[path]) if path in self.told else (404, "")


class _Handler(BaseHTTPRequestHandler):
    server: FakeImds

    def do_GET(self) -> None:
        status, body = self.server.answer(
            self.command, self.path.removeprefix("/latest/"), self.headers["X-aws-ec2-metadata-token"]
        )
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        """Be silent."""


@contextmanager
def fake_imds() -> Iterator[FakeImds]:
    """Run a service for the time of the block."""
    with FakeImds() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
