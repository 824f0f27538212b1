"""Workers, their machines, and the queues beside the database."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bec_orch.core.records.listings import MOST_ROWS
from bec_orch.core.records.overview import WorkerCondition, WorkerView
from bec_orch.errors import BecError
from bec_orch.orch.overview.standing import QueueCheck, graph, queue_check
from bec_orch.web.html.rendering import address, page
from bec_orch.web.html.tables import Column, Table, answer, data_or_page, is_for_programs
from bec_orch.web.kept.snapshots import WAIT
from bec_orch.web.sight.sight import Sight


def workers(request: Request) -> Response:
    """Show the workers."""
    sight: Sight = request.app.state.sight
    everyone = request.query_params.get("stopped") == "yes"
    found = sight.workers(stopped=everyone)
    query = {"stopped": "yes"} if everyone else {}
    rows = [_worker_row(one) for one in found[:MOST_ROWS]]
    is_cut = len(found) > MOST_ROWS
    table = Table("/workers", _WORKER_COLUMNS, rows, "No worker runs.", query, is_cut=is_cut)
    values = {
        "title": "Workers",
        "table": table,
        "machines": _machine_table(sight, found),
        "everyone": everyone,
    }
    return answer(request, table) or page("workers.html", values)


def machines(request: Request) -> Response:
    """Give the machines on which workers run as JSON or CSV."""
    sight: Sight = request.app.state.sight
    table = _machine_table(sight, sight.workers(stopped=False))
    return data_or_page(request, table, "/workers")


def _machine_table(sight: Sight, workers: Sequence[WorkerView]) -> Table:
    by_machine: dict[str, list[WorkerView]] = defaultdict(list)
    for one in workers:
        if one.stopped_at is None:
            by_machine[_machine(one)].append(one)
    rows = [_machine_row(sight, name, own) for name, own in sorted(by_machine.items())]
    return Table("/machines", _MACHINE_COLUMNS, rows, "No machine works.", {}, is_cut=len(workers) > MOST_ROWS)


def _machine(one: WorkerView) -> str:
    return one.instance_id or one.host


def _machine_row(sight: Sight, name: str, workers: Sequence[WorkerView]) -> dict[str, Any]:
    conditions = Counter(one.condition for one in workers)
    newest = workers[0]
    return {
        "machine": name,
        "instance_type": newest.instance_type,
        "lifecycle": newest.lifecycle,
        "hourly": sight.prices.hourly(newest.instance_type or "", spot=newest.lifecycle == "spot"),
        "currency": sight.prices.currency,
        "jobs": ", ".join(sorted({one.job for one in workers})),
        **{condition.value: conditions[condition] for condition in _RUNNING},
        "silent_seconds": min(one.silent_seconds for one in workers),
    }


_RUNNING = (WorkerCondition.WORKING, WorkerCondition.IDLE, WorkerCondition.LOST)
_MACHINE_COLUMNS = (
    Column("machine", "machine"),
    Column("instance_type", "type"),
    Column("lifecycle", "bought as"),
    Column("hourly", "price of an hour", "number"),
    Column("currency", "in"),
    Column("jobs", "jobs"),
    Column("working", "workers at work", "number"),
    Column("idle", "idle", "number"),
    Column("lost", "lost", "number"),
    Column("silent_seconds", "heard of", "duration"),
)


def _worker_row(one: WorkerView) -> dict[str, Any]:
    return {
        "condition": one.condition.value,
        "job": one.job,
        "machine": _machine(one),
        "instance_type": one.instance_type,
        "lifecycle": one.lifecycle,
        "pid": str(one.pid),
        "at": ", ".join(f"{task.w_id}/{task.i_id}" for task in one.doing),
        "pages_done": sum(task.pages_done for task in one.doing) if one.doing else None,
        "pages_total": sum(task.pages_total for task in one.doing) if one.doing else None,
        "silent_seconds": one.silent_seconds,
        "started_at": one.started_at,
        "stopped_at": one.stopped_at,
        "stop_reason": one.stop_reason,
        "version": one.version,
        "id": one.id,
    }


_WORKER_COLUMNS = (
    Column("condition", "is", "state"),
    Column("job", "job", link=lambda row: address("jobs", row["job"])),
    Column("machine", "machine"),
    Column("instance_type", "type"),
    Column("pid", "process"),
    Column("at", "at"),
    Column("pages_done", "pages", "number"),
    Column("pages_total", "of", "number"),
    Column("silent_seconds", "heard of", "duration"),
    Column("started_at", "since", "time"),
    Column("stop_reason", "stopped because"),
)


def queues(request: Request) -> Response:
    """Show each job's queue beside its tasks."""
    sight: Sight = request.app.state.sight
    until = time.monotonic() + (_LONG if is_for_programs(request) else WAIT)
    nodes = sight.figure("graph", lambda: graph(sight.overview), seconds=until - time.monotonic())
    rows = [_queue_row(sight, node.name, until) for node in nodes or ()]
    table = Table("/queues", _QUEUE_COLUMNS, rows, _NO_JOBS if nodes is not None else _COUNTING, {})
    pending = nodes is None or any(row["note"] == _PENDING for row in rows)
    return answer(request, table) or page("queues.html", {"title": "Queues", "table": table, "pending": pending})


_PENDING = "being counted"
# Seconds for which a program waits for the whole table.
_LONG = 30.0


_NO_JOBS = "There are no jobs, and so no queues."
_COUNTING = "The jobs are being counted."


def _queue_row(sight: Sight, job: str, until: float) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(column.key for column in _QUEUE_COLUMNS)
    try:
        seconds = max(0.0, until - time.monotonic())
        check = sight.figure(("queue", job), lambda: queue_check(sight.overview, sight.queues, job), seconds=seconds)
    except BecError as error:
        return {**empty, "job": job, "note": f"{error.code}: {error.message}"}
    return {**empty, "job": job, "note": _PENDING} if check is None else _checked(job, check)


def _checked(job: str, check: QueueCheck) -> dict[str, Any]:
    return {
        "job": job,
        "visible": check.queue.visible,
        "in_flight": check.queue.in_flight,
        "delayed": check.queue.delayed,
        "dead": check.queue.dead,
        "oldest_task_seconds": check.expected.oldest_task_seconds,
        "note": "; ".join(check.disagreements) or "agrees with the database",
    }


_QUEUE_COLUMNS = (
    Column("job", "job", link=lambda row: address("jobs", row["job"])),
    Column("visible", "ready", "number"),
    Column("in_flight", "in flight", "number"),
    Column("delayed", "delayed", "number"),
    Column("dead", "dead letters", "number"),
    Column("oldest_task_seconds", "oldest task waits", "duration"),
    Column("note", "beside the database"),
)
