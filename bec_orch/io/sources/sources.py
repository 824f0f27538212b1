"""Image sources by name: `<layout>+<url>`, such as `bdrc+s3://archive.tbrc.org` or `folder+file:///scans`."""

import threading
from urllib.parse import urlsplit

from bec_orch.core.names import is_utf8, printable
from bec_orch.core.sources import ImageSource
from bec_orch.errors import UsageError
from bec_orch.io.sources.bdrc import BdrcSource
from bec_orch.io.sources.folder import FolderSource
from bec_orch.io.stores.storage import Stores

LAYOUTS = ("bdrc", "folder", "flat")


def source_name(layout: str, url: str) -> str:
    """Give the name of the source with this layout at this URL.

    Raises:
        UsageError: there is no such layout.
    """
    if layout not in LAYOUTS:
        raise _unknown(f"{layout}+{url}")
    return f"{layout}+{url.rstrip('/') if not url.endswith('///') else url}"


def parse_source(name: str) -> tuple[str, str]:
    """Take a source's name apart into layout and URL.

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
    if "@" in urlsplit(url).netloc:
        raise UsageError(
            f"The source {layout}+{urlsplit(url).scheme}://... holds a user or password.",
            code="E_SOURCE_NAME",
            hint="Credentials are found where the AWS tools look for them; write the URL without.",
        )
    return layout, url


class Sources:
    """Gives sources by name, each opened once (a `SourceFactory`). May be used by all threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._open: dict[str, ImageSource] = {}
        self._lock = threading.Lock()

    def __call__(self, source: str) -> ImageSource:
        """Give the source of that name.

        Raises:
            UsageError: it is not the name of a source.
            StorageError: there is no such folder.
        """
        with self._lock:
            if source not in self._open:
                self._open[source] = self._opened(source)
            return self._open[source]

    def _opened(self, name: str) -> ImageSource:
        layout, url = parse_source(name)
        objects = self._stores.open(url)
        if layout == "bdrc":
            return BdrcSource(name, objects)
        return FolderSource(name, objects, flat=layout == "flat")


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"{printable(name)} is not the name of a source.",
        code="E_SOURCE_NAME",
        hint=f"It is LAYOUT+URL, such as folder+file:///scans; layouts: {', '.join(LAYOUTS)}.",
    )
