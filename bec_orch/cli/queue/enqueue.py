"""`bec queue enqueue`: volumes into the queue of a job, and of those that it needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bec_orch.cli.composition import Parts, open_parts
from bec_orch.cli.console import EXIT_FAILED, note, print_json, print_record, say
from bec_orch.cli.invocation import invocation
from bec_orch.cli.options import AdoptForeign, JobName, Json
from bec_orch.core.names import printable
from bec_orch.core.records.backlog import EnqueueReport
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import said
from bec_orch.errors import UsageError
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.volume_lists import choose, parse_volume, parse_volume_list
from bec_orch.orch.overview.references import References

# All stale volumes of a job; the listing of the database wants a number.
_EVERY = 10_000_000

IntroPages = Annotated[
    int | None, typer.Option("--intro-pages", metavar="N", min=0, help="The first N pages are scan forms: skip them.")
]


def command(
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
    stale: Annotated[
        bool, typer.Option("--stale", help="Do again what would come out differently today; alone: wherever that is.")
    ] = False,
    adopt_foreign: AdoptForeign = False,
    intro_pages: IntroPages = None,
    with_dependencies: Annotated[
        bool, typer.Option("--with-dependencies", help="Also what is missing of the jobs that this one needs.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Give volumes a task of the job. Those that are done for their last known version are skipped."""
    if with_dependencies and (force or stale):
        raise UsageError(
            "--with-dependencies goes with neither --force nor --stale.",
            hint="Redo the jobs one by one, what is needed first: what hangs on it is stale only after that.",
        )
    with open_parts(invocation(ctx).settings) as parts:
        if stale and not (file or volume or everything):
            named = _stale(parts, job)
        else:
            named = _volumes(parts, source or parts.default_source, file, volume or [], everything=everything)
            if stale:
                References(parts.records.overview, parts.stores.open).look(job, frozenset(named))
        chosen = choose(named, limit=limit, sample=sample)
        asked = parts.sources if refresh else None
        enqueuer = Enqueuer(parts.records.backlog, parts.queues)
        if with_dependencies:
            reports = enqueuer.enqueue_with_dependencies(
                job,
                chosen,
                refresh=asked,
                adopt_foreign=adopt_foreign,
                intro_pages=intro_pages,
                dry_run=dry_run,
            )
        else:
            report = enqueuer.enqueue(
                job,
                chosen,
                refresh=asked,
                force=force,
                stale=stale,
                adopt_foreign=adopt_foreign,
                intro_pages=intro_pages,
                dry_run=dry_run,
            )
            reports = {job: report}
    if as_json:
        print_json(reports if with_dependencies else reports[job])
    else:
        _print(reports, dry_run=dry_run)
    if any(report.faults for report in reports.values()):
        raise typer.Exit(EXIT_FAILED)


def _stale(parts: Parts, job: str) -> list[VolumeRef]:
    References(parts.records.overview, parts.stores.open).look(job)
    return [found.volume for found in parts.records.overview.stale(job, limit=_EVERY)]


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
        with file.open(encoding="utf-8", errors="surrogateescape") as lines:
            found = parse_volume_list(lines, source)
    except OSError as error:
        raise UsageError(f"The list '{file}' cannot be read: {said(error)}.", hint="Check its path.") from error
    for fault in found.faults:
        note(f"warning: '{file}' line {fault.line} is left out: {fault.message}")
    if found.repeated:
        note(f"{found.repeated:,} lines name a volume again.")
    return list(found.volumes)


def _print(reports: Mapping[str, EnqueueReport], *, dry_run: bool) -> None:
    for job, report in reports.items():
        if len(reports) > 1:
            say(f"{job}:")
        _print_one(report)
    if dry_run:
        say("Nothing was changed: this was a dry run.")


def _print_one(report: EnqueueReport) -> None:
    counted = {
        "volumes": report.volumes,
        "queued": report.queued,
        "waiting for a job that they need": report.waiting,
        "in place of a task for an older version": report.superseded,
        "skipped: done": report.skipped_done,
        "skipped: done, but stale (--stale does them again)": report.skipped_stale,
        "skipped: failed for this version and config (`bec queue redrive`)": report.skipped_failed,
        "skipped: already queued or running": report.already_unfinished,
        "left out: no version could be read": len(report.faults),
        "messages sent": report.sent,
    }
    print_record({what: count for what, count in counted.items() if count or what in {"volumes", "queued"}})
    for fault in report.faults[:10]:
        note(f"warning: {printable(str(fault.volume))}: {fault.code}: {fault.message}")
