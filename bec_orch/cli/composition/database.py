"""The database of the settings: a server, or the embedded one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bec_orch.cli.composition.home import require_home
from bec_orch.cli.composition.passwords import own_password
from bec_orch.core.own_home import require_own_home
from bec_orch.core.records.checks import COMMAND
from bec_orch.core.records.records import Records
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.checks import PgChecks
from bec_orch.io.postgres.connection import conninfo_of
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.deaths import PgDeaths
from bec_orch.io.postgres.earlier import tell_of_earlier
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.ledger import PgLedger
from bec_orch.io.postgres.listings import PgListings
from bec_orch.io.postgres.overview import PgOverview
from bec_orch.settings.config import Settings


@contextmanager
def open_database(settings: Settings, application: str = COMMAND, *, make_home: bool = False) -> Iterator[Database]:
    """Open the database of the settings, the embedded one if they name none; it is given our name.

    Only with `make_home` is an embedded one made where there is none.

    Raises:
        ConfigError: there is none (E_HOME_MISSING), or the home is somebody else's (E_PG_OWNER).
    """
    require_own_home(settings.home)
    if not make_home:
        require_home(settings)
    with ExitStack() as stack:
        own = stack.enter_context(EmbeddedPostgres(settings.home)) if settings.sql_host is None else None
        conninfo = own.conninfo if own else sql_conninfo(settings)
        database = Database(
            conninfo,
            # What a stopped worker locked is free again when its lease is over, too.
            idle_within=settings.lease_seconds,
            on_fault=own.mend if own else tell_of_earlier(conninfo),
            application=application,
        )
        yield stack.enter_context(database)


def records_in(database: Database) -> Records:
    """Return all that commands ask of a database."""
    return Records(
        jobs=PgJobs(database),
        backlog=PgBacklog(database),
        overview=PgOverview(database),
        listings=PgListings(database),
        ledger=PgLedger(database),
        deaths=PgDeaths(database),
        checks=PgChecks(database),
    )


def sql_conninfo(settings: Settings) -> str:
    """Return the libpq connection string of the database that the settings name."""
    return conninfo_of(
        host=settings.sql_host,
        port=settings.sql_port,
        user=settings.sql_user,
        password=own_password(settings),
        dbname=settings.sql_database,
        sslmode=settings.sql_sslmode,
        sslrootcert=settings.sql_sslrootcert,
    )
