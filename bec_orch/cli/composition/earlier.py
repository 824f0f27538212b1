"""The earlier system: its database, and what takes its records over."""

from dataclasses import dataclass
from pathlib import Path

from bec_orch.cli.composition.parts import Parts
from bec_orch.cli.composition.passwords import own_password, read_password
from bec_orch.core.records.earlier import EARLIER_DATABASE, EarlierSystem
from bec_orch.errors import UsageError
from bec_orch.io.postgres.connection import conninfo_of
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.earlier import PgEarlierSystem, parse_dsn
from bec_orch.io.postgres.taking_over import PgTakingOver
from bec_orch.orch.earlier.taking_over import EarlierImport
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.settings.config import Settings, sslmode_for


@dataclass(frozen=True, slots=True)
class EarlierAccess:
    """Where the earlier system's database is, as libpq says it, and where its password is, if it is not ours."""

    dsn: str
    password_file: Path | None = None
    password_secret: str | None = None


def earlier_system(settings: Settings, access: EarlierAccess, own: Database) -> EarlierSystem:
    """Return the earlier system's database: what its connection string leaves out is as for our own server.

    In local mode that is the embedded one.

    Raises:
        UsageError: the connection string is none, or holds a password (E_EARLIER_DSN), or two passwords are named.
        ConfigError, RetryableError: the password cannot be read.
    """
    named = parse_dsn(access.dsn)
    ours = own.server()
    at = {"dbname": EARLIER_DATABASE, **({} if "host" in named else ours), **named}
    host, rootcert = at.get("host"), at.get("sslrootcert", settings.sql_sslrootcert)
    if access.password_file and access.password_secret:
        raise UsageError("--password-file and --password-secret were both given.", hint="Give one of them.")
    # Our own password goes to our own server and user alone.
    is_ours = {name: at.get(name) for name in ours} == ours
    password = read_password(settings, access.password_file, access.password_secret) or (
        own_password(settings) if is_ours else None
    )
    sslmode = settings.sql_sslmode if is_ours else sslmode_for(host, rootcert)
    return PgEarlierSystem(conninfo_of(**{"sslmode": sslmode, **at, "sslrootcert": rootcert, "password": password}))


def earlier_import(parts: Parts, earlier: EarlierSystem, source: str, *, dry_run: bool) -> EarlierImport:
    """Return what takes over the earlier system's records."""
    admin, ours = JobAdmin(parts.records.jobs), PgTakingOver(parts.database)
    return EarlierImport(earlier, admin, ours, parts.artefacts(), source, dry_run=dry_run)
