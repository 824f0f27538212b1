"""What is browsed: `Listings` on PostgreSQL."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from bec_orch.core.metrics import Metrics
from bec_orch.core.records.listings import AttemptView, Course, DoubtfulVolume, ListedTask, Listings, Span, TaskQuery
from bec_orch.core.records.overview import TaskView
from bec_orch.core.tasks import TaskState
from bec_orch.core.transcripts import UNSURE_PAGES
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import job_named
from bec_orch.io.postgres.overview import task_view
from bec_orch.io.postgres.rows import Row, one, rows
from bec_orch.io.postgres.sql_files import statements


class PgListings(Listings):
    """Tables and courses of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def tasks(self, job_name: str, wanted: TaskQuery) -> list[ListedTask]:
        return _listed(self._of_job("list tasks", "tasks", job_name, dataclasses.asdict(wanted)))

    @override
    def tasks_of_volume(self, w_id: str, i_id: str) -> list[TaskView]:
        return [task_view(row) for row in self._rows("list the tasks of a volume", "tasks_of_volume", w_id, i_id)]

    @override
    def attempts_of_volume(self, w_id: str, i_id: str) -> list[AttemptView]:
        found = self._rows("list the attempts at a volume", "attempts_of_volume", w_id, i_id)
        return [AttemptView(**{**row, "stages": _seconds(row["stages"])}) for row in found]

    @override
    def stale_reasons(self, w_id: str, i_id: str) -> Mapping[int, Sequence[str]]:
        found = self._rows("look for stale work of a volume", "stale_reasons", w_id, i_id)
        return {row["task_id"]: tuple(row["stale"]) for row in found}

    @override
    def course(self, job_name: str) -> Course:
        found = self._of_job("read the course of a job", "course", job_name, {})
        seconds = found[0]["seconds"] if found else 1
        return Course(seconds, [Span(**{key: row[key] for key in row if key != "seconds"}) for row in found])

    @override
    def silent(self, job_name: str, *, limit: int) -> list[DoubtfulVolume]:
        named = {"limit": limit, "unsure_pages": UNSURE_PAGES}
        return [DoubtfulVolume(**row) for row in self._of_job("look for doubtful volumes", "silent", job_name, named)]

    @override
    def stage_seconds(self, job_name: str) -> Mapping[str, float]:
        found = self._of_job("add up the stages of a job", "stage_seconds", job_name, {})
        return {row["stage"]: row["seconds"] for row in found}

    @override
    def pulse(self) -> str:
        with self._database.transaction("look for changes") as connection:
            return str(one(connection, statements("listings")["pulse"], {})["pulse"])

    def _rows(self, doing: str, statement: str, w_id: str, i_id: str) -> list[Row]:
        with self._database.transaction(doing) as connection:
            return rows(connection, statements("listings")[statement], {"w_id": w_id, "i_id": i_id})

    def _of_job(self, doing: str, statement: str, job_name: str, named: Mapping[str, Any]) -> list[Row]:
        with self._database.transaction(doing, long=True) as connection:
            job_id = job_named(connection, job_name).id
            return rows(connection, statements("listings")[statement], {**named, "job_id": job_id})


def _listed(found: Sequence[Row]) -> list[ListedTask]:
    return [ListedTask(**{**row, "state": TaskState(row["state"])}) for row in found]


def _seconds(stages: Mapping[str, Any]) -> dict[str, float]:
    return {name: time.seconds for name, time in Metrics.from_json({"stages": stages}).stages.items()}
