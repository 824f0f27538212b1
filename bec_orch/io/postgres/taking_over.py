"""Takes over volumes and finished work of another system: `TakingOver` on PostgreSQL."""

from collections.abc import Iterable, Sequence
from typing import Any

from typing_extensions import override

from bec_orch.core.records.earlier import DoneWork, Intake, KnownVolume, TakingOver
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import job_named
from bec_orch.io.postgres.migrate import renew_statistics
from bec_orch.io.postgres.rows import Connection, result_parameters, rows
from bec_orch.io.postgres.sql_files import statements

_WORKER = "bec db import"
"""Who stands as the worker of attempts that were made elsewhere."""
# As `copy_done` has them.
_OF_RESULT = (
    *("manifest_etag", "config_hash", "code_version", "models", "inputs", "artefact_key"),
    *("pages_ok", "pages_skipped", "pages_error", "counters"),
)


class PgTakingOver(TakingOver):
    """What one database takes over."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def add_volumes(self, volumes: Sequence[KnownVolume], *, dry_run: bool = False) -> Intake:
        given = [(*_names(one), one.nb_images_intro, one.manifest_etag) for one in volumes]
        with self._database.transaction("take over volumes") as connection:
            _load(connection, "copy_volumes", given)
            added = connection.execute(statements("taking_over")["add_volumes"]).rowcount
            if dry_run:
                connection.rollback()
        return Intake(taken=added, there=len(volumes) - added)

    @override
    def add_done(self, job_name: str, work: Sequence[DoneWork], *, dry_run: bool = False) -> Intake:
        sql = statements("taking_over")
        with self._database.transaction(f"take over finished work of {job_name}") as connection:
            job = job_named(connection, job_name)
            named = {"job_id": job.id, "job": job.name, "worker": _WORKER}
            _load(connection, "copy_done", map(_done_row, work))
            connection.execute(sql["add_names"])
            connection.execute(sql["lock_volumes"])
            connection.execute(sql["judge"], named)
            found = {row["verdict"]: row["tasks"] for row in rows(connection, sql["count_verdicts"], {})}
            connection.execute(sql["add_done"], named)
            if dry_run:
                connection.rollback()
        taken, unfinished = found.get("new", 0), found.get("unfinished", 0)
        return Intake(taken, len(work) - taken - unfinished, unfinished)

    @override
    def renew_statistics(self) -> None:
        renew_statistics(self._database)


def _load(connection: Connection, copy: str, given: Iterable[tuple[Any, ...]]) -> None:
    sql = statements("taking_over")
    connection.execute(sql["create_taken_over"])
    with connection.cursor() as cursor, cursor.copy(sql[copy]) as rows_in:
        for row in given:
            rows_in.write_row(row)
    connection.execute(sql["analyze_taken_over"])


def _names(one: KnownVolume | DoneWork) -> tuple[str, str, str]:
    return one.volume.w_id, one.volume.i_id, one.volume.source


def _done_row(one: DoneWork) -> tuple[Any, ...]:
    result = result_parameters(one.result)
    return (*_names(one), *(result[column] for column in _OF_RESULT), one.started_at, one.done_at)
