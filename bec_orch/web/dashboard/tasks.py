"""The tasks of a job as a table: sorted, filtered and cut by the database."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bec_orch.core.records.listings import MOST_ROWS, ListedTask, TaskOrder, TaskQuery
from bec_orch.core.tasks import TaskState
from bec_orch.errors import UsageError
from bec_orch.web.html.rendering import address
from bec_orch.web.html.tables import VOLUME, Column, Table, data_or_page, row_of, with_sources
from bec_orch.web.sight.sight import Sight

_ROWS = 50


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
    rows = [task_row(job, one) for one in found[: wanted.limit]]
    query = {key: asked[key] for key in KEYS if asked.get(key)}
    following = {"skip": str(wanted.skip + wanted.limit)} if len(found) > wanted.limit else None
    preceding = {"skip": str(max(0, wanted.skip - wanted.limit))} if wanted.skip else None
    return Table(
        f"{address('jobs', job)}/tasks",
        with_sources(TASK_COLUMNS, rows),
        rows,
        "No volume is like that." if query else "No volume was enqueued yet.",
        query,
        wanted.order.value,
        wanted.descending,
        following,
        preceding,
    )


def no_tasks(job: str) -> Table:
    """Return the table as it is where nobody asked for its rows."""
    return Table(f"{address('jobs', job)}/tasks", TASK_COLUMNS, (), "", {})


def wanted_with_one_more(wanted: TaskQuery) -> TaskQuery:
    """Ask for one row more than is shown: whether it is there tells whether more follow."""
    return replace(wanted, limit=wanted.limit + 1)


KEYS = ("text", "state", "code", "fingerprint", "order", "direction", "skip", "limit")
"""What an address can ask of the table."""
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


def task_row(job: str, one: ListedTask) -> dict[str, Any]:
    """Return a task as a row."""
    return {"job": job, "volume": f"{one.w_id}/{one.i_id}", **row_of(one), "state": one.state.value}


TASK_COLUMNS = (
    VOLUME,
    Column("state", "state", "state", "state"),
    Column("pages_ok", "pages ok", "number", "pages"),
    Column("pages_error", "errors", "number", "errors"),
    Column("seconds", "took", "duration", "seconds"),
    Column("attempt", "attempts", "number", "attempt"),
    Column("failure_code", "failed with", "code", "code"),
    Column("updated_at", "changed", "time", "updated"),
)
