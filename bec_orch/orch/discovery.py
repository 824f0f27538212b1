"""Tells where things stand: jobs, tasks, workers, failures, and whether queue and database agree. Changes nothing."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter
from typing import Any

from bec_orch.core.models import Job, PageCounts, QueueStats, TaskState, VolumeRef
from bec_orch.core.queue_ports import QueueBackend
from bec_orch.io.postgres.database import Database, Row, clean_text, first, rows
from bec_orch.io.postgres.sql_files import statements
from bec_orch.orch.job_admin import read_job
from bec_orch.orch.machines.prices import MachineUse

_FIVE_MINUTES = 300.0
_HOUR = 3600.0
# Four heartbeats of 15 s: one that is late, or lost with a connection, does not count yet.
LOST_AFTER = 60.0
# Of a standard queue: "Amazon SQS message quotas" of the SQS Developer Guide.
MOST_IN_FLIGHT = 120_000


@dataclass(frozen=True, slots=True)
class JobStats:
    """Where one job stands.

    `tasks` counts every task by state; `volumes` each volume once, by its newest task. `pages` are the ledger of the
    volumes that are done, `page_errors` their errors by code, and `stale` those volumes that would not come out the
    same today. `pages_left` is an estimate where page counts are not known yet, None when nothing is known.
    `pages_per_second` counts pages that are not skipped, over the last 5 minutes and the last hour; None when no volume
    was done in that time.
    """

    job: Job
    tasks: Mapping[TaskState, int]
    volumes: Mapping[TaskState, int]
    pages: PageCounts
    page_errors: Mapping[str, int]
    stale: int
    pages_left: int | None
    pages_per_second_5min: float | None
    pages_per_second_1h: float | None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the rest is done at the pace of the last hour; 0 when nothing is left, None if unknown."""
        if self.pages_left == 0:
            return 0.0
        rate = self.pages_per_second_1h
        return self.pages_left / rate if rate and self.pages_left is not None else None


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; None means any."""

    state: TaskState | None = None
    code: str | None = None
    fingerprint: str | None = None
    w_id: str | None = None
    i_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task as operators see it. `reason` is why it waits or was canceled; `pages` is None until it is done."""

    id: int
    job: str
    volume: VolumeRef
    state: TaskState
    attempt: int
    charged: int
    force: bool
    worker_id: str | None
    manifest_etag: str | None
    config_hash: str | None
    artefact_key: str | None
    pages: PageCounts | None
    counters: Mapping[str, float]
    failure_code: str | None
    failure_stage: str | None
    failure_message: str | None
    failure_hint: str | None
    failure_fingerprint: str | None
    reason: str | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    not_before: dt.datetime | None
    lease_expires_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class StaleVolume:
    """A volume whose finished work would not come out the same today.

    `reasons` are of `manifest`, `config`, `model`, `code`, `dependency` and `reference`: what changed since.
    """

    volume: VolumeRef
    task_id: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One job, the jobs it needs, and its tasks by state."""

    name: str
    type: str
    depends_on: tuple[str, ...]
    tasks: Mapping[TaskState, int]


class WorkerCondition(StrEnum):
    """What is known of a worker: at work, idle, silent for too long, or ended by itself."""

    WORKING = "working"
    IDLE = "idle"
    LOST = "lost"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """A task that a worker said it is at, how far, and since when this attempt runs."""

    task_id: int
    w_id: str
    i_id: str
    pages_done: int
    pages_total: int
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker process as operators see it."""

    id: str
    job: str
    host: str
    pid: int
    version: str
    condition: WorkerCondition
    silent_seconds: float
    doing: tuple[WorkerTask, ...]
    started_at: dt.datetime
    heartbeat_at: dt.datetime
    stopped_at: dt.datetime | None
    stop_reason: str | None
    instance_id: str | None = None
    instance_type: str | None = None
    lifecycle: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of one fingerprint: how many attempts and tasks they hit, and how many tasks they ended.

    `message` is that of the newest one; `example` its volume, or the message's body where no task was found.
    """

    fingerprint: str
    job: str
    code: str
    stage: str
    message: str
    count: int
    tasks: int
    terminal: int
    first_at: dt.datetime
    last_at: dt.datetime
    example: str


@dataclass(frozen=True, slots=True)
class QueueCheck:
    """A job's queue beside its tasks. Maintenance heals what disagrees: the database is the truth.

    `dispatched` tasks should each have a message; `undispatched` ones have none yet; `expired` ones wait to be taken
    over; `terminal` ones may have a dead letter. `oldest_task_seconds` is the age of the oldest `queued` task.
    """

    queue: QueueStats
    dispatched: int
    undispatched: int
    expired: int
    terminal: int
    oldest_task_seconds: float | None = None

    @property
    def missing_messages(self) -> int:
        """How many dispatched tasks must be without a message."""
        there = self.queue.visible + self.queue.in_flight + self.queue.delayed
        return max(0, self.dispatched - there)

    @property
    def is_full(self) -> bool:
        """Whether so many messages are in flight that SQS gives no more, which it tells no worker."""
        return self.queue.in_flight >= MOST_IN_FLIGHT

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Where queue and tasks disagree, each with what becomes of it."""
        found = (
            (self.missing_messages, "tasks have no message: workers send them again in time"),
            (self.undispatched, "tasks were never sent: workers send them within a minute"),
            (self.expired, "tasks were left by a dead worker: another one takes them over"),
            (self.queue.dead - self.terminal, "dead letters have no failed task: `bec queue peek --dead` shows them"),
        )
        return tuple(f"{count:,} {what}" for count, what in found if count > 0)


class Discovery:
    """Reads one database, and its queues."""

    def __init__(self, database: Database, queues: QueueBackend) -> None:
        self._database = database
        self._queues = queues
        self._sql = statements("discovery")

    def stats(self, job_name: str) -> JobStats:
        """Tell where a job stands.

        Raises:
            ConfigError: there is no such job.
        """
        with self._database.transaction("count tasks", long=True) as connection:
            job = read_job(connection, job_name)
            named = {"job_id": job.id, "config_hash": job.config_hash}
            tasks = rows(connection, self._sql["task_states"], named)
            volumes = rows(connection, self._sql["volume_states"], named)
            errors = rows(connection, self._sql["page_errors"], named)
            recent = [
                first(connection, self._sql["recent_pages"], {**named, "seconds": s}) for s in (_FIVE_MINUTES, _HOUR)
            ]
        done = next((row for row in volumes if row["state"] == "done"), None)
        return JobStats(
            job=job,
            tasks={TaskState(row["state"]): row["tasks"] for row in tasks},
            volumes={TaskState(row["state"]): row["volumes"] for row in volumes},
            pages=PageCounts(done["ok"], done["skipped"], done["error"]) if done else PageCounts(),
            page_errors={row["code"]: row["pages"] for row in errors},
            stale=done["stale"] if done else 0,
            pages_left=_pages_left(volumes),
            pages_per_second_5min=_rate(recent[0]),
            pages_per_second_1h=_rate(recent[1]),
        )

    def tasks(self, job_name: str, wanted: TaskFilter | None = None, *, limit: int = 50) -> list[TaskView]:
        """List tasks of a job, what changed last first.

        Raises:
            ConfigError: there is no such job.
        """
        asked = wanted or TaskFilter()
        named = {name: _text(getattr(asked, name)) for name in TaskFilter.__dataclass_fields__}
        with self._database.transaction("list tasks", long=True) as connection:
            job = read_job(connection, job_name)
            found = rows(connection, self._sql["tasks"], {"job_id": job.id, "limit": limit, **named})
        return [_task_view(row) for row in found]

    def workers(
        self, job_name: str | None = None, *, stopped: bool = True, lost_after: float = LOST_AFTER, limit: int = 100
    ) -> list[WorkerView]:
        """List workers, those that run first; without `stopped`, those too are left out that are lost for a day.

        Raises:
            ConfigError: there is no such job.
        """
        with self._database.transaction("list workers") as connection:
            job_id = read_job(connection, job_name).id if job_name else None
            asked = {"job_id": job_id, "stopped": stopped, "lost_after": lost_after, "limit": limit}
            found = rows(connection, self._sql["workers"], asked)
        return [_worker_view(row) for row in found]

    def machine_uses(self, job_name: str) -> list[MachineUse]:
        """Tell which machines worked for a job, and when.

        Raises:
            ConfigError: there is no such job.
        """
        with self._database.transaction("list the machines of a job") as connection:
            job = read_job(connection, job_name)
            return [MachineUse(**row) for row in rows(connection, self._sql["machine_uses"], {"job_id": job.id})]

    def errors(self, job_name: str | None = None, *, limit: int = 50) -> list[ErrorGroup]:
        """Group failures by fingerprint, the commonest first; rejected messages among them.

        Raises:
            ConfigError: there is no such job.
        """
        with self._database.transaction("group failures", long=True) as connection:
            job_id = read_job(connection, job_name).id if job_name else None
            return [
                ErrorGroup(**row) for row in rows(connection, self._sql["errors"], {"job_id": job_id, "limit": limit})
            ]

    def stale(self, job_name: str, *, limit: int = 50) -> list[StaleVolume]:
        """List volumes of a job whose finished work is stale, the oldest work first.

        Raises:
            ConfigError: there is no such job.
        """
        with self._database.transaction("look for stale work", long=True) as connection:
            job = read_job(connection, job_name)
            found = rows(connection, self._sql["stale"], {"job_id": job.id, "limit": limit})
        return [
            StaleVolume(VolumeRef(row["w_id"], row["i_id"], row["source"]), row["task_id"], tuple(row["reasons"]))
            for row in found
        ]

    def graph(self) -> list[GraphNode]:
        """Give every job with what it needs and its tasks by state, each job after those that it needs."""
        with self._database.transaction("read the graph of jobs", long=True) as connection:
            found = {row["name"]: row for row in rows(connection, self._sql["graph"], {})}
        order = TopologicalSorter({name: row["depends_on"] for name, row in found.items()}).static_order()
        return [_graph_node(found[name]) for name in order if name in found]

    def queue_check(self, job_name: str) -> QueueCheck:
        """Put a job's queue beside its tasks.

        Raises:
            ConfigError: there is no such job.
            QueueError: the queue is away.
        """
        with self._database.transaction("count what should be queued", long=True) as connection:
            job = read_job(connection, job_name)
            expected = first(connection, self._sql["expected_messages"], {"job_id": job.id}) or {}
        return QueueCheck(self._queues.admin(job.name).stats(), **expected)


def _text(value: str | None) -> str | None:
    return None if value is None else clean_text(value)


def _rate(row: Row | None) -> float | None:
    if row is None or row["pages"] is None:
        return None
    return float(row["pages"]) / max(float(row["seconds"]), 1.0)


def _pages_left(volumes: list[Row]) -> int | None:
    """Add up the pages of unfinished volumes; one that is not known counts as the average of those that are."""
    states = [row for row in volumes if not TaskState(row["state"]).is_final]
    unknown = sum(row["without_pages"] for row in states)
    counted = sum(row["volumes"] - row["without_pages"] for row in volumes)
    if unknown and not counted:
        return None
    average = sum(row["known_pages"] for row in volumes) / counted if counted else 0.0
    left: float = sum(row["known_pages"] for row in states) + unknown * average
    return round(left)


def _graph_node(row: Row) -> GraphNode:
    tasks = {TaskState(state): count for state, count in row["tasks"].items()}
    return GraphNode(row["name"], row["type"], tuple(row["depends_on"]), tasks)


def _task_view(row: Row) -> TaskView:
    pages = PageCounts(row.pop("pages_ok") or 0, row.pop("pages_skipped") or 0, row.pop("pages_error") or 0)
    volume = VolumeRef(row.pop("w_id"), row.pop("i_id"), row.pop("source"))
    state = TaskState(row.pop("state"))
    counters: Mapping[str, Any] = row.pop("counters") or {}
    return TaskView(
        volume=volume, state=state, pages=pages if state is TaskState.DONE else None, counters=counters, **row
    )


def _worker_view(row: Row) -> WorkerView:
    doing = tuple(
        WorkerTask(**{**task, "since": dt.datetime.fromisoformat(task["since"])}) for task in row.pop("doing")
    )
    return WorkerView(condition=WorkerCondition(row.pop("condition")), doing=doing, **row)
