"""`bec pages`: every page of a volume, with its state and what its job type tells of it."""

from collections import Counter
from collections.abc import Collection
from typing import Annotated, Any

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json, Limit, OnlyJob, parse_names
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.terminal.console import note, print_json, print_rows, say
from bec_orch.core.job_types.registry import page_figures
from bec_orch.core.names import printable
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import of_several_sources
from bec_orch.core.wording import counted
from bec_orch.orch.overview.spelling import recorded_names, unknown_volume
from bec_orch.orch.overview.volume_pages import PageLooker, PageView, VolumePages

VolumeName = Annotated[str, typer.Argument(metavar="W_ID/I_ID", help="The volume.", show_default=False)]


def command(
    ctx: typer.Context,
    volume: VolumeName,
    *,
    job: OnlyJob = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List every page of a volume: state, lines, confidence, characters, and why it is an error or skipped."""
    print_pages(ctx, volume, job, None, limit=limit, as_json=as_json)


def print_pages(
    ctx: typer.Context, volume: str, job: str | None, states: Collection[str] | None, *, limit: int, as_json: bool
) -> None:
    """Print the pages of a volume that are in one of some states, or all, of a job or of all jobs.

    Raises:
        UsageError: no job has a task for it (E_VOLUME_UNKNOWN).
    """
    names = parse_names(volume)
    with open_parts(invocation(ctx).settings) as parts:
        w_id, i_id = recorded_names(parts.records.overview, *names)
        looker = PageLooker(parts.records.overview, parts.artefacts(), parts.sources, page_figures)
        found = looker.look(w_id, i_id, job)
    if not found:
        raise unknown_volume(w_id, i_id, job)
    if as_json:
        print_json([_as_json(one, states, limit) for one in found])
        return
    alike = of_several_sources(one.volume for one in found)
    for one in found:
        _print(one, _chosen(one, states), limit, source=one.volume.source if alike else "")


def _chosen(one: VolumePages, states: Collection[str] | None) -> list[PageView]:
    return [page for page in one.pages if states is None or page.state in states]


def _as_json(one: VolumePages, states: Collection[str] | None, limit: int) -> dict[str, Any]:
    chosen = _chosen(one, states)
    return {
        "job": one.job,
        "volume": one.volume,
        "task": one.task,
        "task_state": one.state,
        "partial": one.partial,
        "partial_artefact": one.partial_artefact,
        "note": one.note,
        "failure": one.failure,
        "hint": one.hint,
        "states": Counter(page.state for page in one.pages),
        "left_off": max(0, len(chosen) - limit),
        "pages": chosen[:limit],
    }


def _print(one: VolumePages, chosen: list[PageView], limit: int, *, source: str) -> None:
    """Print the pages of a volume; `source` is where it lies, empty where that need not be told."""
    states = Counter(page.state for page in one.pages)
    told = ", ".join(f"{count:,} {state}" for state, count in states.items()) or "none"
    where = f" in {printable(source, limit=300)}" if source else ""
    say(f"{one.job}  {one.volume}{where}  task {one.task} is {one.state}; {counted(len(one.pages), 'page')}: {told}")
    if one.failure:
        say(f"It failed: {one.failure}")
    if one.hint:
        note(f"hint: {one.hint}")
    if one.partial and one.has_rows and one.state is not TaskState.DONE:
        marked = f"; {one.partial_artefact} marks a partial one" if one.partial_artefact else ""
        say(f"The volume is not done: these rows are those of its attempts, and no artefact{marked}.")
    if one.note:
        note(f"warning: {one.volume}: {one.note}")
    shown = chosen[:limit]
    # What no page has a figure of takes no room.
    told_of = ((heading, value) for page in one.pages for heading, value in page.figures.items())
    headings = list(dict.fromkeys(heading for heading, value in told_of if value is not None))
    names = ("page", "file", "state", *headings, "code", "message")
    print_rows(
        [_row(page, headings) for page in shown], {name: name for name in names}, empty="There are no such pages."
    )
    if len(chosen) > limit:
        say(f"(The first {limit:,} of {len(chosen):,} pages are shown; --limit shows more.)")
    say()


def _row(page: PageView, headings: list[str]) -> dict[str, Any]:
    return {
        "page": page.page,
        "file": page.img_file_name,
        "state": page.state,
        **{heading: page.figures.get(heading) for heading in headings},
        "code": page.code,
        "message": page.message,
    }
