"""Brings a database's schema up to this code: numbered migrations, each in a transaction of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.names import printable
from bec_orch.core.records.checks import SchemaStatus
from bec_orch.errors import ConfigError
from bec_orch.io.postgres.advisory_locks import AdvisoryLock, take
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.rows import Connection, one, rows
from bec_orch.io.postgres.sql_files import sql_folder, statements

EARLIER_TABLES = frozenset({"jobs", "volumes", "workers", "task_executions"})
"""The tables of the earlier system."""

_FILE = re.compile(r"([0-9]{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its number, its name, and its statements."""

    version: int
    name: str
    sql: bytes


def migrations() -> list[Migration]:
    """Return every migration that the package carries, in order."""
    folder = sql_folder().joinpath("migrations")
    matches = ((_FILE.fullmatch(file.name), file) for file in folder.iterdir())
    found = [Migration(int(m[1]), m[2], file.read_text("utf-8").encode()) for m, file in matches if m]
    return sorted(found, key=lambda migration: migration.version)


def schema_status(database: Database) -> SchemaStatus:
    """Compare the database's schema with the code, changing nothing.

    Raises:
        ConfigError: it has none of our tables, and the earlier system's (E_DB_EARLIER) or other ones of the same names
            (E_DB_TAKEN).
    """
    sql, needed = statements("migrate"), migrations()[-1].version
    with database.transaction("read the version of its schema") as connection:
        present = one(connection, sql["has_table"], {})["present"]
        applied = rows(connection, sql["applied"], {}) if present else []
        strangers = [] if present else rows(connection, sql["strangers"], {})
    if strangers:
        raise _taken(strangers[0]["database"], [row["name"] for row in strangers])
    return SchemaStatus(max((row["version"] for row in applied), default=0), needed)


def migrate(database: Database) -> list[Migration]:
    """Apply what is missing, and return it. Several processes may do this at the same time.

    Raises:
        ConfigError: the database belongs to a newer version of this program.
    """
    if schema_status(database).is_current:
        return []  # who only looks writes nothing, and so needs no room
    applied = []
    for migration in migrations():
        with database.transaction(f"apply migration {migration.version}", long=True) as connection:
            if _apply(connection, migration):
                applied.append(migration)
    _refuse_newer(schema_status(database))
    return applied


def renew_statistics(database: Database) -> None:
    """Have PostgreSQL's planner learn anew how large the tables are and what they hold."""
    with database.transaction("renew the statistics", long=True) as connection:
        connection.execute(statements("migrate")["analyze"])


def require_schema(database: Database) -> None:
    """Refuse a database whose schema is not that of this code.

    Raises:
        ConfigError: the schema is missing, older or newer.
    """
    status = schema_status(database)
    _refuse_newer(status)
    if not status.is_current:
        raise ConfigError(
            f"The database's schema has version {status.found}, and this program needs version {status.needed}.",
            code="E_DB_SCHEMA",
            hint="Run `bec db init`.",
        )


def _apply(connection: Connection, migration: Migration) -> bool:
    sql = statements("migrate")
    take(connection, AdvisoryLock.MIGRATION)
    connection.execute(sql["create_table"])
    if migration.version in {row["version"] for row in rows(connection, sql["applied"], {})}:
        return False
    connection.execute(migration.sql)
    reached(FaultPoint.MIGRATION_APPLIED)
    connection.execute(sql["record"], {"version": migration.version, "name": migration.name})
    return True


def _taken(database: str, tables: Sequence[str]) -> ConfigError:
    where, told = printable(database), ", ".join(tables)
    if set(tables) >= EARLIER_TABLES:
        return ConfigError(
            f"The database {where} is the earlier system's: it has its tables {told}.",
            code="E_DB_EARLIER",
            hint="Nothing in it was changed. Make a database for this program beside it, name it in BEC_SQL_DATABASE, "
            f"run `bec db init`, then `bec db import --from {quote(f'dbname={database}')}`: docs/operating.md.",
        )
    return ConfigError(
        f"The database {where} has tables of others with names that ours would have: {told}.",
        code="E_DB_TAKEN",
        hint="Nothing in it was changed. Make a database for this program alone, and name it in BEC_SQL_DATABASE.",
    )


def _refuse_newer(status: SchemaStatus) -> None:
    if status.found > status.needed:
        raise ConfigError(
            f"The database's schema has version {status.found}, and this program knows versions up to {status.needed}.",
            code="E_DB_NEWER",
            hint="Install the newer version of bec-orch that made it.",
        )
