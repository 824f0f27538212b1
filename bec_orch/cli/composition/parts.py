"""The parts that commands work with: database, queues, stores and sources, opened together."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bec_orch.cli.composition.database import open_database, records_in
from bec_orch.cli.composition.home import work_dir
from bec_orch.cli.composition.queues import open_queues
from bec_orch.cli.composition.sources import open_sources
from bec_orch.cli.composition.stores import open_stores
from bec_orch.core.ownership import Owner
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.records.checks import COMMAND
from bec_orch.core.records.records import Records
from bec_orch.core.retries import RetryPolicy
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.identity import keep_identity, owner_of
from bec_orch.io.postgres.migrate import migrate, require_schema
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.io.sources.sources import Sources
from bec_orch.io.stores.storage import Stores
from bec_orch.io.workspace import IDENTITY_FILE, require_destination
from bec_orch.jobs.earlier.columns import in_our_columns
from bec_orch.orch.runs.local_run import LocalRun
from bec_orch.settings.config import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """The real parts that commands work with."""

    settings: Settings
    database: Database
    store: PgTasks
    records: Records
    queues: QueueBackend
    stores: Stores
    sources: Sources
    owner: Owner

    def artefacts(self) -> StoredArtefacts:
        """Open the destination store; a missing folder is made.

        Raises:
            ConfigError: the tasks of this home were finished in another one (E_DEST_OTHER).
        """
        if self.settings.sql_host is None:
            require_destination(self.settings.home, self.settings.dest_url)
        objects = self.stores.open(self.settings.dest_url, create=True)
        return StoredArtefacts(objects, work_dir(self.settings), self.owner, in_our_columns)

    @property
    def host(self) -> str | None:
        """The name of this machine where all workers run on it; None where others of its name may have some, too."""
        return None if self.settings.sql_host else socket.gethostname()

    @property
    def default_source(self) -> str:
        """The source of volumes that name none; empty when no source is set."""
        return self.settings.default_source or ""


@contextmanager
def open_parts(
    settings: Settings, application: str = COMMAND, *, make_home: bool = False, links_below: Path | None = None
) -> Iterator[Parts]:
    """Open everything that a command, or a worker, needs of the outside world, and close it after the block.

    The schema of an embedded database is brought up to date; that of a shared one is the operator's decision.

    Raises:
        ConfigError: the embedded database was not made yet (E_HOME_MISSING), and `make_home` does not say to.
    """
    with ExitStack() as stack:
        database = stack.enter_context(open_database(settings, application, make_home=make_home))
        _bring_up(settings, database)
        queues = open_queues(settings, database)
        stack.callback(queues.close)
        retry = RetryPolicy(settings.backoff_base_seconds, settings.backoff_cap_seconds)
        store = PgTasks(
            database,
            default_source=settings.default_source or "",
            retry=retry,
            outage_grace=_outage_grace(settings),
        )
        stores = open_stores(settings, links_below)
        records, sources, owner = records_in(database), open_sources(stores), owner_of(database)
        yield Parts(settings, database, store, records, queues, stores, sources, owner)


def local_run(parts: Parts) -> LocalRun:
    """Return what administers a run on this machine."""
    records = parts.records
    return LocalRun(records.jobs, records.backlog, records.overview, parts.queues, parts.stores.open)


def _bring_up(settings: Settings, database: Database) -> None:
    if settings.sql_host is None:
        migrate(database)
        keep_identity(database, settings.home / IDENTITY_FILE)
    else:
        require_schema(database)


def _outage_grace(settings: Settings) -> float:
    # Leases run out when the database was away for three quarters of one. An embedded server is away with its machine.
    return settings.lease_seconds / 2 if settings.sql_host else 0.0
