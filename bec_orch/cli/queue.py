"""`bec queue`: volumes into the queue of a job, and what becomes of its messages."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bec_orch.cli.composition import Parts, open_parts
from bec_orch.cli.console import EXIT_FAILED, note, print_json, print_record, print_rows, say
from bec_orch.cli.invocation import invocation
from bec_orch.cli.options import JobName, Json, Limit, parse_names
from bec_orch.core.models import DeadLetter, VolumeRef
from bec_orch.core.names import printable
from bec_orch.errors import UsageError
from bec_orch.orch.discovery import Discovery
from bec_orch.orch.enqueue import Enqueuer, EnqueueReport
from bec_orch.orch.redrive import RedriveFilter, Redriver
from bec_orch.orch.volume_lists import choose, parse_volume, parse_volume_list

app = typer.Typer(help="Put volumes into the queue of a job, and look after its messages.")

Dead = Annotated[bool, typer.Option("--dead", help="The dead letters instead.")]


@app.command(epilog="Example: bec queue enqueue ldv1 --file volumes.csv --limit 100 --dry-run")
def enqueue(
    ctx: typer.Context,
    job: JobName,
    *,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="List of volumes, W_ID,I_ID[,SOURCE] per line; # begins a comment."),
    ] = None,
    volume: Annotated[
        list[str] | None, typer.Option(metavar="W_ID/I_ID", help="One volume; may be given again.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every volume of the source.")] = False,
    source: Annotated[
        str | None, typer.Option(metavar="LAYOUT+URL", help="Source of the volumes (default: BEC_SOURCE_URL).")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Take only the first N.")] = None,
    sample: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Take N at random, the same ones again.")
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="First ask the source which volumes changed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Do again what is done.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Do again what is done under another config.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Give volumes a task of the job. Those that are done for their last known version are skipped."""
    with open_parts(invocation(ctx).settings) as parts:
        named = _volumes(parts, source or parts.default_source, file, volume or [], everything=everything)
        report = Enqueuer(parts.database, parts.queues).enqueue(
            job,
            choose(named, limit=limit, sample=sample),
            refresh=parts.sources if refresh else None,
            force=force,
            stale=stale,
            dry_run=dry_run,
        )
    if as_json:
        print_json(report)
    else:
        _print(report, dry_run=dry_run)
    if report.faults:
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="Example: bec queue stats ldv1")
def stats(ctx: typer.Context, job: JobName, *, as_json: Json = False) -> None:
    """Count the messages of a job's queue, and tell where queue and database disagree."""
    with open_parts(invocation(ctx).settings) as parts:
        found = Discovery(parts.database, parts.queues).queue_check(job)
    if as_json:
        tasks = {name: value for name, value in asdict(found).items() if name != "queue"}
        print_json({**asdict(found.queue), "tasks": tasks, "disagreements": found.disagreements})
        return
    print_record(
        {
            "visible": found.queue.visible,
            "in_flight": found.queue.in_flight,
            "delayed": found.queue.delayed,
            "dead": found.queue.dead,
            "oldest message": _age(found.queue.oldest_seconds),
            "oldest queued task": _age(found.oldest_task_seconds),
        }
    )
    for disagreement in found.disagreements:
        say(f"Queue and database disagree: {disagreement}.")


@app.command(epilog="Example: bec queue peek ldv1 --dead")
def peek(ctx: typer.Context, job: JobName, *, dead: Dead = False, limit: Limit = 20, as_json: Json = False) -> None:
    """Look at messages without taking them."""
    with open_parts(invocation(ctx).settings) as parts:
        found = parts.queues(parts.store.job(job).name).peek(limit=limit, dead=dead)
    if as_json:
        print_json(found)
        return
    rows = [
        {"message": m.message_id, "body": m.body, "time": m.dead_at, "more": dict(m.reason)}
        if isinstance(m, DeadLetter)
        else {"message": m.message_id, "body": m.body, "time": m.sent_at, "more": f"received {m.receive_count} times"}
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
    as_json: Json = False,
) -> None:
    """Give tasks that failed for good another chance: task and message together, their attempts counted anew."""
    wanted = RedriveFilter(code, fingerprint, parse_names(volume) if volume else None)
    with open_parts(invocation(ctx).settings) as parts:
        report = Redriver(parts.database, parts.queues).redrive(job, wanted)
    if as_json:
        print_json(report)
        return
    print_record({"tasks reset": report.reset, "dead letters moved": report.moved, "messages sent": report.sent})
    for refused in report.refused:
        note(f"warning: {printable(str(refused.volume))} is {refused.state.value}, and was not touched.")


@app.command(epilog="Example: bec queue purge ldv1 --dead --yes")
def purge(
    ctx: typer.Context,
    job: JobName,
    *,
    dead: Dead = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete the messages of a job's queue. The tasks stay; workers send their messages again in time."""
    what = "dead letters" if dead else "messages"
    if not yes:
        raise UsageError(f"This would delete all {what} of the queue {job}.", hint="Add --yes to do it.")
    with open_parts(invocation(ctx).settings) as parts:
        deleted = parts.queues(parts.store.job(job).name).purge(dead=dead)
    if as_json:
        print_json({"deleted": deleted})
    else:
        say(f"{deleted:,} {what} were deleted.")


def _age(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f} s"


def _volumes(parts: Parts, source: str, file: Path | None, volumes: list[str], *, everything: bool) -> list[VolumeRef]:
    if sum((bool(file), bool(volumes), everything)) != 1:
        raise UsageError("Say which volumes.", hint="Give --file FILE, --volume W_ID/I_ID or --all.")
    if not source and not file:
        raise UsageError(
            "There is no default source.", code="E_SOURCE_UNSET", hint="Give --source, or set BEC_SOURCE_URL."
        )
    if file:
        return _of_file(file, source)
    if volumes:
        return [parse_volume(text, source) for text in volumes]
    return list(parts.sources(source).volumes())


def _of_file(file: Path, source: str) -> list[VolumeRef]:
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            found = parse_volume_list(lines, source)
    except OSError as error:
        raise UsageError(f"The list {file} cannot be read: {error.strerror}.", hint="Check its path.") from error
    for fault in found.faults:
        note(f"warning: {file} line {fault.line} is left out: {fault.message}")
    if found.repeated:
        note(f"{found.repeated:,} lines name a volume again.")
    return list(found.volumes)


def _print(report: EnqueueReport, *, dry_run: bool) -> None:
    counted = {
        "volumes": report.volumes,
        "queued": report.queued,
        "waiting for a job that they need": report.waiting,
        "in place of a task for an older version": report.superseded,
        "skipped: done": report.skipped_done,
        "skipped: done under another config (--stale does them again)": report.skipped_stale,
        "skipped: failed for this version and config (`bec queue redrive`)": report.skipped_failed,
        "skipped: already queued or running": report.already_unfinished,
        "left out: no version could be read": len(report.faults),
        "messages sent": report.sent,
    }
    print_record({what: count for what, count in counted.items() if count or what in {"volumes", "queued"}})
    for fault in report.faults[:10]:
        note(f"warning: {printable(str(fault.volume))}: {fault.code}: {fault.message}")
    if dry_run:
        say("Nothing was changed: this was a dry run.")
