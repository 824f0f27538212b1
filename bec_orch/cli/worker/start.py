"""What a worker makes sure of before its first task: what passes is waited out, what does not ends it with its code."""

import logging
from collections.abc import Callable

from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.composition.stores import open_stores
from bec_orch.core.life.patience import Patience
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.records.checks import GRANTS, WORKER, require_worker_rights
from bec_orch.errors import DatabaseError, DatabaseRefused, StorageError
from bec_orch.io.sources.sources import Sources
from bec_orch.io.stores.errors import is_passing
from bec_orch.settings.config import Settings

logger = logging.getLogger(__name__)

# As long as a worker in the middle of its work waits for the database.
_OUTAGE_PATIENCE = 600.0


def await_surroundings(settings: Settings) -> None:
    """Wait for the database, and see that destination and source are there.

    Raises:
        BecError: something refuses for a reason that waiting does not mend, or the database was away for all that time.
    """
    if settings.sql_host:
        Patience(_OUTAGE_PATIENCE)(lambda: _look_at_database(settings))
    stores = open_stores(settings)
    _look_at_store(lambda: stores.open(settings.dest_url, create=True).check_writable())
    source = settings.default_source
    if source:
        _look_at_store(lambda: _look_at_source(Sources(stores)(source)))


def _look_at_database(settings: Settings) -> None:
    try:
        with open_parts(settings, WORKER) as parts:
            found = require_worker_rights(parts.records.checks, with_queue=not settings.uses_sqs)
    except DatabaseRefused:
        raise
    except DatabaseError as error:
        logger.warning("worker.outage", extra={"code": error.code, "why": error.message})
        raise
    if found.excess and not settings.sql_is_local:
        # What a stolen password of a worker is good for.
        logger.warning("worker.rights_beyond_need", extra={"user": found.user, "rights": found.excess, "hint": GRANTS})


def _look_at_source(source: ImageSource) -> None:
    try:
        source.check_readable()
    except StorageError as error:
        # Who may not list a bucket is refused where an object is missing: the volumes show whether reading is allowed.
        if error.code != "E_STORAGE_DENIED":
            raise


def _look_at_store(look: Callable[[], object]) -> None:
    try:
        look()
    except StorageError as error:
        if not is_passing(error):
            raise
        logger.warning("worker.outage", extra={"code": error.code, "why": error.message})
