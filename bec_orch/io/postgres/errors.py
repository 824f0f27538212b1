"""What the database driver's errors mean in our words: told by exception type and SQLSTATE, never by the message."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bec_orch.errors import DatabaseError, DatabaseRefused

AWAY = "E_DB_AWAY"

# Hints by SQLSTATE or its class (first two characters): PostgreSQL manual, appendix A.
_KINDS: tuple[tuple[str, str, str], ...] = (
    ("08", AWAY, "Check that the database runs and can be reached; work goes on when it is back."),
    ("25006", "E_DB_READ_ONLY", "The database is a read-only standby; point BEC_SQL_HOST at the primary."),
    ("28", "E_DB_AUTH", "Check BEC_SQL_USER, BEC_SQL_PASSWORD and the server's pg_hba.conf."),
    ("3D000", "E_DB_MISSING", "Create the database, or check BEC_SQL_DATABASE."),
    ("40", "E_DB_CONFLICT", "Two transactions met; it is tried again."),
    ("42501", "E_DB_RIGHTS", "Give the database user rights on the tables."),
    ("42P01", "E_DB_SCHEMA", "Run `bec db init`."),
    ("42703", "E_DB_SCHEMA", "Run `bec db init`."),
    ("53100", "E_DB_DISK_FULL", "Free space on the database's disk."),
    ("53300", "E_DB_CONNECTIONS", "Raise the database's max_connections, or run fewer workers."),
    ("53", "E_DB_RESOURCES", "The database is short of memory or disk."),
    ("55P03", "E_DB_LOCKED", "Somebody else holds the row for long; it is tried again."),
    ("57", AWAY, "The database was stopped or a statement was canceled; work goes on when it is back."),
    ("58", "E_DB_SYSTEM", "The database server's own system failed; look into its log."),
)
# Without an answer of the server all that is known is libpq's sentence; faults of TLS come this way, too.
_UNREACHED = (
    "Check that the database runs and can be reached, and that BEC_SQL_SSLMODE and BEC_SQL_SSLROOTCERT fit it; "
    "work goes on when it is back."
)
_LASTING = frozenset({"E_DB_AUTH", "E_DB_MISSING", "E_DB_RIGHTS", "E_DB_SCHEMA"})


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
    sentence = f"failed to {doing}: {_first_line(error)}."
    for prefix, code, hint in _KINDS:
        if state.startswith(prefix):
            kind = DatabaseRefused if code in _LASTING else DatabaseError
            return kind(f"The database {sentence}", code=code, hint=hint)
    if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseError(f"The database is away: {sentence}", code=AWAY, hint=_UNREACHED)
    return DatabaseRefused(f"The database {sentence}")


def _first_line(error: psycopg.Error) -> str:
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
