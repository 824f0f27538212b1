"""What a doctor asks of the database."""

from typing_extensions import override

from bec_orch.core.records.checks import Connected, DatabaseChecks, SchemaStatus, UserRights
from bec_orch.io.postgres.database import Database, server_version
from bec_orch.io.postgres.migrate import schema_status
from bec_orch.io.postgres.rights import connected, rights_of
from bec_orch.io.postgres.rows import one
from bec_orch.io.postgres.sql_files import statements


class PgChecks(DatabaseChecks):
    """Looks at one database from outside."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def version(self) -> str:
        return server_version(self._database)

    @override
    def schema(self) -> SchemaStatus:
        return schema_status(self._database)

    @override
    def encryption(self) -> str | None:
        with self._database.transaction("read how it is encrypted") as connection:
            found = one(connection, statements("checks")["encryption"], {})
        return found["version"] if found["ssl"] else None

    @override
    def connected(self) -> Connected:
        return connected(self._database)

    @override
    def rights_of(self, user: str, *, with_queue: bool) -> UserRights:
        return rights_of(self._database, user, with_queue=with_queue)
