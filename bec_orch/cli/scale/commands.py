"""`bec scale`: the machines of a job on EC2, or its workers on this machine. What is to be done is shown first."""

import sys
from typing import Annotated

import typer

from bec_orch.cli.composition import Parts, open_parts
from bec_orch.cli.console import EXIT_FAILED, note, print_json, say
from bec_orch.cli.invocation import invocation
from bec_orch.cli.options import JobName, Json
from bec_orch.cli.scale.parts import fleet_of, local_of, machine_spec, queue_of
from bec_orch.cli.scale.status import show_fleet, show_local
from bec_orch.core.records.overview import WorkerView
from bec_orch.errors import UsageError
from bec_orch.io.aws.ec2 import Mix
from bec_orch.orch.machines.plans import Plan, apply

app = typer.Typer(help="Start and stop the machines of a job, or its workers on this machine.")

Local = Annotated[bool, typer.Option("--local", help="Worker processes on this machine, not machines on EC2.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and end there.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command(epilog="Example: bec scale up ldv1 --count 6 --instance-type g6.xlarge,g5.xlarge --spot")
def up(
    ctx: typer.Context,
    job: JobName,
    *,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Machines in all, those that run among them.")],
    instance_type: Annotated[
        str | None,
        typer.Option(metavar="TYPE[,TYPE2]", help="Machine types, the most wanted first (default: as it is)."),
    ] = None,
    spot: Annotated[bool, typer.Option("--spot", help="Spot machines: cheap, and may be taken back.")] = False,
    local: Local = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Have so many machines work for a job. The launch template and the group are made where there are none."""
    loaded = invocation(ctx).loaded
    with open_parts(loaded.settings) as parts:
        name = parts.store.job(job).name
        if local:
            plan = local_of(loaded.settings, name).plan_up(count)
        else:
            mix = _mix(instance_type, spot=spot)
            plan = fleet_of(loaded.settings, name).plan_up(count, mix, lambda: machine_spec(loaded, name))
    _carry_out(plan, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command(epilog="Example: bec scale down ldv1 --to 2")
def down(
    ctx: typer.Context,
    job: JobName,
    *,
    to: Annotated[int, typer.Option("--to", metavar="N", min=0, help="So many are left.")] = 0,
    destroy: Annotated[bool, typer.Option("--destroy", help="Remove the group and the launch template, too.")] = False,
    local: Local = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Drain machines and stop them: their workers finish the page and give the task back."""
    if destroy and (to or local):
        raise UsageError("--destroy removes everything on EC2: it goes with neither --to nor --local.")
    settings = invocation(ctx).settings
    with open_parts(settings) as parts:
        name = parts.store.job(job).name
        if local:
            plan = local_of(settings, name).plan_down(to)
        elif destroy:
            plan = fleet_of(settings, name).plan_destroy()
        else:
            plan = fleet_of(settings, name).plan_down(to, _workers(parts, name))
    _carry_out(plan, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command(epilog="Example: bec scale auto ldv1 --min 1 --max 10 --backlog-per-worker 200")
def auto(
    ctx: typer.Context,
    job: JobName,
    *,
    minimum: Annotated[int, typer.Option("--min", metavar="N", help="Machines at least.")],
    maximum: Annotated[int, typer.Option("--max", metavar="N", help="Machines at most.")],
    backlog_per_worker: Annotated[float, typer.Option(metavar="N", help="Waiting messages that one machine is for.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let the number of machines follow the queue, until the next `up` or `down`."""
    settings = invocation(ctx).settings
    with open_parts(settings) as parts:
        name = parts.store.job(job).name
        queue = queue_of(parts, name)
    plan = fleet_of(settings, name).plan_auto(minimum, maximum, backlog_per_worker, queue)
    _carry_out(plan, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command(epilog="Example: bec scale status ldv1")
def status(ctx: typer.Context, job: JobName, *, local: Local = False, as_json: Json = False) -> None:
    """Show the machines of a job, what their workers do, and what they cost by the hour."""
    settings = invocation(ctx).settings
    with open_parts(settings) as parts:
        name = parts.store.job(job).name
        workers = _workers(parts, name)
    if local:
        show_local(local_of(settings, name).status(workers), as_json=as_json)
    else:
        show_fleet(fleet_of(settings, name).status(workers), as_json=as_json)


def _workers(parts: Parts, job: str) -> list[WorkerView]:
    return parts.records.overview.workers(job, stopped=False, limit=1000)


def _mix(instance_type: str | None, *, spot: bool) -> Mix | None:
    types = tuple(filter(None, map(str.strip, (instance_type or "").split(","))))
    if spot and not types:
        raise UsageError("--spot was given without machine types.", hint="Give --instance-type TYPE[,TYPE2], too.")
    return Mix(types, spot) if types else None


def _carry_out(plan: Plan, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show a plan, ask, and take its steps; each is told when it is done."""
    if not as_json:
        _show(plan, dry_run=dry_run)
    if plan.actions and not dry_run and not yes:
        _confirm()
    done = []
    for words in () if dry_run else apply(plan):
        done.append(words)
        note(f"done: {words}")
    if as_json:
        print_json({"remarks": plan.remarks, "plan": plan.words, "done": done})


def _show(plan: Plan, *, dry_run: bool) -> None:
    for remark in plan.remarks:
        say(remark)
    for words in plan.words:
        say(f"will {words}")
    if not plan.actions:
        say("There is nothing to do.")
    elif dry_run:
        say("Nothing was changed: this was a dry run.")


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise UsageError("Nothing was done: nobody can be asked.", hint="Add --yes to do it, --dry-run to look.")
    if not typer.confirm("Do it?", err=True):
        note("Nothing was done.")
        raise typer.Exit(EXIT_FAILED)
