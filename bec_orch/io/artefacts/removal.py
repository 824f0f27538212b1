"""Removes objects of artefacts: the only place that does. Whose they are, the caller knows.

A store may keep what it was given: by a lock or a retention time, or because nobody may delete. Then work goes on: what
stays is counted, and logged once for each store.
"""

import logging
from collections.abc import Iterable

from bec_orch.errors import StorageError
from bec_orch.io.stores.errors import DENIED
from bec_orch.io.stores.objects import Objects

log = logging.getLogger(__name__)

_logged: set[str] = set()


def remove(objects: Objects, keys: Iterable[str]) -> int:
    """Remove objects, and return the number of those that are gone.

    Raises:
        StorageError: the store is away. One that refuses to delete is passed over.
    """
    kept = gone = 0
    why = ""
    for key in keys:
        try:
            objects.delete([key])
            gone += 1
        except StorageError as error:
            if error.code != DENIED:
                raise
            kept, why = kept + 1, error.message
    if kept and objects.url not in _logged:
        _logged.add(objects.url)
        log.warning("artefacts.kept_by_store", extra={"store": objects.url, "objects": kept, "why": why})
    return gone
