"""What can be seen: `Overview` on PostgreSQL."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from typing_extensions import override

from bec_orch.core.records.overview import (
    LOST_AFTER,
    DoneVolume,
    ErrorGroup,
    ExpectedMessages,
    GraphNode,
    JobFigures,
    MachineUse,
    Overview,
    Pace,
    StaleVolume,
    TaskFilter,
    TaskView,
    VolumeFigures,
    WorkerCondition,
    WorkerTask,
    WorkerView,
)
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import PageCounts, VolumeRef
from bec_orch.io.postgres.jobs import PgJobLookup, job_named
from bec_orch.io.postgres.rows import Row, if_missing_of, one, pages_of, rows, spelled, volume_of
from bec_orch.io.postgres.sql_files import statements

_VOLUMES_A_QUERY = 1000


class PgOverview(PgJobLookup, Overview):
    """What one database knows."""

    @override
    def figures(self, job_name: str, windows: tuple[float, ...]) -> JobFigures:
        sql = statements("overview")
        with self._database.transaction("count tasks", long=True) as connection:
            job = job_named(connection, job_name)
            named = {"job_id": job.id}
            tasks = rows(connection, sql["task_states"], named)
            volumes = rows(connection, sql["volume_states"], named)
            errors = rows(connection, sql["page_errors"], named)
            paces = {window: one(connection, sql["recent_pages"], {**named, "seconds": window}) for window in windows}
        return JobFigures(
            job=job,
            tasks={TaskState(row["state"]): row["tasks"] for row in tasks},
            volumes={TaskState(row["state"]): _volume_figures(row) for row in volumes},
            page_errors={row["code"]: row["pages"] for row in errors},
            paces={window: _pace(row) for window, row in paces.items()},
        )

    @override
    def tasks(self, job_name: str, wanted: TaskFilter | None = None, *, limit: int = 50) -> list[TaskView]:
        named = {**dataclasses.asdict(wanted or TaskFilter()), "limit": limit}
        return [task_view(row) for row in self._of_job("list tasks", "tasks", job_name, named)]

    @override
    def workers(
        self, job_name: str | None = None, *, stopped: bool = True, lost_after: float = LOST_AFTER, limit: int = 100
    ) -> list[WorkerView]:
        named = {"stopped": stopped, "lost_after": lost_after, "limit": limit}
        return [_worker_view(row) for row in self._of_job("list workers", "workers", job_name, named, long=False)]

    @override
    def machine_uses(self, job_name: str) -> list[MachineUse]:
        found = self._of_job("list the machines of a job", "machine_uses", job_name, {}, long=False)
        return [MachineUse(**row) for row in found]

    @override
    def spelled(self, volumes: Collection[VolumeRef]) -> dict[VolumeRef, VolumeRef]:
        with self._database.transaction("look for volumes by their names", long=True) as connection:
            return spelled(connection, volumes)

    @override
    def errors(self, job_name: str | None = None, *, limit: int = 50) -> list[ErrorGroup]:
        return [ErrorGroup(**row) for row in self._of_job("group failures", "errors", job_name, {"limit": limit})]

    @override
    def stale(self, job_name: str, *, limit: int = 50) -> list[StaleVolume]:
        found = self._of_job("look for stale work", "stale", job_name, {"limit": limit})
        return [StaleVolume(volume_of(row), row["task_id"], tuple(row["reasons"])) for row in found]

    @override
    def jobs_with_tasks(self) -> list[GraphNode]:
        with self._database.transaction("read the graph of jobs", long=True) as connection:
            return [_graph_node(row) for row in rows(connection, statements("overview")["graph"], {})]

    @override
    def expected_messages(self, job: Job) -> ExpectedMessages:
        with self._database.transaction("count what should be queued", long=True) as connection:
            return ExpectedMessages(**one(connection, statements("overview")["expected_messages"], {"job_id": job.id}))

    @override
    def done_volumes(self, job: Job) -> Iterator[list[DoneVolume]]:
        after = 0
        while True:
            named = {"job_id": job.id, "after": after, "limit": _VOLUMES_A_QUERY}
            with self._database.transaction("list finished volumes") as connection:
                found = rows(connection, statements("overview")["done_volumes"], named)
            if found:
                yield [DoneVolume(volume_of(row), row["task_id"], row["manifest_etag"]) for row in found]
            if len(found) < _VOLUMES_A_QUERY:
                return
            after = found[-1]["volume_id"]

    @override
    def note_references(self, versions: Mapping[int, str]) -> None:
        named = {"task_ids": list(versions), "versions": list(versions.values())}
        with self._database.transaction("note what lies in reference folders") as connection:
            connection.execute(statements("overview")["note_references"], named)

    def _of_job(
        self, doing: str, statement: str, job_name: str | None, named: Mapping[str, Any], *, long: bool = True
    ) -> list[Row]:
        with self._database.transaction(doing, long=long) as connection:
            job_id = job_named(connection, job_name).id if job_name else None
            return rows(connection, statements("overview")[statement], {**named, "job_id": job_id})


def _volume_figures(row: Row) -> VolumeFigures:
    pages = PageCounts(row["ok"], row["skipped"], row["error"])
    return VolumeFigures(row["volumes"], pages, row["stale"], row["known_pages"], row["without_pages"], row["stuck"])


def _pace(row: Row) -> Pace | None:
    return None if row["pages"] is None else Pace(row["pages"], row["seconds"])


def _graph_node(row: Row) -> GraphNode:
    tasks = {TaskState(state): count for state, count in row["tasks"].items()}
    return GraphNode(row["name"], row["type"], tuple(row["depends_on"]), if_missing_of(row), tasks)


def task_view(row: Row) -> TaskView:
    """Read a row with a task and its volume as operators see it."""
    state = TaskState(row["state"])
    read: dict[str, Any] = {
        "volume": volume_of(row),
        "state": state,
        "pages": pages_of(row) if state is TaskState.DONE else None,
        "failed_pages": pages_of(row) if state is TaskState.TERMINAL_FAILED and row["pages_ok"] is not None else None,
        "counters": (row["counters"] or {}) if state is TaskState.DONE else {},
    }
    named = (field.name for field in dataclasses.fields(TaskView) if field.name not in read)
    return TaskView(**read, **{name: row[name] for name in named})


def _worker_view(row: Row) -> WorkerView:
    doing = tuple(WorkerTask(**{**task, "since": dt.datetime.fromisoformat(task["since"])}) for task in row["doing"])
    return WorkerView(**{**row, "condition": WorkerCondition(row["condition"]), "doing": doing})
