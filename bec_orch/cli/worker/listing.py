"""`bec workers`: the worker processes, and what each is at."""

from typing import Annotated, Any

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json, Limit, OnlyJob
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.terminal.console import as_text, print_json, print_rows
from bec_orch.core.records.overview import WorkerView
from bec_orch.orch.overview.processes import seen_from


def command(
    ctx: typer.Context,
    *,
    job: OnlyJob = None,
    everyone: Annotated[bool, typer.Option("--all", help="Those that have ended or are long lost, too.")] = False,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Show the workers, and at which page of which volume each is."""
    with open_parts(invocation(ctx).settings) as parts:
        found = seen_from(parts.host, parts.records.overview.workers(job, stopped=everyone, limit=limit))
    if as_json:
        print_json(found)
        return
    columns = {"worker": "worker", "job": "job", "state": "state", "doing": "doing", "heard": "heard of"}
    if any(worker.instance_id for worker in found):
        columns["machine"] = "machine"
    print_rows([_row(worker) for worker in found], columns, empty="There are no workers.")


def _row(worker: WorkerView) -> dict[str, Any]:
    doing = ", ".join(
        f"{task.w_id}/{task.i_id} {task.pages_done}/{task.pages_total} since {as_text(task.since)}"
        for task in worker.doing
    )
    state = f"{worker.condition.value} ({worker.stop_reason})" if worker.stop_reason else worker.condition.value
    return {
        "worker": worker.id,
        "job": worker.job,
        "state": state,
        "doing": doing,
        "heard": f"{worker.silent_seconds:.0f} s ago",
        "machine": machine_of(worker),
    }


def machine_of(worker: WorkerView) -> str:
    """Name the machine of EC2 that a worker is on; empty elsewhere."""
    if worker.instance_id is None:
        return ""
    return f"{worker.instance_id} ({worker.instance_type}, {worker.lifecycle})"
