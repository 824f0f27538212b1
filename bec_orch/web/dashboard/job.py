"""One job: how far it is, what fails, where its time and money go."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bec_orch.core.records.listings import MOST_ROWS, Course, DoubtfulVolume, ListedTask, TaskOrder, TaskQuery
from bec_orch.core.records.overview import ErrorGroup, GraphNode
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import counted
from bec_orch.orch.machines.prices import Cost
from bec_orch.orch.overview.standing import JobStats, graph, job_stats
from bec_orch.web.dashboard.states import ORDER, counts_of, shares
from bec_orch.web.dashboard.tasks import TASK_COLUMNS, no_tasks, task_row, task_table
from bec_orch.web.html.rendering import address, page
from bec_orch.web.html.tables import VOLUME, Column, Table, data_or_page, row_of, with_sources
from bec_orch.web.kept.snapshots import WAIT
from bec_orch.web.sight.sight import Sight

_QUICK = 3
"""Of what is asked for the page of a job, so many take the database some hundredths of a second."""
_SLOWEST = 8
_FAILURES = 50
_SILENT = 20
# Seconds for which a drawing waits for its figures, after the page was sent.
_LONG = 30.0


def job(request: Request) -> Response:
    """Show one job."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    until = time.monotonic() + WAIT
    known = sight.overview.job(name)
    asked = _asked_of(sight, name)
    # While the tasks are listed, the database counts what is quick; what takes it long would keep the listing waiting.
    sight.figures(dict(list(asked.items())[:_QUICK]))
    # A page that goes on by itself takes its figures anew, and leaves the table as it is.
    goes_on = "hx-request" in request.headers
    listed = no_tasks(name) if goes_on else task_table(sight, name, request.query_params)
    found = sight.figures(asked, until)
    nodes, stages, cost, slowest, failures, silent, stats = found
    node = next((one for one in nodes or () if one.name == name), None)
    return page(
        "job.html",
        {
            "title": name,
            "job": known,
            **_standing(node, stats),
            "stats": stats,
            "cost": cost,
            "per_thousand": _per_thousand(cost, stats),
            "stages": _parts(stages or {}),
            "failures": failure_table(name, failures or ()),
            "page_errors": _page_errors(name, stats.page_errors if stats else {}),
            "slowest": None if slowest is None else _slowest(name, slowest),
            "silent": None if silent is None else silent_table(name, silent),
            "tasks": listed,
            "states": ORDER,
            "pending": None in (nodes, stages, cost, slowest, failures, silent, stats),
        },
    )


def _asked_of(sight: Sight, job: str) -> dict[Hashable, Callable[[], Any]]:
    """Return what is asked of the database for the page of a job, the quickest first."""
    slowest = TaskQuery(state=TaskState.DONE, order=TaskOrder.SECONDS, limit=2 * _SLOWEST)
    return {
        "graph": lambda: graph(sight.overview),
        ("stages", job): lambda: sight.listings.stage_seconds(job),
        ("cost", job): lambda: sight.cost(job),
        ("slowest", job): lambda: sight.listings.tasks(job, slowest),
        ("errors", job): lambda: failures_of(sight, job),
        ("silent", job): lambda: sight.listings.silent(job, limit=_SILENT + 1),
        ("stats", job): lambda: job_stats(sight.overview, job),
    }


def _standing(node: GraphNode | None, stats: JobStats | None) -> dict[str, Any]:
    """Return the bar of states, what it counts, and how many."""
    counts = counts_of(node, stats)
    return {"shares": shares(counts), "counted": "volume" if stats else "task", "total": sum(counts.values())}


def _per_thousand(cost: Cost | None, stats: JobStats | None) -> str | None:
    """Return what 1,000 pages that are done and not skipped have cost; None where it is not known."""
    each = cost.per_thousand(stats.pages.ok + stats.pages.error) if cost and stats else None
    return f"{each:.4f} {cost.currency}" if cost and each is not None else None


def _parts(seconds: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Return each stage with its seconds and its share of all, 0 to 100."""
    total = sum(seconds.values())
    return [(stage, value, 100 * value / total) for stage, value in seconds.items()] if total else []


def failures(request: Request) -> Response:
    """Give the failures of a job as JSON or CSV."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    table = failure_table(name, sight.overview.errors(name, limit=MOST_ROWS + 1), MOST_ROWS)
    return data_or_page(request, table, address("jobs", name))


def failures_of(sight: Sight, job: str) -> list[ErrorGroup]:
    """Return the failures of a job that its page shows."""
    return sight.overview.errors(job, limit=_FAILURES + 1)


def failure_table(job: str, groups: Sequence[ErrorGroup], most: int = _FAILURES) -> Table:
    """Return the most common failures by fingerprint as a table."""
    rows = [row_of(group) for group in groups[:most]]
    place, is_cut = f"{address('jobs', job)}/errors", len(groups) > most
    return Table(place, _FAILURE_COLUMNS, rows, "No attempt has failed.", {}, is_cut=is_cut)


_FAILURE_COLUMNS = (
    Column(
        "example",
        "example",
        "picture",
        link=lambda row: (
            address("jobs", row["job"], "errors", row["fingerprint"], "example") if is_volume(row["example"]) else None
        ),
    ),
    Column(
        "code", "code", "code", link=lambda row: f"{address('jobs', row['job'])}?fingerprint={row['fingerprint']}#tasks"
    ),
    Column("stage", "stage"),
    Column("message", "message, of the newest"),
    Column("count", "attempts", "number"),
    Column("tasks", "volumes", "number"),
    Column("terminal", "failed for good", "number"),
    Column("last_at", "last", "time"),
)


def is_volume(example: str) -> bool:
    """Return whether the example of a failure is a volume; it may be the body of a message."""
    _, slash, i_id = example.partition("/")
    return bool(slash) and "/" not in i_id and "{" not in example


def _page_errors(job: str, by_code: Mapping[str, int]) -> Table:
    rows = [{"job": job, "code": code, "pages": pages} for code, pages in by_code.items()]
    columns = (
        Column(
            "code", "example", "picture", link=lambda row: address("jobs", job, "page-errors", row["code"], "example")
        ),
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


def silent(request: Request) -> Response:
    """Give the volumes of a job that are done and doubtful as JSON or CSV."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    table = silent_table(name, sight.listings.silent(name, limit=MOST_ROWS + 1), MOST_ROWS)
    return data_or_page(request, table, address("jobs", name))


def silent_table(job: str, found: Sequence[DoubtfulVolume], most: int = _SILENT) -> Table:
    """Return volumes that are done and doubtful as a table."""
    rows = [{"volume": f"{one.w_id}/{one.i_id}", **row_of(one), "why": why_doubtful(one)} for one in found[:most]]
    place, empty = f"{address('jobs', job)}/silent", "No volume that is done is doubtful."
    return Table(place, with_sources(_DOUBTFUL_COLUMNS, rows), rows, empty, {}, is_cut=len(found) > most)


_DOUBTFUL_COLUMNS = (
    replace(VOLUME, order=""),
    Column("pages_ok", "pages ok", "number"),
    Column("why", "why"),
    Column("finished_at", "finished", "time"),
)


def why_doubtful(one: DoubtfulVolume) -> str:
    """Return in words why a volume is doubtful."""
    if one.pages_unsure:
        return f"{counted(one.pages_unsure, 'page')} read with little confidence"
    if one.pages_ok:
        return "nothing was found on its pages"
    return "its pages are errors" if one.pages_error else "its pages were skipped"


def _slowest(job: str, found: Sequence[ListedTask]) -> Table:
    columns = tuple(column for column in TASK_COLUMNS if column.key in {"volume", "seconds", "pages_ok"})
    # Of a volume that was done again, the slower time counts.
    by_volume: dict[VolumeRef, ListedTask] = {}
    for one in found:
        by_volume.setdefault(VolumeRef(one.w_id, one.i_id, one.source), one)
    rows = [task_row(job, one) for one in list(by_volume.values())[:_SLOWEST]]
    asked = {"state": "done", "order": "seconds"}
    shown = with_sources(columns, rows)
    return Table(f"{address('jobs', job)}/tasks", shown, rows, "No volume is done yet.", asked)


def course(request: Request) -> Response:
    """Give the volumes of a job by state over time, and the pages that were done."""
    sight: Sight = request.app.state.sight
    name = request.path_params["job"]
    found = sight.figure(("course", name), lambda: sight.listings.course(name), seconds=_LONG) or Course(1, ())
    spans = [[span.begin.timestamp(), *(getattr(span, key) for key in _SPAN)] for span in found.spans]
    return JSONResponse({"seconds": found.seconds, "columns": ["begin", *_SPAN], "spans": spans})


_SPAN = ("enqueued", "done", "failed", "canceled", "pages")
