"""The guard at the door: who may ask, for what, and what every answer carries.

A page of another site may have a browser here ask this server, too. So a name that such a site had point here is
refused (DNS rebinding), as is every method that is there to change something; answers are for this site's own pages,
and hold no code but the files of `/static`. Where the server can be reached from elsewhere, whoever asks needs a token.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bec_orch.core.names import printable
from bec_orch.errors import BecError, UsageError
from bec_orch.web.html.answers import error_answer

METHODS = ("GET", "HEAD")
PARAMETER = "token"
"""Of the address that is opened first: it becomes a cookie, and goes out of the address."""
SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# A name or an address, and a port (RFC 9110, 7.2): nothing else may stand there.
_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::[0-9]{1,5})?")
_FOR_ALL = "/static/"
_COOKIE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Door:
    """Who is let in.

    Attributes:
        names: the names of this server in `Host`; addresses as numbers are always taken, as no site has such a name.
        token: what whoever asks has to know; None: nothing, as only this machine can ask.
    """

    names: frozenset[str]
    token: str | None = None

    def knows(self, host: str) -> bool:
        """Return whether the `Host` of a request is a name of this server."""
        found = _HOST.fullmatch(host.lower())
        if not found:
            return False
        try:
            ipaddress.ip_address(found["name"] or found["v6"])
        except ValueError:
            return found["name"] in self.names
        return True

    def lets_in(self, given: str) -> bool:
        """Return whether this is the token."""
        return self.token is None or hmac.compare_digest(given.encode(errors="replace"), self.token.encode())

    def recognises(self, cookie: str) -> bool:
        """Return whether a cookie was given out for the token."""
        return self.token is None or hmac.compare_digest(cookie.encode(errors="replace"), self.cookie.encode())

    @property
    def cookie(self) -> str:
        """What the cookie holds: nobody who finds it in a browser's files has the token."""
        return hmac.new((self.token or "").encode(), b"bec serve", hashlib.sha256).hexdigest()


class Guard:
    """Lets requests through, or answers them itself.

    Args:
        app: what answers those that are let through.
        door: who is let in.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._own_answer(Request(scope)) or self._app
        await answer(scope, receive, send_guarded)

    def _own_answer(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._door.knows(host):
            return error_answer(request, _unknown_host(host), 421)
        if request.method not in METHODS:
            return error_answer(request, _method(request.method), 405, {"Allow": ", ".join(METHODS)})
        return self._token_answer(request)

    def _token_answer(self, request: Request) -> Response | None:
        """Let in who has the cookie or the token; turn a token in the address into the cookie.

        The files of this package are for all, so that the page that asks for the token looks like the others.
        """
        if self._door.token is None or request.scope["path"].startswith(_FOR_ALL):
            return None
        name = _cookie_name(request)
        if PARAMETER in request.query_params and self._door.lets_in(request.query_params[PARAMETER]):
            answer = RedirectResponse(_without_token(request), status_code=303)
            answer.set_cookie(name, self._door.cookie, max_age=_COOKIE_SECONDS, httponly=True, samesite="lax", path="/")
            return answer
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._door.lets_in(given.strip()):
            return None
        if self._door.recognises(request.cookies.get(name, "")):
            return None
        return _asking_for_it(request)


def _cookie_name(request: HTTPConnection) -> str:
    """Name the cookie by the port: browsers hand a cookie to all ports of a host."""
    return f"bec_{request.url.port or 0}"


def _asking_for_it(request: Request) -> Response:
    path, asked = _address(request)
    values = {"path": path, "asked": asked, "parameter": PARAMETER}
    return error_answer(request, _NO_TOKEN, 401, {"WWW-Authenticate": "Bearer"}, template="token.html", values=values)


def _without_token(request: Request) -> str:
    path, asked = _address(request)
    return f"{path}?{urlencode(asked)}" if asked else path


def _address(request: Request) -> tuple[str, list[tuple[str, str]]]:
    """Return the path of a request, and what it asks for beside the token."""
    asked = [
        (key, value) for key, values in parse_qs(request.url.query).items() for value in values if key != PARAMETER
    ]
    # Two slashes at its beginning would lead to another host.
    return "/" + quote(request.scope["path"].lstrip("/")), asked


def _unknown_host(host: str) -> BecError:
    return UsageError(
        f"This server is not named {printable(host)}.",
        code="E_WEB_HOST",
        hint="Ask it by its address, or by the name that --host gave it.",
    )


def _method(method: str) -> BecError:
    return UsageError(
        f"The method {printable(method)} is not served: nothing is changed here.",
        code="E_WEB_METHOD",
        hint="Use the commands of `bec`.",
    )


_NO_TOKEN = UsageError(
    "This server answers only those who have its token: it is missing here, or another one.",
    code="E_WEB_TOKEN",
    hint="Open the address with the token once, as `bec serve` printed it, or send `Authorization: Bearer TOKEN`.",
)
