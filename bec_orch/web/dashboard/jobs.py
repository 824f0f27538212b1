"""All jobs, and one job."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from bec_orch.core.records.listings import MOST_ROWS, Course, ListedTask, TaskOrder, TaskQuery
from bec_orch.core.records.overview import ErrorGroup, GraphNode
from bec_orch.core.tasks import TaskState
from bec_orch.errors import UsageError
from bec_orch.orch.overview.standing import JobStats, graph, job_stats
from bec_orch.web.dashboard.graph import BOX, drawing
from bec_orch.web.dashboard.states import ORDER, shares
from bec_orch.web.html.rendering import address, page
from bec_orch.web.html.tables import Column, Table, answer, data_or_page, is_for_programs, row_of
from bec_orch.web.kept.snapshots import WAIT
from bec_orch.web.sight.sight import Sight

_ROWS = 50
_SLOWEST = 8
_FAILURES = 50
# Seconds for which a drawing waits for its figures, after the page was sent, and a program for a table.
_LONG = 30.0
_NO_JOBS = "There are no jobs yet: `bec run` and `bec jobs create` make some."
_COUNTING = "The jobs are being counted."


def home(_request: Request) -> Response:
    """Lead to the jobs."""
    return RedirectResponse("/jobs", status_code=303)


def jobs(request: Request) -> Response:
    """Show all jobs."""
    sight: Sight = request.app.state.sight
    until = time.monotonic() + (_LONG if is_for_programs(request) else WAIT)
    nodes = sight.figure("graph", lambda: graph(sight.overview), seconds=until - time.monotonic())
    stats: dict[Hashable, Callable[[], JobStats]] = {
        ("stats", node.name): partial(job_stats, sight.overview, node.name) for node in nodes or ()
    }
    until = until if is_for_programs(request) else 0.0
    rows = [_job_row(node, found) for node, found in zip(nodes or (), sight.figures(stats, until), strict=True)]
    table = Table("/jobs", _JOB_COLUMNS, rows, _NO_JOBS if nodes is not None else _COUNTING, {})
    return answer(request, table) or page(
        "jobs.html",
        {
            "title": "Jobs",
            "table": table,
            "graph": drawing(nodes or ()),
            "box": BOX,
            "shares": {node.name: shares(node.tasks) for node in nodes or ()},
            "pending": nodes is None or any(row["pages_ok"] is None for row in rows),
        },
    )


def _job_row(node: GraphNode, stats: JobStats | None) -> dict[str, Any]:
    return {
        "job": node.name,
        "type": node.type,
        "needs": ", ".join(node.depends_on),
        **{state.value: node.tasks.get(state, 0) for state in ORDER},
        "pages_ok": stats.pages.ok if stats else None,
        "pages_error": stats.pages_with_errors if stats else None,
        "pages_per_second": stats.pages_per_second_1h if stats else None,
        "eta_seconds": stats.eta_seconds if stats else None,
        "stale": stats.stale if stats else None,
    }


_JOB_COLUMNS = (
    Column("job", "job", link=lambda row: address("jobs", row["job"])),
    Column("type", "type"),
    Column("done", "done", "number"),
    Column("running", "running", "number"),
    Column("queued", "queued", "number"),
    Column("waiting", "waiting", "number"),
    Column("terminal_failed", "failed", "number"),
    Column("pages_ok", "pages", "number"),
    Column("pages_error", "page errors", "number"),
    Column("pages_per_second", "pages/s", "number"),
    Column("eta_seconds", "time left", "duration"),
    Column("stale", "stale", "number"),
)


def job(request: Request) -> Response:
    """Show one job."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    until = time.monotonic() + WAIT
    known = sight.overview.job(name)
    asked = _asked_of(sight, name)
    # While the tasks are listed, the database counts.
    sight.figures(asked)
    # A page that goes on by itself takes its figures anew, and leaves the table as it is.
    goes_on = "hx-request" in request.headers
    listed = _no_tasks(name) if goes_on else task_table(sight, name, request.query_params)
    nodes, stages, slowest, failures, stats = sight.figures(asked, until)
    node = next((one for one in nodes or () if one.name == name), None)
    return page(
        "job.html",
        {
            "title": name,
            "job": known,
            "shares": shares(node.tasks) if node else [],
            "total": sum(node.tasks.values()) if node else 0,
            "stats": stats,
            "stages": _parts(stages or {}),
            "failures": failure_table(name, failures or ()),
            "page_errors": _page_errors(name, stats.page_errors if stats else {}),
            "slowest": _slowest(name, slowest),
            "tasks": listed,
            "states": ORDER,
            "pending": None in (nodes, stages, slowest, failures, stats),
        },
    )


def _asked_of(sight: Sight, job: str) -> dict[Hashable, Callable[[], Any]]:
    """Return what is asked of the database for the page of a job, the quickest first."""
    slowest = TaskQuery(state=TaskState.DONE, order=TaskOrder.SECONDS, limit=_SLOWEST)
    return {
        "graph": lambda: graph(sight.overview),
        ("stages", job): lambda: sight.listings.stage_seconds(job),
        ("slowest", job): lambda: sight.listings.tasks(job, slowest),
        ("errors", job): lambda: sight.overview.errors(job, limit=_FAILURES),
        ("stats", job): lambda: job_stats(sight.overview, job),
    }


def _parts(seconds: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Return each stage with its seconds and its share of all, 0 to 100."""
    total = sum(seconds.values())
    return [(stage, value, 100 * value / total) for stage, value in seconds.items()] if total else []


def failures(request: Request) -> Response:
    """Give the failures of a job as JSON or CSV."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    table = failure_table(name, sight.overview.errors(name, limit=MOST_ROWS))
    return data_or_page(request, table, address("jobs", name))


def failure_table(job: str, groups: Sequence[ErrorGroup]) -> Table:
    """Return failures by fingerprint as a table."""
    rows = [row_of(group) for group in groups]
    return Table(f"{address('jobs', job)}/errors", _FAILURE_COLUMNS, rows, "No attempt has failed.", {})


_FAILURE_COLUMNS = (
    Column(
        "code", "code", "code", link=lambda row: f"{address('jobs', row['job'])}?fingerprint={row['fingerprint']}#tasks"
    ),
    Column("stage", "stage"),
    Column("message", "message, of the newest"),
    Column("count", "attempts", "number"),
    Column("tasks", "volumes", "number"),
    Column("terminal", "failed for good", "number"),
    Column("last_at", "last", "time"),
    Column("example", "example", "volume", link=lambda row: _volume_link(row["example"])),
)


def _volume_link(example: str) -> str | None:
    """Return the address of a volume; None where the example is the body of a message."""
    w_id, slash, i_id = example.partition("/")
    return address("volumes", w_id, i_id) if slash and "/" not in i_id and "{" not in example else None


def _page_errors(job: str, by_code: Mapping[str, int]) -> Table:
    rows = [{"job": job, "code": code, "pages": pages} for code, pages in by_code.items()]
    columns = (
        Column("code", "code", "code", link=lambda row: f"{address('jobs', job)}?code={row['code']}#tasks"),
        Column("pages", "pages", "number"),
    )
    return Table(f"{address('jobs', job)}/page-errors", columns, rows, "No page of a finished volume is an error.", {})


def page_errors(request: Request) -> Response:
    """Give the page errors of a job by code as JSON or CSV."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    table = _page_errors(name, job_stats(sight.overview, name).page_errors)
    return data_or_page(request, table, address("jobs", name))


def _slowest(job: str, found: Sequence[ListedTask] | None) -> Table | None:
    if found is None:
        return None
    columns = tuple(column for column in _TASK_COLUMNS if column.key in {"volume", "seconds", "pages_ok"})
    rows = [_task_row(job, one) for one in found]
    asked = {"state": "done", "order": "seconds"}
    return Table(f"{address('jobs', job)}/tasks", columns, rows, "No volume is done yet.", asked)


def course(request: Request) -> Response:
    """Give what ended of a job over time."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    found = sight.figure(("course", name), lambda: sight.listings.course(name), seconds=_LONG) or Course(1, ())
    spans = [[span.begin.timestamp(), span.done, span.failed, span.pages] for span in found.spans]
    return JSONResponse({"seconds": found.seconds, "columns": ["begin", "done", "failed", "pages"], "spans": spans})


def tasks(request: Request) -> Response:
    """Give a part of a job's tasks as JSON or CSV."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    table = task_table(sight, name, request.query_params, usual=MOST_ROWS)
    return data_or_page(request, table, f"{address('jobs', name)}#tasks")


def task_table(sight: Sight, job: str, asked: Mapping[str, str], usual: int = _ROWS) -> Table:
    """Return a part of a job's tasks as a table.

    Raises:
        UsageError: what the address asks for is none of what there is (E_WEB_QUERY).
    """
    wanted = _query(asked, usual)
    found = sight.listings.tasks(job, wanted_with_one_more(wanted))
    rows = [_task_row(job, one) for one in found[: wanted.limit]]
    query = {key: asked[key] for key in _KEYS if asked.get(key)}
    following = {"skip": str(wanted.skip + wanted.limit)} if len(found) > wanted.limit else None
    preceding = {"skip": str(max(0, wanted.skip - wanted.limit))} if wanted.skip else None
    return Table(
        f"{address('jobs', job)}/tasks",
        _TASK_COLUMNS,
        rows,
        "No volume is like that." if query else "No volume was enqueued yet.",
        query,
        wanted.order.value,
        wanted.descending,
        following,
        preceding,
    )


def _no_tasks(job: str) -> Table:
    return Table(f"{address('jobs', job)}/tasks", _TASK_COLUMNS, (), "", {})


def wanted_with_one_more(wanted: TaskQuery) -> TaskQuery:
    """Ask for one row more than is shown: whether it is there tells whether more follow."""
    return replace(wanted, limit=wanted.limit + 1)


_KEYS = ("text", "state", "code", "fingerprint", "order", "direction", "skip", "limit")
_UP = frozenset({TaskOrder.VOLUME, TaskOrder.STATE, TaskOrder.CODE})
"""Orders that begin with the smallest where the address does not say."""


def _query(asked: Mapping[str, str], usual: int) -> TaskQuery:
    try:
        order = TaskOrder(asked.get("order") or TaskOrder.UPDATED)
        state = TaskState(asked["state"]) if asked.get("state") else None
        skip, limit = int(asked.get("skip") or 0), int(asked.get("limit") or usual)
    except ValueError as error:
        raise _no_query() from error
    if not (0 <= skip < _MOST_SKIPPED and 1 <= limit <= MOST_ROWS):
        raise _no_query()
    down = {"down": True, "up": False, "": order not in _UP}.get(asked.get("direction", ""))
    if down is None:
        raise _no_query()
    named = {key: asked.get(key) or None for key in ("code", "fingerprint")}
    return TaskQuery(
        asked.get("text", "").strip(), state, **named, order=order, descending=down, skip=skip, limit=limit
    )


_MOST_SKIPPED = 10**9


def _no_query() -> UsageError:
    return UsageError(
        "The address asks for what no table has.",
        code="E_WEB_QUERY",
        hint=f"order: {', '.join(TaskOrder)}; direction: up, down; state: {', '.join(TaskState)}; limit: {MOST_ROWS}.",
    )


def _task_row(job: str, one: ListedTask) -> dict[str, Any]:
    return {"job": job, "volume": f"{one.w_id}/{one.i_id}", **row_of(one), "state": one.state.value}


_TASK_COLUMNS = (
    Column("volume", "volume", "volume", "volume", lambda row: address("volumes", row["w_id"], row["i_id"])),
    Column("state", "state", "state", "state"),
    Column("pages_ok", "pages ok", "number", "pages"),
    Column("pages_error", "errors", "number", "errors"),
    Column("seconds", "took", "duration", "seconds"),
    Column("attempt", "attempts", "number", "attempt"),
    Column("failure_code", "failed with", "code", "code"),
    Column("updated_at", "changed", "time", "updated"),
)
