"""`bec show`: what there is of a volume, or of one of its pages: state, lines and text."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json, OnlyJob, OnlySource, parse_names
from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.jobs.pages import VolumeName
from bec_orch.cli.terminal.console import note, print_json, print_rows, say
from bec_orch.core.job_types.registry import content_of, page_figures
from bec_orch.core.names import printable
from bec_orch.core.records.overview import TaskView
from bec_orch.core.tasks import TaskState
from bec_orch.core.transcripts import Line, PageRecord
from bec_orch.core.volumes import VolumeRef, of_several_sources
from bec_orch.core.wording import counted
from bec_orch.errors import UsageError
from bec_orch.orch.overview.layers import Layers
from bec_orch.orch.overview.namesakes import NamedVolume, named_volume
from bec_orch.orch.overview.spelling import unknown_volume
from bec_orch.orch.overview.volume_pages import PageLooker, PageView, VolumePages


def command(
    ctx: typer.Context,
    volume: VolumeName,
    page: Annotated[
        int | None, typer.Argument(metavar="PAGE", min=1, help="Number of a page.", show_default=False)
    ] = None,
    *,
    job: OnlyJob = None,
    source: OnlySource = None,
    as_json: Json = False,
) -> None:
    """Show where a volume stands in each job; with PAGE, the state of a page, its lines and their text."""
    names = parse_names(volume)
    with open_parts(invocation(ctx).settings) as parts:
        records = parts.records
        found = named_volume(records.overview, records.listings, names, source=source or "", job=job)
        if page is None:
            _show_tasks(_tasks(parts, found, source), job, as_json=as_json)
            return
        name = job or next((task.job for task in found.tasks if task.state is TaskState.DONE), found.tasks[0].job)
        pages = _pages(parts, name, found.volume)
        places = _places(pages, page)
        layers = Layers(records.overview, records.listings, parts.artefacts(), content_of)
        layer = layers.layer(name, found.volume)
        pictures = [
            (view, layers.page(layer, place, view.img_file_name) if layer else None) for place, view in places.items()
        ]
    if as_json:
        shown = [{"page": view, "content": record} for view, record in pictures]
        print_json({"job": name, "volume": pages.volume, "task_state": pages.state, "pictures": shown})
        return
    for view, record in pictures:
        _print_page(pages, view, record, found.told_source)


def _tasks(parts: Parts, found: NamedVolume, source: str | None) -> list[TaskView]:
    """Return the tasks of a volume, and of those of its name in other sources where no source was named."""
    every = parts.records.listings.tasks_of_volume(found.volume.w_id, found.volume.i_id)
    return [task for task in every if not source or task.volume == found.volume]


def _show_tasks(tasks: Sequence[TaskView], job: str | None, *, as_json: bool) -> None:
    shown = [task for task in tasks if job in {None, task.job}]
    print_json(shown) if as_json else _print_tasks(shown)


def _pages(parts: Parts, job: str, volume: VolumeRef) -> VolumePages:
    looker = PageLooker(parts.records.overview, parts.artefacts(), parts.sources, page_figures)
    found = (one for one in looker.look(volume.w_id, volume.i_id, job) if one.volume == volume)
    pages = next(found, None)
    if pages is None:
        raise unknown_volume(volume.w_id, volume.i_id, job)
    return pages


def _places(pages: VolumePages, number: int) -> dict[int, PageView]:
    """Return the pictures of a page by their places among the rows, from 0: a file may have several."""
    found = {place: view for place, view in enumerate(pages.pages) if view.page == number}
    if not found:
        raise UsageError(
            f"The volume {pages.volume} has no page {number}.",
            code="E_PAGE_UNKNOWN",
            hint=pages.note or f"It has {counted(pages.last_page, 'page')}.",
        )
    return found


def _print_tasks(tasks: Sequence[TaskView]) -> None:
    rows = [
        {
            "job": task.job,
            "task": task.id,
            "state": task.state,
            "pages": pages.total if pages else None,
            "page errors": pages.error if pages else None,
            "code": task.failure_code,
            "why": task.failure_message or task.reason,
            "source": task.volume.source,
        }
        for task in tasks
        for pages in [task.pages or task.failed_pages]
    ]
    names = ["job", "task", "state", "pages", "page errors", "code", "why"]
    names += ["source"] if of_several_sources(task.volume for task in tasks) else []
    print_rows(rows, dict(zip(names, names, strict=True)), empty="That job has no task for this volume.")


def _print_page(pages: VolumePages, view: PageView, record: PageRecord | None, source: str) -> None:
    """Print a page; `source` is where its volume lies, empty where that need not be told."""
    where = f" in {printable(source, limit=300)}" if source else ""
    what = f"page {view.page} of {pages.last_page}  {view.img_file_name}"
    say(f"{pages.job}  {pages.volume}{where}  {what}: {view.state}")
    if view.code:
        say(f"{view.code} in stage {view.stage}: {view.message}")
    elif view.message:
        say(view.message)
    if pages.note:
        note(f"warning: {pages.volume}: {pages.note}")
    lines = record.content.lines if record else ()
    kinds = Counter(line.kind for line in lines)
    say(", ".join(f"{counted(count, 'line')} ({kind})" for kind, count in kinds.items()) or "no lines")
    for number, line in enumerate(lines, start=1):
        say(f"{number:>4}  {_sureness(line)}  {'' if line.text is None else line.text}")


def _sureness(line: Line) -> Any:
    value = line.score if line.confidence is None else line.confidence
    return "   -" if value is None else f"{value:.2f}"
