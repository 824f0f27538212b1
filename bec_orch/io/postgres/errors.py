"""What the database driver's errors mean in our words: recognised by exception type and SQLSTATE.

Only for a connection that was refused at its start does libpq pass on no SQLSTATE, just the server's sentence, or its
own. A server that speaks another language than English counts as away there: workers wait, and log its sentence.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bec_orch.core.wording import clause, said
from bec_orch.errors import DatabaseError, DatabaseRefused

AWAY = "E_DB_AWAY"
SLOW = "E_DB_SLOW"
DISK_FULL = "E_DB_DISK_FULL"
MISSING = "E_DB_MISSING"

_AUTH = ("E_DB_AUTH", "Check BEC_SQL_USER, BEC_SQL_PASSWORD and the server's pg_hba.conf.")
_MISSING = (MISSING, "Create the database, or check BEC_SQL_DATABASE.")
_RIGHTS = (
    "E_DB_RIGHTS",
    "Give the database user its rights; deploy/worker-grants.sql and worker-grants-queue.sql have those of workers.",
)
_TOO_SLOW = (
    "It ended at its time-out, or somebody canceled it, and is undone. Run it again; if that does not help, run "
    "`bec db init`, which renews the database's statistics."
)
_UNREACHED = "Check that the database runs and can be reached; work goes on when it is back."
# Hints by SQLSTATE or its class (first two characters): PostgreSQL manual, appendix A.
_KINDS: tuple[tuple[str, str, str], ...] = (
    ("08", AWAY, _UNREACHED),
    ("25006", "E_DB_READ_ONLY", "The database is a read-only standby; point BEC_SQL_HOST at the primary."),
    ("25P03", AWAY, "The database ended a transaction in which nothing was said for long; it is tried again."),
    ("28", *_AUTH),
    ("3D000", *_MISSING),
    ("40", "E_DB_CONFLICT", "Two transactions met; it is tried again."),
    ("42501", *_RIGHTS),
    ("42P01", "E_DB_SCHEMA", "Run `bec db init`."),
    ("42703", "E_DB_SCHEMA", "Run `bec db init`."),
    ("53100", DISK_FULL, "Free space on the database's disk."),
    ("53300", "E_DB_CONNECTIONS", "Raise the database's max_connections, or run fewer workers."),
    ("53", "E_DB_RESOURCES", "The database is short of memory or disk."),
    ("55P03", "E_DB_LOCKED", "Somebody else holds the row for long; it is tried again."),
    ("57014", SLOW, _TOO_SLOW),
    ("57", AWAY, "The database was stopped; work goes on when it is back."),
    ("58", "E_DB_SYSTEM", "The database server's own system failed; look into its log."),
)
_TLS = ("E_DB_TLS", "Check BEC_SQL_SSLMODE, and that BEC_SQL_SSLROOTCERT names the CA of this very server.")
# PostgreSQL's src/backend/libpq/auth.c and utils/init/postinit.c; libpq's fe-secure-openssl.c and fe-connect.c.
_AT_START: tuple[tuple[str, str, str], ...] = (
    (r"password authentication failed|no password supplied|no pg_hba\.conf entry", *_AUTH),
    (r'role "[^"]*" (does not exist|is not permitted to log in)', *_AUTH),
    (r'database "[^"]*" does not exist', *_MISSING),
    (r"permission denied for database", *_RIGHTS),
    (r"No space left on device|Disk quota exceeded", DISK_FULL, "Free space on the database's disk."),
    (r"certificate verify failed|does not match host name|does not support SSL|root certificate file", *_TLS),
)
_LASTING = frozenset({"E_DB_AUTH", MISSING, "E_DB_RIGHTS", "E_DB_SCHEMA", "E_DB_TLS"})


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Raise what the driver raises in the block as `DatabaseError`, its cause kept.

    Args:
        doing: what was tried, to follow "The database failed to".
    """
    try:
        yield
    except psycopg.Error as error:
        raise translated(error, doing) from error


def translated(error: psycopg.Error, doing: str) -> DatabaseError:
    """Put a driver's error into our words."""
    state = error.sqlstate or ""
    sentence = f"failed to {doing}: {clause(error.diag.message_primary or '') or said(error)}."
    known = next((kind for kind in _KINDS if state.startswith(kind[0])), None) or _refused_at_start(error)
    if known:
        _, code, hint = known
        kind = DatabaseRefused if code in _LASTING else DatabaseError
        return kind(f"The database {sentence}", code=code, hint=hint)
    if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseError(f"The database is away: {sentence}", code=AWAY, hint=_UNREACHED)
    return DatabaseRefused(f"The database {sentence}")


def _refused_at_start(error: psycopg.Error) -> tuple[str, str, str] | None:
    if error.sqlstate or not isinstance(error, psycopg.OperationalError):
        return None
    return next((kind for kind in _AT_START if re.search(kind[0], str(error))), None)
