"""Pictures of pages that lie on servers of others, for the layouts that name them by address."""

import threading
from collections.abc import Mapping, Sequence
from functools import partial

import anyio

from bec_orch.core.names import printable
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.core.wording import clause
from bec_orch.errors import PageError, ServerRefused
from bec_orch.io.servers.addresses import Reach
from bec_orch.io.servers.fetching import Fetcher
from bec_orch.io.sources.pages import MAX_PAGE_BYTES

_TELL = "Tell the library."


class WebPictures:
    """Fetches pictures, and remembers which were not there, to look once more before that is believed."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._missed: dict[VolumeRef, set[str]] = {}
        self._lock = threading.Lock()

    async def read(self, volume: VolumeRef, page: Page, urls: Sequence[str], allowed: frozenset[Reach]) -> bytes:
        """Fetch the picture of a page from the first of its addresses that has it.

        Raises:
            PageError: it is not there, empty, or the server refuses it (stage `fetch`).
            RetryableError: the server is away or busy; already tried several times.
        """
        name = f"The page {printable(page.filename)} of {volume}"
        data = await self._first(name, urls, allowed)
        if data is None:
            with self._lock:
                self._missed.setdefault(volume, set()).add(page.filename)
            message = f"{name} is listed, but there is nothing at {_shown(urls[0])}."
            raise PageError(message, stage="fetch", code="E_PAGE_MISSING", hint=_TELL)
        if not data:
            raise PageError(f"{name} has 0 bytes.", stage="fetch", code="E_IMAGE_EMPTY", hint=_TELL)
        return data

    def gone(self, volume: VolumeRef, urls: Mapping[str, Sequence[str]], allowed: frozenset[Reach]) -> set[str]:
        """Return which pages were not there, and are not there now either; `urls` has the addresses of all, by name.

        Raises:
            RetryableError: the server is away.
        """
        missed = self._missed.get(volume, set()) & urls.keys()
        return {name for name in missed if not anyio.run(partial(self._any_there, urls[name], allowed))}

    async def _first(self, name: str, urls: Sequence[str], allowed: frozenset[Reach]) -> bytes | None:
        refusal: PageError | None = None
        for url in urls:
            try:
                fetched = await self._fetcher.fetch(url, allowed, limit=MAX_PAGE_BYTES)
            except ServerRefused as error:
                message = f"{name} cannot be had from {_shown(url)}: {clause(error.message)}."
                refusal = refusal or PageError(message, stage="fetch", code=error.code, hint=error.hint)
                continue
            if fetched:
                return fetched.data
        if refusal:
            raise refusal
        return None

    async def _any_there(self, urls: Sequence[str], allowed: frozenset[Reach]) -> bool:
        return any([await self._fetcher.is_there(url, allowed) for url in urls])


def _shown(url: str) -> str:
    return printable(url, limit=200)
