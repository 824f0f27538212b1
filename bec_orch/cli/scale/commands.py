"""`bec scale`: the machines of a job on EC2, or its workers on this machine. What is to be done is shown first."""

from typing import Annotated

import typer

from bec_orch.cli.arguments.asking import confirm
from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import DryRun, JobName, Json, Yes
from bec_orch.cli.composition.machines import local_workers_of, machines_of
from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.scale.machines import machine_spec
from bec_orch.cli.scale.status import show_fleet, show_local
from bec_orch.cli.terminal.console import note, print_json, say
from bec_orch.core.records.overview import WorkerView
from bec_orch.errors import UsageError
from bec_orch.io.aws.ec2 import Mix
from bec_orch.orch.machines.plans import Plan, apply

app = typer.Typer(help="Start and stop the machines of a job, or its workers on this machine.")

Local = Annotated[bool, typer.Option("--local", help="Worker processes on this machine, not machines on EC2.")]


@app.command(epilog="Example: bec scale up ldv1 --count 6 --instance-type g6.xlarge,g5.xlarge --spot")
def up(
    ctx: typer.Context,
    job: JobName,
    *,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Machines in all, including those that run.")],
    instance_type: Annotated[
        str | None,
        typer.Option(metavar="TYPE[,TYPE2]", help="Machine types, the preferred first (default: as it is)."),
    ] = None,
    spot: Annotated[bool, typer.Option("--spot", help="Spot machines: cheap, and may be taken back.")] = False,
    local: Local = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Have this many machines work for a job. The launch template and the group are made where there are none."""
    loaded = invocation(ctx).loaded
    with open_parts(loaded.settings) as parts:
        name = parts.store.job(job).name
        if local:
            plan = local_workers_of(loaded.settings, name).plan_up(count)
        else:
            mix = _mix(instance_type, spot=spot)
            plan = machines_of(loaded.settings, name).plan_up(count, mix, lambda: machine_spec(loaded, name))
    _carry_out(plan, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command(epilog="Example: bec scale down ldv1 --to 2")
def down(
    ctx: typer.Context,
    job: JobName,
    *,
    to: Annotated[int, typer.Option("--to", metavar="N", min=0, help="Leave this many.")] = 0,
    destroy: Annotated[bool, typer.Option("--destroy", help="Remove the group and the launch template, too.")] = False,
    local: Local = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Drain machines and stop them: their workers finish the page and give the task back."""
    if destroy and (to or local):
        raise UsageError("--destroy removes everything on EC2: it cannot be combined with --to or --local.")
    settings = invocation(ctx).settings
    with open_parts(settings) as parts:
        name = parts.store.job(job).name
        if local:
            plan = local_workers_of(settings, name).plan_down(to)
        elif destroy:
            plan = machines_of(settings, name).plan_destroy()
        else:
            plan = machines_of(settings, name).plan_down(to, _workers(parts, name))
    _carry_out(plan, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command(epilog="Example: bec scale auto ldv1 --min 1 --max 10 --backlog-per-worker 200")
def auto(
    ctx: typer.Context,
    job: JobName,
    *,
    minimum: Annotated[int, typer.Option("--min", metavar="N", help="Machines at least.")],
    maximum: Annotated[int, typer.Option("--max", metavar="N", help="Machines at most.")],
    backlog_per_worker: Annotated[float, typer.Option(metavar="N", help="Waiting messages per machine.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let the number of machines follow the queue, until the next `up` or `down`."""
    settings = invocation(ctx).settings
    with open_parts(settings) as parts:
        name = parts.store.job(job).name
        queue = _queue_of(parts, name)
    plan = machines_of(settings, name).plan_auto(minimum, maximum, backlog_per_worker, queue)
    _carry_out(plan, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command(epilog="Example: bec scale status ldv1")
def status(ctx: typer.Context, job: JobName, *, local: Local = False, as_json: Json = False) -> None:
    """Show the machines of a job, what their workers do, and what they cost by the hour."""
    settings = invocation(ctx).settings
    with open_parts(settings) as parts:
        name = parts.store.job(job).name
        workers = _workers(parts, name)
    if local:
        show_local(local_workers_of(settings, name).status(workers), as_json=as_json)
    else:
        show_fleet(machines_of(settings, name).status(workers), as_json=as_json)


def _queue_of(parts: Parts, job: str) -> str:
    """Return the name of the queue that a group of machines can follow.

    Raises:
        UsageError: the queue is a table of the database (E_SCALE_NO_QUEUE).
    """
    name = parts.queues.admin(job).metric_name()
    if name is None:
        raise UsageError(
            f"The queue of the job {job} is a table of the database, and only one on SQS can be followed.",
            code="E_SCALE_NO_QUEUE",
            hint="Set BEC_REGION, or give the number of machines yourself: `bec scale up`.",
        )
    return name


def _workers(parts: Parts, job: str) -> list[WorkerView]:
    return parts.records.overview.workers(job, stopped=False, limit=1000)


def _mix(instance_type: str | None, *, spot: bool) -> Mix | None:
    types = tuple(filter(None, map(str.strip, (instance_type or "").split(","))))
    if spot and not types:
        raise UsageError("--spot was given without machine types.", hint="Give --instance-type TYPE[,TYPE2], too.")
    return Mix(types, spot) if types else None


def _carry_out(plan: Plan, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show a plan, ask, and take its steps; each is reported when it is done."""
    if not as_json:
        _show(plan, dry_run=dry_run)
    if plan.actions and not dry_run and not yes:
        confirm("", "Add --yes to do it, --dry-run to look.")
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
