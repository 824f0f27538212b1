"""`bec queue`: volumes into the queue of a job, and what becomes of its messages."""

from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from bec_orch.cli.arguments.asking import confirm
from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import DryRun, JobName, Json, Yes, parse_names
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.queue import enqueue, foreign
from bec_orch.cli.terminal.console import note, print_json, print_record, print_rows, say
from bec_orch.core.names import printable
from bec_orch.core.ports.queues import DeadLetter, QueueStats
from bec_orch.core.records.backlog import RedriveFilter
from bec_orch.core.records.overview import ErrorGroup, Overview, TaskFilter
from bec_orch.core.wording import counted
from bec_orch.orch.backlog.redrive import Redriver
from bec_orch.orch.overview.spelling import recorded_names, unknown_volume
from bec_orch.orch.overview.standing import queue_check

app = typer.Typer(help="Put volumes into the queue of a job, and look after its messages.")

_REASONS = 1000
# Each is held in memory, and a queue of SQS is asked for ten at a time.
_MOST_PEEKED = 1000

FewMessages = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=_MOST_PEEKED, help="Show at most this many, up to 1000.")
]
Dead = Annotated[bool, typer.Option("--dead", help="The dead letters instead.")]


app.command("enqueue", epilog="Example: bec queue enqueue ldv1 --file volumes.csv --limit 100 --dry-run")(
    enqueue.command
)
app.command("replace-foreign", epilog="Example: bec queue replace-foreign ldv1 W22084/I0886")(foreign.command)


@app.command(epilog="Example: bec queue stats ldv1")
def stats(ctx: typer.Context, job: JobName, *, as_json: Json = False) -> None:
    """Count the messages of a job's queue, and show where queue and database disagree."""
    with open_parts(invocation(ctx).settings) as parts:
        found = queue_check(parts.records.overview, parts.queues, job)
    if as_json:
        print_json({**asdict(found.queue), "tasks": asdict(found.expected), "disagreements": found.disagreements})
        return
    print_record(
        {
            "visible": found.queue.visible,
            "in flight": found.queue.in_flight,
            "delayed": found.queue.delayed,
            "dead": found.queue.dead,
            "oldest message": _oldest(found.queue),
            "oldest queued task": _age(found.expected.oldest_task_seconds),
        }
    )
    if found.is_full:
        say("SQS delivers no more messages: as many are in flight as it allows. It goes on when workers finish theirs.")
    for disagreement in found.disagreements:
        say(f"Queue and database disagree: {disagreement}.")


@app.command(epilog="Example: bec queue peek ldv1 --dead")
def peek(
    ctx: typer.Context, job: JobName, *, dead: Dead = False, limit: FewMessages = 20, as_json: Json = False
) -> None:
    """Look at some messages without taking them."""
    with open_parts(invocation(ctx).settings) as parts:
        found = parts.queues.admin(parts.store.job(job).name).peek(limit=limit, dead=dead)
    if as_json:
        print_json(found)
        return
    rows = [
        {"message": m.message_id, "body": m.body, "time": m.dead_at, "more": dict(m.reason)}
        if isinstance(m, DeadLetter)
        else {"message": m.message_id, "body": m.body, "time": m.sent_at, "more": _received(m.receive_count)}
        for m in found
    ]
    columns = {"message": "message", "body": "body", "time": "dead since" if dead else "sent", "more": ""}
    print_rows(rows, columns, empty="There are no messages.")


@app.command(epilog="Example: bec queue redrive ldv1 --code E_IMAGE_TRUNCATED")
def redrive(
    ctx: typer.Context,
    job: JobName,
    *,
    code: Annotated[
        str | None, typer.Option("--code", "--reason", metavar="E_CODE", help="Only what failed with this code.")
    ] = None,
    fingerprint: Annotated[str | None, typer.Option(metavar="HEX", help="Only failures of this group.")] = None,
    volume: Annotated[str | None, typer.Option(metavar="W_ID/I_ID", help="Only this volume.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most this many, the oldest first.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try again the tasks that failed for good: task and message together, their attempts counted from zero."""
    names = parse_names(volume) if volume else None
    with open_parts(invocation(ctx).settings) as parts:
        found = recorded_names(parts.records.overview, *names) if names else None
        wanted = RedriveFilter(code, fingerprint, found)
        report = Redriver(parts.records.backlog, parts.queues).redrive(job, wanted, limit=limit, dry_run=dry_run)
        if found and not report.reset + report.moved:
            _require_known(parts.records.overview, job, found)
        groups = parts.records.overview.errors(job, limit=_REASONS)
    if as_json:
        print_json(report)
        return
    if dry_run:
        print_record({"tasks that would be reset": report.reset, "dead letters that would be moved": report.moved})
    else:
        print_record({"tasks reset": report.reset, "dead letters moved": report.moved, "messages sent": report.sent})
    if not report.reset and not report.moved and (code or fingerprint):
        _tell_reasons(groups, job)
    for refused in report.refused:
        note(f"warning: {printable(str(refused.volume))} is {refused.state.value}, and was not touched.")


@app.command(epilog="Example: bec queue purge ldv1 --dead --yes")
def purge(
    ctx: typer.Context,
    job: JobName,
    *,
    dead: Dead = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete the messages of a job's queue. The tasks stay; workers send their messages again in time."""
    what = "dead letter" if dead else "message"
    if not yes:
        confirm(f"This would delete every {what} of the queue {job}.")
    with open_parts(invocation(ctx).settings) as parts:
        purged = parts.queues.admin(parts.store.job(job).name).purge(dead=dead)
    if as_json:
        print_json({"deleted": purged.count})
    elif purged.under_way:
        say(f"Being deleted: {counted(purged.count, what)}; {purged.under_way}.")
    else:
        say(f"Deleted: {counted(purged.count, what)}.")


def _received(count: int) -> str:
    return f"received {counted(count, 'time')}"


def _require_known(overview: Overview, job: str, names: tuple[str, str]) -> None:
    """Refuse a volume that was named and is none of the job's; one with a mere dead letter was brought back."""
    w_id, i_id = names
    if not overview.tasks(job, TaskFilter(w_id=w_id, i_id=i_id), limit=1):
        raise unknown_volume(w_id, i_id, job)


def _tell_reasons(groups: list[ErrorGroup], job: str) -> None:
    """Say for which reasons tasks have failed for good, when another one was asked for."""
    tasks: Counter[str] = Counter()
    for group in groups:
        tasks[group.code] += group.terminal
    there = ", ".join(f"{code} ({counted(count, 'task')})" for code, count in tasks.most_common() if count)
    note(f"No task of {job} has failed for that reason. Tasks failed for good with: {there or 'nothing'}.")


def _oldest(queue: QueueStats) -> str | None:
    there = queue.visible or queue.in_flight or queue.delayed
    return "unknown" if there and queue.oldest_seconds is None else _age(queue.oldest_seconds)


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f} s"
