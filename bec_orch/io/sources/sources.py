"""Image sources by name: `<layout>+<url>`, such as `bdrc+s3://archive.tbrc.org` or `folder+file:///scans`.

A layout says where a volume's manifest comes from, and how its pages are read. It is a factory of sources, named in
`LAYOUTS` and nowhere else. The URL is the factory's own to read: it may be a store's, a server's or a document's.
"""

import threading
from typing import Protocol
from urllib.parse import urlsplit

from typing_extensions import override

from bec_orch.core.names import is_utf8, printable
from bec_orch.core.ports.sources import Documents, ImageSource, SourceFactory
from bec_orch.errors import UsageError
from bec_orch.io.servers.fetching import Fetcher
from bec_orch.io.sources.bdrc import open_bdrc
from bec_orch.io.sources.folder import open_flat, open_folder
from bec_orch.io.sources.iiif import open_iiif
from bec_orch.io.sources.mets import open_mets
from bec_orch.io.sources.opening import NO_DOCUMENTS, SourceParts
from bec_orch.io.sources.pdf import open_pdf
from bec_orch.io.stores.storage import Stores


class OpenSource(Protocol):
    """Opens a source of one layout."""

    def __call__(self, name: str, url: str, parts: SourceParts) -> ImageSource:
        """Open the source at a URL.

        Args:
            name: the source's whole name, which its volumes carry.
            url: the URL in it.
            parts: what a source may need of the world.

        Raises:
            UsageError: the URL is not one for this layout.
            StorageError: there is no such store.
        """
        ...


LAYOUTS: dict[str, OpenSource] = {
    "bdrc": open_bdrc,
    "folder": open_folder,
    "flat": open_flat,
    "pdf": open_pdf,
    "iiif": open_iiif,
    "mets": open_mets,
}


def source_name(layout: str, url: str) -> str:
    """Return the name of the source with this layout at this URL.

    Raises:
        UsageError: there is no such layout.
    """
    if layout not in LAYOUTS:
        raise _unknown(f"{layout}+{url}")
    return f"{layout}+{url.rstrip('/') if not url.endswith('///') else url}"


def parse_source(name: str) -> tuple[str, str]:
    """Split a source's name into layout and URL.

    Raises:
        UsageError: it is not the name of a source.
    """
    layout, plus, url = name.partition("+")
    if layout not in LAYOUTS or not plus or "://" not in url:
        raise _unknown(name)
    if not is_utf8(url):
        raise UsageError(
            f"The source {printable(name)} is not UTF-8.",
            code="E_SOURCE_NAME",
            hint="Write other bytes of its path as %E9 and the like.",
        )
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _unknown(name) from error
    if "@" in parts.netloc:
        raise UsageError(
            f"The source {layout}+{parts.scheme}://... holds a user or password.",
            code="E_SOURCE_NAME",
            hint="Credentials are found where the AWS tools look for them; write the URL without.",
        )
    return layout, url


class Sources(SourceFactory):
    """Opens sources by name, each once. May be used by all threads."""

    def __init__(self, stores: Stores, documents: Documents = NO_DOCUMENTS, fetcher: Fetcher | None = None) -> None:
        self._parts = SourceParts(stores, documents, fetcher or Fetcher())
        self._open: dict[str, ImageSource] = {}
        self._lock = threading.Lock()

    @override
    def __call__(self, source: str) -> ImageSource:
        """Return the source of that name.

        Raises:
            UsageError: it is not the name of a source.
            StorageError: there is no such folder.
        """
        with self._lock:
            if source not in self._open:
                layout, url = parse_source(source)
                self._open[source] = LAYOUTS[layout](source, url, self._parts)
            return self._open[source]


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"{printable(name)} is not the name of a source.",
        code="E_SOURCE_NAME",
        hint=f"It is LAYOUT+URL, such as folder+file:///scans; layouts: {', '.join(LAYOUTS)}.",
    )
