"""What an audit reads: `Ledger` on PostgreSQL."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from typing_extensions import override

from bec_orch.core.records.backlog import UnsentTask
from bec_orch.core.records.ledger import DoneEntry, Irregularities, JobStates, Ledger, LeftTask, RepeatedTask, TaskRow
from bec_orch.core.retries import ATTEMPTS_EXHAUSTED
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef
from bec_orch.io.postgres.database import Database, now
from bec_orch.io.postgres.rows import Row, message_of, pages_of, rows, volume_of
from bec_orch.io.postgres.sql_files import statements
from bec_orch.io.postgres.tasks import source_is_known

_ROWS_A_QUERY = 2000


class PgLedger(Ledger):
    """The tasks of one database, for an audit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def now(self) -> dt.datetime:
        return now(self._database)

    @override
    def states(self) -> tuple[JobStates, ...]:
        found = self._rows("count tasks by state", "states", {"exhausted": ATTEMPTS_EXHAUSTED}, long=True)
        return tuple(JobStates(**row) for row in found)

    @override
    def irregularities(self, job: Job, *, lost_after: float, overdue: float) -> Irregularities:
        sql, named = statements("ledger"), {"job_id": job.id, "lost_after": lost_after, "overdue": overdue}
        with self._database.transaction(f"audit the tasks of {job.name}", long=True) as connection:
            done_twice = rows(connection, sql["done_twice"], named)
            open_twice = rows(connection, sql["unfinished_twice"], named)
            left = rows(connection, sql["left_behind"], named)
        return Irregularities(
            tuple(RepeatedTask(row["task_id"], volume_of(row), row["times"]) for row in done_twice),
            tuple(RepeatedTask(row["task_id"], volume_of(row), row["times"]) for row in open_twice),
            tuple(LeftTask(row["task_id"], volume_of(row), row["state"]) for row in left),
        )

    @override
    def tasks_of(self, job: Job, volumes: Sequence[VolumeRef]) -> list[TaskRow]:
        named = {"job_id": job.id, "w_ids": [v.w_id for v in volumes], "i_ids": [v.i_id for v in volumes]}
        return [_task_row(row) for row in self._rows(f"audit the tasks of {job.name}", "tasks_of", named)]

    @override
    def done(self, job: Job) -> Iterator[DoneEntry]:
        for row in self._every(f"list finished tasks of {job.name}", "done", {"job_id": job.id}):
            yield DoneEntry(row["id"], row["w_id"], row["i_id"], row["manifest_etag"])

    @override
    def announced(self, job: Job, volumes: Sequence[VolumeRef]) -> list[int]:
        named = {
            "job_id": job.id,
            "w_ids": [volume.w_id for volume in volumes],
            "i_ids": [volume.i_id for volume in volumes],
            "sources": [volume.source for volume in volumes],
        }
        return [row["id"] for row in self._rows("audit the queue", "announced", named)]

    @override
    def to_be_announced(self, job: Job, before: dt.datetime) -> Iterator[UnsentTask]:
        for row in self._every("audit the queue", "to_be_announced", {"job_id": job.id, "before": before}):
            yield UnsentTask(row["id"], message_of(row, job.name))

    @override
    def knows_source(self, source: str) -> bool:
        with self._database.transaction("look for a source") as connection:
            return source_is_known(connection, source)

    def _rows(self, doing: str, statement: str, named: dict[str, Any], *, long: bool = False) -> list[Row]:
        with self._database.transaction(doing, long=long) as connection:
            return rows(connection, statements("ledger")[statement], named)

    def _every(self, doing: str, statement: str, named: dict[str, Any]) -> Iterator[Row]:
        """Yield all rows of a statement, a page of them in each transaction."""
        after = 0
        while True:
            found = self._rows(doing, statement, {**named, "after": after, "limit": _ROWS_A_QUERY})
            yield from found
            if len(found) < _ROWS_A_QUERY:
                return
            after = found[-1]["id"]


def _task_row(row: Row) -> TaskRow:
    named = ("id", "state", "unfinished", "attempt", "manifest_etag", "config_hash", "artefact_key", "seen_etag")
    return TaskRow(
        volume=volume_of(row), pages=pages_of(row), nb_pages=row["nb_pages"], **{name: row[name] for name in named}
    )
