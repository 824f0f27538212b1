"""The server of one command: where it listens, who is let in, and how it ends."""

import errno
import ipaddress
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from typing_extensions import override

from bec_orch.cli.composition.parts import Parts
from bec_orch.cli.process.signals import stopping
from bec_orch.core.extras import optional_packages
from bec_orch.core.names import printable
from bec_orch.core.wording import said
from bec_orch.errors import UsageError, extra_hint
from bec_orch.settings.config import Settings

with optional_packages("The server", extra_hint("web")):
    import uvicorn

    from bec_orch.cli.serve.building import sight_of
    from bec_orch.web.app import application
    from bec_orch.web.door.guard import PARAMETER, Door

PORT = 8000
HOST = "127.0.0.1"
_SHORTEST_TOKEN = 16
# Bytes of a token that is made up: 43 letters.
_TOKEN_BYTES = 32
_MOST_CONNECTIONS = 256
# Seconds that answers on their way have when the server ends.
_LAST_ANSWERS = 3
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that listens, and what is needed to ask there.

    Attributes:
        socket: the socket.
        door: who is let in.
        made_up: whether the token is of this run alone.
    """

    socket: socket.socket
    door: Door
    made_up: bool

    def url(self, path: str = "/") -> str:
        """Return the address of a page; with the token where one is needed."""
        host, port = self.socket.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = socket.gethostname()
        name = f"[{host}]" if ":" in host else host
        token = f"?{PARAMETER}={self.door.token}" if self.door.token and self.made_up else ""
        return f"http://{name}:{port}{path}{token}"


@contextmanager
def listening(settings: Settings, host: str, port: int) -> Iterator[Listening]:
    """Listen at an address.

    Raises:
        UsageError: the address is none of this machine's (E_WEB_ADDRESS), the port is taken (E_PORT_TAKEN) or not to
            be had (E_PORT_DENIED), or the token is too short (E_WEB_TOKEN_SHORT).
    """
    own, made_up = _token(settings, host)
    with _bound(host, port) as bound:
        names = {"localhost", host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        yield Listening(bound, Door(frozenset(names), own), made_up)


def _token(settings: Settings, host: str) -> tuple[str | None, bool]:
    """Return the token, None where only this machine can ask; and whether it was made up."""
    given = settings.web_token.get_secret_value() if settings.web_token else None
    if given is not None and len(given) < _SHORTEST_TOKEN:
        raise UsageError(
            f"The token in BEC_WEB_TOKEN has fewer than {_SHORTEST_TOKEN} characters.",
            code="E_WEB_TOKEN_SHORT",
            hint="Take a long one, such as `openssl rand -hex 32` prints, or none: then one is made up.",
        )
    if given is not None or _is_loopback(host):
        return given, False
    return secrets.token_urlsafe(_TOKEN_BYTES), True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _no_address(host, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise _not_bound(host, port, error) from error
    return bound


def _not_bound(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"The port {port} of {printable(host)} is taken.",
            code="E_PORT_TAKEN",
            hint="Another `bec serve` may have it. --port takes another one, --port 0 any that is free.",
        )
    if error.errno == errno.EACCES:
        return UsageError(
            f"The port {port} is not to be had: {said(error)}.",
            code="E_PORT_DENIED",
            hint="Ports below 1024 are the system's; take a higher one with --port.",
        )
    return _no_address(host, error)


def _no_address(host: str, error: Exception) -> UsageError:
    return UsageError(
        f"Nobody can listen at {printable(host)}: {said(error)}.",
        code="E_WEB_ADDRESS",
        hint="--host takes an address of this machine; 0.0.0.0 stands for all.",
    )


class _Server(uvicorn.Server):
    """Leaves signals to this program."""

    @contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


def run(parts: Parts, listening: Listening) -> None:
    """Answer requests until a signal asks for the end."""
    sight = sight_of(parts)
    config = uvicorn.Config(
        application(sight, listening.door),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_LAST_ANSWERS,
    )
    server = _Server(config)

    def stop(_reason: object) -> None:
        sight.closing.set()
        server.should_exit = True

    threading.Thread(target=sight.look_ahead, name="look-ahead", daemon=True).start()
    with closing(sight), stopping(stop, "Stopping."):
        server.run(sockets=[listening.socket])
