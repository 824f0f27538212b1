"""What the sources of all layouts are opened with, and what their names may say after a `#`."""

from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import unquote

from typing_extensions import override

from bec_orch.core.names import printable
from bec_orch.core.ports.sources import Documents
from bec_orch.errors import ConfigError, UsageError
from bec_orch.io.servers.fetching import Fetcher
from bec_orch.io.stores.storage import Stores


class _NoDocuments(Documents):
    @override
    def count_pages(self, file: int) -> int:
        raise _nothing_reads()

    @override
    def picture(self, file: int, index: int, dpi: int) -> bytes:
        raise _nothing_reads()


def _nothing_reads() -> ConfigError:
    return ConfigError("Nothing reads documents here.", code="E_EXTRA_MISSING")


NO_DOCUMENTS: Documents = _NoDocuments()
"""Reads nothing: for what only looks for volumes."""


@dataclass(frozen=True, slots=True)
class SourceParts:
    """What a source may need of the world.

    Attributes:
        stores: opens object stores, for a layout whose images lie in one.
        documents: reads files of many pages.
        fetcher: asks servers.
    """

    stores: Stores
    documents: Documents = NO_DOCUMENTS
    fetcher: Fetcher = field(default_factory=Fetcher)


def split_options(name: str, url: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Split what stands after a `#` from the URL of a source: `file:///scans#dpi=400`; `known`: what its layout takes.

    Raises:
        UsageError: an option is not known to the layout, there twice, or empty (E_SOURCE_NAME).
    """
    bare, _, fragment = url.partition("#")
    pairs = [pair.partition("=") for pair in fragment.split("&")] if fragment else []
    options = {key: unquote(value) for key, _, value in pairs}
    if not options.keys() <= set(known) or len(options) < len(pairs) or not all(options.values()):
        raise UsageError(
            f"The source {printable(name, limit=300)} says after its `#` what cannot be read.",
            code="E_SOURCE_NAME",
            hint=_may_be(name, known),
        )
    return bare, options


def _may_be(name: str, known: Collection[str]) -> str:
    if known:
        return f"There may be, each once: {', '.join(f'{each}=...' for each in sorted(known))}, parted by `&`."
    return (
        f"The layout `{name.partition('+')[0]}` takes nothing there: `#dpi=...` is for PDFs, `#group=...` for "
        "workspaces of OCR-D. A `#` in the name of a folder is written as %23."
    )
