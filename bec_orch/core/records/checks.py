"""The port of what a doctor asks of the database: its version and schema, the connection, and users' rights."""

from dataclasses import dataclass
from typing import Protocol

from bec_orch.errors import DatabaseRefused

COMMAND, WORKER = "bec_orch", "bec_orch worker"
"""What the server's list of connections calls a command, and a worker."""

GRANTS = (
    "Run deploy/worker-grants.sql as the owner of the tables, and deploy/worker-grants-queue.sql after it where "
    "BEC_QUEUE is pg: docs/operating.md says how."
)


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Which version the database's schema has, and which this code needs (0: no schema yet)."""

    found: int
    needed: int

    @property
    def is_current(self) -> bool:
        """Whether nothing has to be done."""
        return self.found == self.needed


@dataclass(frozen=True, slots=True)
class UserRights:
    """What a database user may do, measured by what a worker needs.

    `exists`: whether there is such a user. `powers`: what no worker should have, such as owning the tables. `missing`
    and `beyond`: rights that a worker needs and the user lacks, and those that it has and no worker needs; the latter
    are left out where a power gives all of them.
    """

    user: str
    exists: bool
    powers: tuple[str, ...]
    missing: tuple[str, ...]
    beyond: tuple[str, ...]

    @property
    def excess(self) -> tuple[str, ...]:
        """What it should not be able to do."""
        return self.powers + self.beyond


@dataclass(frozen=True, slots=True)
class Connected:
    """As whom we are connected, who owns the tables, and as whom workers are connected."""

    user: str
    owner: str
    is_owner: bool
    workers: tuple[str, ...]


class DatabaseChecks(Protocol):
    """Looks at one database from outside. Every method raises `DatabaseError` when it is away or refuses."""

    def version(self) -> str:
        """Return the version of the server that answers, such as `16.4`."""
        ...

    def schema(self) -> SchemaStatus:
        """Compare the database's schema with the code."""
        ...

    def encryption(self) -> str | None:
        """Return the version of TLS that our connection has; None where it is not encrypted."""
        ...

    def connected(self) -> Connected:
        """Return as whom we and the workers are connected."""
        ...

    def rights_of(self, user: str, *, with_queue: bool) -> UserRights:
        """Compare what a user may do with what a worker needs.

        Args:
            user: the user.
            with_queue: whether the queue is a table of this database.
        """
        ...


def require_worker_rights(database: DatabaseChecks, *, with_queue: bool) -> UserRights:
    """Make sure that whoever we are connected as can do all that a worker does; return the rights.

    Raises:
        DatabaseRefused: a right is missing; the message names it (E_DB_RIGHTS).
    """
    found = database.rights_of(database.connected().user, with_queue=with_queue)
    if found.missing:
        raise DatabaseRefused(
            f"The database user {found.user} lacks rights that a worker needs: {'; '.join(found.missing)}.",
            code="E_DB_RIGHTS",
            hint=GRANTS,
        )
    return found
