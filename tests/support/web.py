"""Asks an application as a browser would, without a server: one that follows nothing and keeps its cookies."""

from typing import Any

import anyio
import httpx
from starlette.types import ASGIApp


class Client:
    """Asks one application.

    Args:
        app: the application.
        base_url: where it thinks that it is.
        raises: whether faults of the program are raised here, too.
    """

    def __init__(self, app: ASGIApp, base_url: str = "http://localhost:8000", *, raises: bool = True) -> None:
        self._app = app
        self._base_url = base_url
        self._raises = raises
        self._cookies = httpx.Cookies()

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Send a request, and return the answer once it is whole."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=self._raises)
            async with httpx.AsyncClient(transport=transport, base_url=self._base_url, cookies=self._cookies) as client:
                found = await client.request(method, path, timeout=60, **given)
                self._cookies = client.cookies
                return found

        return anyio.run(ask)

    def get(self, path: str, **given: Any) -> httpx.Response:
        """Send a GET."""
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        """Send a POST."""
        return self.request("POST", path, **given)
