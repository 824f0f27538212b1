"""Who a database is: the identity that its artefacts carry, and that a new one can take over from one that was lost."""

from functools import partial
from pathlib import Path
from uuid import UUID

from bec_orch.core.ownership import Owner
from bec_orch.errors import ConfigError
from bec_orch.io.own_files import write_whole
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.rows import one
from bec_orch.io.postgres.sql_files import statements
from bec_orch.io.stores.errors import file_errors


def owner_of(database: Database) -> Owner:
    """Return the database as the store of artefacts knows it."""
    return Owner(identity_of(database), partial(_has_task, database))


def identity_of(database: Database) -> str:
    """Read the identity of a database."""
    with database.transaction("read its identity") as connection:
        return str(one(connection, statements("identity")["identity"], {})["identity"])


def take_identity(database: Database, identity: UUID) -> None:
    """Make a database go on for one that was lost: what that one published is its own from now on.

    Raises:
        ConfigError: the database has tasks under an identity of its own.
    """
    _take(database, identity)
    own = identity_of(database)
    if own != str(identity):
        raise ConfigError(
            f"The database has tasks, and its own identity {own}.",
            code="E_DB_IDENTITY",
            hint="Only a database without tasks takes another identity: make a new one.",
        )


def keep_identity(database: Database, file: Path) -> None:
    """Have the identity outlive a database: keep it in a file beside it, and let a new one take it over from there.

    Raises:
        DiskFullError, StorageError: the file cannot be read or written.
    """
    kept = _read(file)
    if kept:
        _take(database, kept)
    note_identity(database, file)


def note_identity(database: Database, file: Path) -> None:
    """Write the identity that a database has now into the file beside it.

    Raises:
        DiskFullError, StorageError: the file cannot be read or written.
    """
    own = identity_of(database)
    if str(_read(file)) != own:
        _write(file, own)


def _take(database: Database, identity: UUID) -> None:
    with database.transaction("take over an identity") as connection:
        connection.execute(statements("identity")["take_identity"], {"identity": identity})


def _has_task(database: Database, uid: str) -> bool:
    try:
        named = {"uid": UUID(uid)}
    except ValueError:
        return False
    with database.transaction("look for a task") as connection:
        return bool(one(connection, statements("identity")["has_task"], named)["known"])


def _read(file: Path) -> UUID | None:
    with file_errors(f"read {file}"):
        text = file.read_text("utf-8", errors="replace") if file.exists() else ""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _write(file: Path, identity: str) -> None:
    # Half an identity would be none, and all that it stands for somebody else's.
    write_whole(file, f"{identity}\n".encode())
