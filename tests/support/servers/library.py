"""A library's server on this machine: manifests and pictures by HTTP, with the faults of servers.

What lies under a path is bytes, or a list of answers that are given one after the other, the last one for ever.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from typing_extensions import override


@dataclass(frozen=True)
class Answer:
    """What is answered: `hang` is never to answer, `cut` to end in the middle, `drip` to send a byte now and
    then, `slow` to take a fifth of a second."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


Lying = bytes | Answer | Sequence[Answer]


class Library(ThreadingHTTPServer):
    """Serves what lies in `things`, by path.

    Attributes:
        asked: path and headers of each request.
        most_at_once: the most requests that were under way at a time.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.host = host
        self.things: dict[str, Lying] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.most_at_once = 0
        self.closing = threading.Event()
        self.gate: threading.Barrier | None = None
        self._times: Counter[str] = Counter()
        self._under_way = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.server_address[1]}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def enter(self, path: str, headers: dict[str, str]) -> Answer:
        with self._lock:
            self.asked.append((path, headers))
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            found = self.things.get(path, Answer(status=HTTPStatus.NOT_FOUND))
            answers = [found] if isinstance(found, bytes | Answer) else list(found)
            answer = answers[min(self._times[path], len(answers) - 1)]
            self._times[path] += 1
        return Answer(answer) if isinstance(answer, bytes) else answer

    def leave(self) -> None:
        with self._lock:
            self._under_way -= 1

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Library

    def do_GET(self) -> None:
        answer = self.server.enter(self.path, dict(self.headers))
        try:
            self._answer(answer)
        finally:
            self.server.leave()

    def _answer(self, answer: Answer) -> None:
        if answer.fault == "hang":
            self.server.closing.wait(60)
            return
        if answer.fault == "slow":
            self.server.closing.wait(0.2)
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.fault == "drip":
            while not self.server.closing.wait(0.02):
                self.wfile.write(b"x")
        half = len(answer.body) // 2 if answer.fault == "cut" else len(answer.body)
        self.wfile.write(answer.body[:half])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def library(host: str = "127.0.0.1") -> Iterator[Library]:
    """Serve, for the time of the block."""
    with Library(host) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def manifest(url: str, images: Sequence[str], *, version: int = 3, services: int | None = 3) -> dict[str, object]:
    """Return a manifest at a URL of a server, one canvas for each address of a picture, or of its service."""
    if version == 3:
        canvases = [_canvas3(f"{url}/canvas/{at}", image, services) for at, image in enumerate(images)]
        context = "http://iiif.io/api/presentation/3/context.json"
        return {"@context": context, "id": url, "type": "Manifest", "label": {"bo": ["དཔེ་"]}, "items": canvases}
    sequence = {"canvases": [_canvas2(f"{url}/canvas/{at}", image, services) for at, image in enumerate(images)]}
    return {"@id": url, "@type": "sc:Manifest", "label": "x", "sequences": [sequence]}


def _canvas3(name: str, image: str, services: int | None) -> dict[str, object]:
    body: dict[str, object] = {"id": image, "type": "Image", "format": "image/jpeg"}
    if services:
        body |= {
            "id": f"{image}/full/200,/0/default.jpg",
            "service": [{"id": image, "type": f"ImageService{services}"}],
        }
    annotation = {"type": "Annotation", "motivation": "painting", "target": name, "body": body}
    page = {"type": "AnnotationPage", "items": [annotation]}
    return {"id": name, "type": "Canvas", "width": 10, "height": 10, "items": [page]}


def _canvas2(name: str, image: str, services: int | None) -> dict[str, object]:
    resource: dict[str, object] = {"@id": image, "@type": "dctypes:Image"}
    if services:
        context = f"http://iiif.io/api/image/{services}/context.json"
        resource |= {"@id": f"{image}/full/200,/0/default.jpg"}
        resource |= {"service": {"@context": context, "@id": image, "profile": [f"{context}/level1.json"]}}
    return {"@id": name, "@type": "sc:Canvas", "images": [{"motivation": "sc:painting", "resource": resource}]}


def path_of(url: str) -> str:
    """Return the path of an address, as a server knows it."""
    return urlsplit(url).path
