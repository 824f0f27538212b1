"""One volume: its tasks in all jobs, the attempts at them, and its pages."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bec_orch.core.records.overview import TaskView
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.errors import BecError, UsageError
from bec_orch.orch.overview.namesakes import NamedVolume
from bec_orch.orch.overview.spelling import recorded_names
from bec_orch.orch.overview.volume_pages import PageView, VolumePages
from bec_orch.web.html.rendering import address, page
from bec_orch.web.html.tables import Column, Table, data_or_page, row_of
from bec_orch.web.iiif.addresses import manifest_address
from bec_orch.web.sight.asked import asked_volume
from bec_orch.web.sight.sight import Sight, best_job


def go(request: Request) -> Response:
    """Lead to the volume that was typed."""
    w_id, _, i_id = request.query_params.get("volume", "").strip().partition("/")
    if not w_id or not i_id or "/" in i_id:
        raise UsageError("That is not a volume.", code="E_VOLUME", hint="Write it as W22084/I0886.")
    sight: Sight = request.app.state.sight
    return RedirectResponse(address("volumes", *recorded_names(sight.overview, w_id, i_id)), status_code=303)


def volume(request: Request) -> Response:
    """Show one volume."""
    sight: Sight = request.app.state.sight
    named = asked_volume(sight, request)
    tasks, volume, source = named.tasks, named.volume, named.told_source
    jobs = list(dict.fromkeys(task.job for task in tasks))
    job = request.query_params.get("job") or best_job(tasks)
    pages, fault = _pages(sight, job, volume)
    return page(
        "volume.html",
        {
            "title": str(volume),
            "volume": volume,
            "source": source,
            "namesakes": named.namesakes,
            "tasks": _task_table(sight, named),
            "attempts": _attempt_table(sight, named),
            "jobs": jobs,
            "job": job,
            "pages": pages,
            "fault": fault,
            "manifest": _manifest(named, job),
            "table": _page_table(job, named, pages),
        },
    )


def _manifest(named: NamedVolume, job: str) -> str:
    """Return the address of what a job read, as a manifest; empty where it is not done."""
    done = next((task for task in named.tasks if task.job == job and task.state is TaskState.DONE), None)
    if done is None:
        return ""
    return manifest_address(job, named.volume, version_of(done.manifest_etag or "") if named.namesakes else "")


def _pages(sight: Sight, job: str, volume: VolumeRef) -> tuple[VolumePages | None, BecError | None]:
    try:
        return sight.pages(job, volume), None
    except BecError as error:
        return None, error


def _page_of(named: NamedVolume, job: str = "") -> str:
    return address("volumes", named.volume.w_id, named.volume.i_id, job=job, source=named.told_source)


def tasks(request: Request) -> Response:
    """Give the tasks of a volume as JSON or CSV."""
    sight: Sight = request.app.state.sight
    named = asked_volume(sight, request)
    return data_or_page(request, _task_table(sight, named), _page_of(named))


def attempts(request: Request) -> Response:
    """Give the attempts at a volume as JSON or CSV."""
    sight: Sight = request.app.state.sight
    named = asked_volume(sight, request)
    return data_or_page(request, _attempt_table(sight, named), _page_of(named))


def pages(request: Request) -> Response:
    """Give the pages of a volume, as a job left them, as JSON or CSV."""
    sight: Sight = request.app.state.sight
    named, job = asked_volume(sight, request), request.path_params["job"]
    table = _page_table(job, named, sight.pages(job, named.volume))
    return data_or_page(request, table, _page_of(named, job))


def _page_table(job: str, named: NamedVolume, found: VolumePages | None) -> Table:
    shown: Sequence[PageView] = found.pages if found else ()
    rows = [{**{key: value for key, value in row_of(one).items() if key != "figures"}, **one.figures} for one in shown]
    headings = dict.fromkeys(key for row in rows for key in row)
    even = [{key: row.get(key) for key in headings} for row in rows]
    return _table(named, (job, "pages"), (), even)


def _table(
    named: NamedVolume, place: Sequence[str], columns: Sequence[Column], rows: Sequence[dict[str, Any]], empty: str = ""
) -> Table:
    """Return a table of a volume, at a place below its own, with the source where the name does not tell it."""
    at = address("volumes", named.volume.w_id, named.volume.i_id, *place)
    return Table(at, columns, rows, empty, {"source": named.told_source} if named.told_source else {})


def _task_table(sight: Sight, named: NamedVolume) -> Table:
    stale = sight.listings.stale_reasons(named.volume.w_id, named.volume.i_id)
    rows = [_task_row(task, stale.get(task.id, ())) for task in named.tasks]
    return _table(named, ("tasks",), _TASK_COLUMNS, rows)


def _task_row(task: TaskView, stale: "tuple[str, ...] | Any") -> dict[str, Any]:
    took = (task.finished_at - task.started_at).total_seconds() if task.finished_at and task.started_at else None
    why = task.failure_message or task.reason
    pages = task.pages or task.failed_pages
    return {
        "job": task.job,
        "task": task.id,
        "state": task.state.value,
        "pages_ok": pages.ok if pages else None,
        "pages_skipped": pages.skipped if pages else None,
        "pages_error": pages.error if pages else None,
        "seconds": took,
        "attempts": task.attempt,
        "code": task.failure_code,
        "why": why,
        "hint": task.failure_hint,
        "stale": ", ".join(stale),
        "version": task.manifest_etag,
        "source": task.volume.source,
        "finished_at": task.finished_at,
    }


_TASK_COLUMNS = (
    Column("job", "job", link=lambda row: address("jobs", row["job"])),
    Column("state", "state", "state"),
    Column("pages_ok", "ok", "number"),
    Column("pages_skipped", "skipped", "number"),
    Column("pages_error", "errors", "number"),
    Column("seconds", "took", "duration"),
    Column("attempts", "attempts", "number"),
    Column("code", "failed with", "code"),
    Column("why", "why"),
    Column("stale", "stale because of"),
    Column("finished_at", "finished", "time"),
)


def _attempt_table(sight: Sight, named: NamedVolume) -> Table:
    found = sight.listings.attempts_of_volume(named.volume.w_id, named.volume.i_id)
    own = {task.id for task in named.tasks}
    rows = [_attempt_row(row_of(one)) for one in found if one.task_id in own]
    return _table(named, ("attempts",), _ATTEMPT_COLUMNS, rows, "No worker has tried it yet.")


def _attempt_row(row: dict[str, Any]) -> dict[str, Any]:
    ended, started = row["ended_at"], row["started_at"]
    took = (ended - started).total_seconds() if ended else None
    stages = sorted(row["stages"].items(), key=lambda stage: -stage[1])
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages)
    return {**row, "outcome": row["outcome"] or "running", "seconds": took, "times": times}


_ATTEMPT_COLUMNS = (
    Column("job", "job", link=lambda row: address("jobs", row["job"])),
    Column("attempt", "attempt", "number"),
    Column("outcome", "ended", "state"),
    Column("code", "code", "code"),
    Column("message", "message"),
    Column("seconds", "took", "duration"),
    Column("times", "of that, by stage"),
    Column("worker_id", "worker"),
    Column("started_at", "began", "time"),
)
