"""The name at which readers look that make it up themselves and do not read `success.json` (docs/artefact-formats.md).

Beside a `success.json` of ours it holds a copy of the file that is named there. Publishing never depends on it: the
copy is put afterwards, by whoever comes to it, and what carries no mark of ours is left as it is. What lies there is
looked at before `success.json` is read, and exchanged for just that: of two that put their copies, the one that read
the older `success.json` finds something else there than it saw, and looks again. Folders know no compare-and-swap:
there, an older copy may win for a moment, and the next look mends it.
"""

import json
from collections.abc import Callable
from typing import Any

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, Success
from bec_orch.core.ownership import Owner
from bec_orch.errors import StorageError, TerminalError
from bec_orch.io.artefacts.names import conventional_key
from bec_orch.io.artefacts.parquet import BrokenParquet, opened, reading
from bec_orch.io.artefacts.removal import remove
from bec_orch.io.stores.errors import DENIED
from bec_orch.io.stores.objects import Entry, Objects

METADATA_KEY = b"bec_orch"
"""Where a Parquet file of ours says how it was made."""
_MOST_TRIES = 3


def put_copy(
    objects: Objects, owner: Owner, location: ArtefactLocation, success_at: Callable[[ArtefactLocation], Success | None]
) -> bool:
    """Have the conventional name hold the file of a `success.json` of ours, and return whether it does.

    Raises:
        StorageError: the store is away.
    """
    key = conventional_key(location)
    held = _holds(objects, owner, _readable(success_at, location), key)
    for _ in range(_MOST_TRIES):
        if held is not None:
            return held
        version = objects.version_at(key)
        success = _readable(success_at, location)
        held = _holds(objects, owner, success, key)
        if held is None and success and _put(objects, success.files[0], key, version):
            return True
    return False


def holds_copy(objects: Objects, owner: Owner, success: Success) -> bool | None:
    """Return whether the conventional name holds the file of a `success.json` of ours; None where it can be put there.

    Raises:
        StorageError: the store is away.
    """
    return _holds(objects, owner, success, conventional_key(success.location))


def remove_copy(objects: Objects, owner: Owner, location: ArtefactLocation) -> None:
    """Remove what we put under the conventional name, so that no reader meets what its `success.json` is taken back of.

    Raises:
        StorageError: the store is away.
    """
    there = objects.head(conventional_key(location))
    if there and _is_made_by(objects, there, owner):
        remove(objects, [there.key])


def _readable(success_at: Callable[[ArtefactLocation], Success | None], location: ArtefactLocation) -> Success | None:
    try:
        return success_at(location)
    except TerminalError:
        return None


def _holds(objects: Objects, owner: Owner, success: Success | None, key: str) -> bool | None:
    """Return whether a name holds the file of a `success.json`; None where that is to be put there."""
    if success is None or not owner.owns(success.mark) or len(success.files) != 1:
        return False
    there = objects.head(key)
    if there is None:
        return None
    if _is_copy(objects, there, success.files[0]):
        return True
    return None if _is_made_by(objects, there, owner) else False


def _put(objects: Objects, file: ArtefactFile, key: str, version: str | None) -> bool:
    """Put the file there; False where something else is there by now, and where the store keeps what it has."""
    blob = objects.read(file.key)
    if blob is None:
        return False
    try:
        return objects.create(key, blob.data) if version is None else objects.replace(key, blob.data, version)
    except StorageError as error:
        if error.code != DENIED:
            raise
        return False


def _is_copy(objects: Objects, there: Entry, file: ArtefactFile) -> bool:
    """Return whether two files are of one size and one attempt, which no two different ones are."""
    named = objects.head(file.key)
    made = _made(objects, named) if named and named.size == there.size else {}
    return bool(made) and made == _made(objects, there)


def _is_made_by(objects: Objects, entry: Entry, owner: Owner) -> bool:
    return _made(objects, entry).get("database") == owner.identity


def _made(objects: Objects, entry: Entry) -> dict[str, Any]:
    """Return how a Parquet file says that it was made; empty where it says nothing, or is none."""
    try:
        with reading(), objects.open(entry) as file, opened(file, entry.size) as parquet:
            found = json.loads((parquet.schema_arrow.metadata or {}).get(METADATA_KEY, b"{}"))
    except BrokenParquet:
        return {}
    return found if isinstance(found, dict) else {}
