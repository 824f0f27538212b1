"""What image sources are opened with."""

from bec_orch.io.sources.sources import Sources
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.decoders.documents import DocumentPool


def open_sources(stores: Stores) -> Sources:
    """Return the opener of image sources."""
    return Sources(stores, DocumentPool())
