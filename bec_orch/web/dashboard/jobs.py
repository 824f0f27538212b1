"""All jobs."""

import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bec_orch.core.records.overview import GraphNode
from bec_orch.orch.machines.prices import Cost
from bec_orch.orch.overview.standing import JobStats, graph, job_stats
from bec_orch.web.dashboard.graph import BOX, drawing
from bec_orch.web.dashboard.states import ORDER, counts_of, shares
from bec_orch.web.html.rendering import address, page
from bec_orch.web.html.tables import Column, Table, answer, is_for_programs
from bec_orch.web.kept.snapshots import WAIT
from bec_orch.web.sight.sight import Sight

# Seconds for which a program waits for the table.
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
    until = until if is_for_programs(request) else 0.0
    standing = _standing(sight, [node.name for node in nodes or ()], until)
    rows = [_job_row(node, *standing[node.name]) for node in nodes or ()]
    table = Table("/jobs", _JOB_COLUMNS, rows, _NO_JOBS if nodes is not None else _COUNTING, {})
    return answer(request, table) or page(
        "jobs.html",
        {
            "title": "Jobs",
            "table": table,
            "graph": drawing(nodes or ()),
            "box": BOX,
            "shares": {node.name: shares(counts_of(node, standing[node.name][1])) for node in nodes or ()},
            "costs": {name: cost.words if cost else None for name, (cost, _) in standing.items()},
            "pending": nodes is None or any(None in found for found in standing.values()),
        },
    )


def _standing(sight: Sight, names: Sequence[str], until: float) -> dict[str, tuple[Cost | None, JobStats | None]]:
    """Return what each job has cost and where it stands, as far as that is there in time."""
    costs: dict[Hashable, Callable[[], Cost]] = {("cost", name): partial(sight.cost, name) for name in names}
    stats: dict[Hashable, Callable[[], JobStats]] = {
        ("stats", name): partial(job_stats, sight.overview, name) for name in names
    }
    return dict(zip(names, zip(sight.figures(costs, until), sight.figures(stats, until), strict=True), strict=True))


def _job_row(node: GraphNode, cost: Cost | None, stats: JobStats | None) -> dict[str, Any]:
    counts = counts_of(node, stats)
    return {
        "job": node.name,
        "type": node.type,
        "needs": ", ".join(node.depends_on),
        **{state.value: counts.get(state, 0) for state in ORDER},
        "pages_ok": stats.pages.ok if stats else None,
        "pages_error": stats.pages_with_errors if stats else None,
        "pages_per_second": stats.pages_per_second_1h if stats else None,
        "eta_seconds": stats.eta_seconds if stats else None,
        "stale": stats.stale if stats else None,
        "stuck": stats.stuck if stats else None,
        "cost_so_far": cost.total if cost else None,
        "unpriced_hours": cost.unpriced_hours if cost else None,
        "currency": cost.currency if cost else None,
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
