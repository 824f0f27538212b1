"""Whose artefacts are whose, for tests: a database that is there, or only its name."""

from bec_orch.core.ownership import Owner
from bec_orch.io.stores.objects import Objects

OURS = "6f1c0d2e-93a4-4b57-8c11-2a7d5e0f9b38"
THEIRS = "0b9e4c77-51d2-4f0a-9d3e-c4a86e1f2d90"


def owner(identity: str = OURS, *tasks: str) -> Owner:
    """Return a database by its identity, with these tasks from before there were identities."""
    return Owner(identity, set(tasks).__contains__)


def contents(objects: Objects) -> dict[str, bytes]:
    """Return every object of a store, to see that it is not changed."""
    found = {entry.key: objects.read(entry.key) for entry in objects.walk("")}
    return {key: blob.data for key, blob in found.items() if blob}
