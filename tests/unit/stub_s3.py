"""A few answers of S3 over real HTTP, in a thread: enough to see how faults are told apart."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETAG = '"0123456789abcdef0123456789abcdef-2"'


class StubS3(ThreadingHTTPServer):
    """Answers each path with the next of its `(status, body)`; the last one stays. A short body is cut off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[tuple[int, bytes]]] = {}
        self.cut: set[str] = set()
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: StubS3

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, path))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answers = self.server.answers.get(path, [(404, b"<Error><Code>NoSuchKey</Code></Error>")])
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        cut = path in self.server.cut
        self.server.cut.discard(path)
        self.send_response(status)
        self.send_header("ETag", ETAG)
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.send_header("Content-Length", str(len(body) + (10 if cut else 0)))
        if cut:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = cut

    do_GET = do_PUT = do_HEAD = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def stub_s3() -> Iterator[StubS3]:
    """Run the stub for a block."""
    server = StubS3()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
