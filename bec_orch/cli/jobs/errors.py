"""`bec errors`: failures, grouped by what is the same about them."""

from typing import Any

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json, Limit, OnlyJob
from bec_orch.cli.composition import open_parts
from bec_orch.cli.terminal.console import as_text, print_json, print_record, say
from bec_orch.core.records.overview import ErrorGroup


def command(
    ctx: typer.Context,
    *,
    job: OnlyJob = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Show failures grouped by fingerprint, the most common first, each with an example."""
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


def _record(group: ErrorGroup) -> dict[str, Any]:
    return {
        "message": group.message,
        "example": group.example,
        "attempts": group.count,
        "tasks": f"{as_text(group.tasks)}, of them failed for good: {as_text(group.terminal)}",
        "first": group.first_at,
        "last": group.last_at,
    }
