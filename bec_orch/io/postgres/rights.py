"""What the workers' database user needs, and what a user may really do.

deploy/worker-grants.sql and deploy/worker-grants-queue.sql give these very rights.
"""

from collections.abc import Iterable, Mapping

from bec_orch.core.records.checks import WORKER, Connected, UserRights
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.rows import Connection, first, one, rows
from bec_orch.io.postgres.sql_files import statements

_ALL = "*"
# By table and privilege: the columns, or all of them; none for a privilege that knows no columns.
_NEEDED: Mapping[str, Mapping[str, str]] = {
    "schema_migrations": {"SELECT": _ALL},
    "database_identity": {"SELECT": _ALL},
    "jobs": {"SELECT": _ALL, "UPDATE": "models code_version"},
    "job_dependencies": {"SELECT": _ALL},
    "missing_dependencies": {"SELECT": _ALL},
    "undone_dependencies": {"SELECT": _ALL},
    "volumes": {"SELECT": _ALL, "INSERT": "w_id i_id source", "UPDATE": "manifest_etag nb_pages manifest_seen_at"},
    "workers": {
        "SELECT": "id heartbeat_at heard_since stopped_at",
        "INSERT": "id job_id host pid version instance_id instance_type lifecycle",
        "UPDATE": "heartbeat_at heard_since activities stopped_at stop_reason",
    },
    "tasks": {
        "SELECT": _ALL,
        "INSERT": "job_id volume_id state force adopt_foreign manifest_etag attempt dispatched_at",
        "UPDATE": "state manifest_etag attempt charged token worker_id lease_expires_at not_before dispatched_at"
        " cancel_reason failure_code failure_stage failure_message failure_fingerprint failure_hint"
        " config_hash code_version models inputs artefact_key pages_ok pages_skipped pages_error counters"
        " updated_at started_at finished_at verified_at",
    },
    "task_attempts": {
        "SELECT": "task_id attempt token config config_hash outcome charged code died_at",
        "INSERT": "task_id attempt job_id worker_id token config config_hash",
        "UPDATE": "token ended_at outcome charged code stage message fingerprint metrics died_at",
    },
    "rejected_messages": {
        "SELECT": "job_id body_sha256 fingerprint",
        "INSERT": "job_id body_sha256 fingerprint body code stage message hint",
        "UPDATE": "last_at",
    },
}
_NEEDED_BY_QUEUE: Mapping[str, Mapping[str, str]] = {
    "queue_messages": {
        "SELECT": _ALL,
        "INSERT": "queue body visible_at",
        "UPDATE": "visible_at receipt receive_count dead_at dead_reason",
        "DELETE": "",
    },
}

# As rights.sql calls them.
_ALMIGHTY = frozenset({"is a superuser", "owns the tables"})

Right = tuple[str, str, str | None]
"""Privilege, table, and column where the privilege is one of columns."""


def connected(database: Database) -> Connected:
    """Return as whom we and the workers are connected.

    Raises:
        DatabaseError: the database is away or refused.
    """
    sql = statements("rights")
    with database.transaction("read who is connected") as connection:
        own = one(connection, sql["owner"], {})
        workers = rows(connection, sql["connected"], {"application": WORKER})
    return Connected(**own, workers=tuple(row["user"] for row in workers))


def rights_of(database: Database, user: str, *, with_queue: bool) -> UserRights:
    """Compare what a user may do with what a worker needs.

    Args:
        database: a database with the tables of this version.
        user: the user.
        with_queue: whether the queue is a table of this database.

    Raises:
        DatabaseError: the database is away or refused.
    """
    sql, asked = statements("rights"), {"user": user}
    with database.transaction("read the rights of a user") as connection:
        found = first(connection, sql["powers"], asked)
        if found is None:
            return UserRights(user, exists=False, powers=(), missing=(), beyond=())
        rights = {(row["privilege"], row["table"], row["column"]) for row in rows(connection, sql["rights"], asked)}
        needed = _needed(connection, with_queue=with_queue)
    return UserRights(
        user,
        exists=True,
        powers=tuple(found["powers"]),
        missing=_in_words(needed - rights),
        beyond=() if _ALMIGHTY & set(found["powers"]) else _in_words(rights - needed),
    )


def _needed(connection: Connection, *, with_queue: bool) -> set[Right]:
    every = {row["table"]: row["columns"] for row in rows(connection, statements("rights")["columns"], {})}
    wanted = {**_NEEDED, **_NEEDED_BY_QUEUE} if with_queue else _NEEDED
    return {
        (privilege, table, column)
        for table, privileges in wanted.items()
        for privilege, columns in privileges.items()
        for column in (every[table] if columns == _ALL else _columns(columns))
    }


def _columns(words: str) -> list[str] | list[None]:
    return words.split() if words else [None]


def _in_words(rights: Iterable[Right]) -> tuple[str, ...]:
    """Put rights into words, a table and privilege at a time."""
    columns: dict[tuple[str, str], list[str]] = {}
    for privilege, table, column in sorted(rights, key=str):
        columns.setdefault((table, privilege), []).extend([column] if column else [])
    return tuple(
        f"{privilege} on {table}" + (f" ({', '.join(names)})" if names else "")
        for (table, privilege), names in sorted(columns.items())
    )
