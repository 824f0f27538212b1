"""`bec errors`: failures, grouped by what is the same about them, and the pages of a volume that are errors."""

from typing import Any

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json, Limit, OnlyJob
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.jobs.pages import VolumeName, print_pages
from bec_orch.cli.terminal.console import as_text, print_json, print_record, say
from bec_orch.core.records.overview import ErrorGroup
from bec_orch.errors import UsageError

app = typer.Typer(help="Show failures, and pages that are errors.")


@app.callback(invoke_without_command=True, epilog="Example: bec errors --job ldv1")
def command(
    ctx: typer.Context,
    *,
    job: OnlyJob = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Show failures grouped by fingerprint, the most common first, each with an example; or the pages of a volume."""
    if ctx.invoked_subcommand:
        if job:
            raise UsageError("--job stands before the command.", hint=f"Write `bec errors show W_ID/I_ID --job {job}`.")
        return
    with open_parts(invocation(ctx).settings) as parts:
        groups = parts.records.overview.errors(job, limit=limit)
    if as_json:
        print_json(groups)
    elif not groups:
        say("There are no failures.")
    for group in () if as_json else groups:
        say(f"{group.fingerprint}  {group.code}  in {group.job}, stage {group.stage}")
        print_record(_record(group))
        say()


@app.command(epilog="Example: bec errors show W22084/I0886 --job ocrv1")
def show(
    ctx: typer.Context,
    volume: VolumeName,
    *,
    job: OnlyJob = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List the pages of a volume that are errors, with code and message, also of a volume that failed."""
    print_pages(ctx, volume, job, {"error"}, limit=limit, as_json=as_json)


def _record(group: ErrorGroup) -> dict[str, Any]:
    return {
        "message": group.message,
        "example": group.example,
        "attempts": group.count,
        "tasks": f"{as_text(group.tasks)}, of them failed for good: {as_text(group.terminal)}",
        "first": group.first_at,
        "last": group.last_at,
    }
