"""Brings a database's schema up to this code: numbered migrations, each in a transaction of its own."""

import re
from dataclasses import dataclass

import psycopg
from psycopg.rows import DictRow

from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.errors import ConfigError
from bec_orch.io.postgres.database import Database, first, rows
from bec_orch.io.postgres.sql_files import sql_folder, statements

_FILE = re.compile(r"([0-9]{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its number, its name, and its statements."""

    version: int
    name: str
    sql: bytes


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Which version the database's schema has, and which this code needs (0: no schema yet)."""

    found: int
    needed: int

    @property
    def is_current(self) -> bool:
        """Whether nothing has to be done."""
        return self.found == self.needed


def migrations() -> list[Migration]:
    """Give every migration that the package carries, in order."""
    folder = sql_folder().joinpath("migrations")
    matches = ((_FILE.fullmatch(file.name), file) for file in folder.iterdir())
    found = [Migration(int(m[1]), m[2], file.read_text("utf-8").encode()) for m, file in matches if m]
    return sorted(found, key=lambda migration: migration.version)


def schema_status(database: Database) -> SchemaStatus:
    """Compare the database's schema with the code, changing nothing."""
    needed = migrations()[-1].version
    with database.transaction("read the version of its schema") as connection:
        row = first(connection, statements("migrations")["has_table"], {})
        found = _version(connection) if row and row["present"] else 0
    return SchemaStatus(found, needed)


def migrate(database: Database) -> list[Migration]:
    """Apply what is missing, and give it. Several processes may do this at the same time.

    Raises:
        ConfigError: the database belongs to a newer version of this program.
    """
    applied = []
    for migration in migrations():
        with database.transaction(f"apply migration {migration.version}", long=True) as connection:
            if _apply(connection, migration):
                applied.append(migration)
    _refuse_newer(schema_status(database))
    return applied


def renew_statistics(database: Database) -> None:
    """Tell PostgreSQL's planner anew how large the tables are and what they hold."""
    with database.transaction("renew the statistics", long=True) as connection:
        connection.execute(statements("migrations")["analyze"])


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


def _apply(connection: psycopg.Connection[DictRow], migration: Migration) -> bool:
    sql = statements("migrations")
    connection.execute(sql["lock"])
    connection.execute(sql["create_table"])
    if migration.version in {row["version"] for row in rows(connection, sql["applied"], {})}:
        return False
    connection.execute(migration.sql)
    reached(FaultPoint.MIGRATION_APPLIED)
    connection.execute(sql["record"], {"version": migration.version, "name": migration.name})
    return True


def _version(connection: psycopg.Connection[DictRow]) -> int:
    versions = [row["version"] for row in rows(connection, statements("migrations")["applied"], {})]
    return max(versions, default=0)


def _refuse_newer(status: SchemaStatus) -> None:
    if status.found > status.needed:
        raise ConfigError(
            f"The database's schema has version {status.found}, and this program knows versions up to {status.needed}.",
            code="E_DB_NEWER",
            hint="Install the newer version of bec-orch that made it.",
        )
