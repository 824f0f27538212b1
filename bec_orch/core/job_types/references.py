"""The versions of the folders outside of the archive that a job's result depends on, such as ground truth."""

import hashlib
import json
from collections.abc import Callable, Iterable

from bec_orch.core.by_name import find_folder
from bec_orch.core.job_config import ReferenceFolder
from bec_orch.core.ports.job_worker import BlobReader, StoredListing


def versions(folders: Iterable[ReferenceFolder], open_store: Callable[[str], BlobReader]) -> dict[str, str]:
    """Return the version of each folder by its URL: the SHA-256 of names and ETags in it; of none when it is missing.

    Raises:
        ConfigError: what is named is not a store.
        StorageError: a store is away, or lacks more than the folder: it holds nothing at all.
    """
    return {folder.url: _digest(open_store(folder.store), folder.path) for folder in folders}


def list_folder(store: BlobReader, path: str) -> StoredListing:
    """List a folder, or where it holds nothing the one of the same name in another Unicode form.

    Raises:
        StorageError: the store is away, or holds nothing at all.
    """
    listed = store.surely(lambda: store.list(path))
    if listed.objects or path.isascii():  # names in ASCII have one form
        return listed
    found = find_folder(path, lambda folder: store.list(folder).folders)
    return store.list(found) if found else listed


def _digest(store: BlobReader, path: str) -> str:
    listed = sorted([entry.name, entry.etag] for entry in list_folder(store, path).objects)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
