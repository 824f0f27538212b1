"""`bec queue enqueue`: volumes into the queue of a job, and of those that it needs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import AdoptForeign, DryRun, JobName, Json, VolumesSource
from bec_orch.cli.arguments.paths import parse_path
from bec_orch.cli.arguments.scans import require_sources
from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.process.ending import EXIT_FAILED, EXIT_PAGE_ERRORS
from bec_orch.cli.terminal.console import note, print_json, print_record, print_rows, say, warn
from bec_orch.core.names import printable
from bec_orch.core.records.backlog import EnqueueReport
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import counted, said
from bec_orch.errors import UsageError
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.volume_lists import VolumeList, choose, parse_volume, parse_volume_list
from bec_orch.orch.overview.references import References
from bec_orch.orch.overview.spelling import as_spelled

# All stale volumes of a job; the database's listing needs a limit.
_EVERY = 10_000_000
_LINES = 30
"""How many lines of a list that name no volume are shown."""

IntroPages = Annotated[
    int | None, typer.Option("--intro-pages", metavar="N", min=0, help="The first N pages are scan forms: skip them.")
]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which volumes were asked for."""

    source: str | None
    file: Path | None
    volumes: tuple[str, ...]
    everything: bool
    limit: int | None
    sample: int | None


@dataclass(frozen=True, slots=True)
class _How:
    """What is to be done with them."""

    refresh: bool
    force: bool
    stale: bool
    adopt_foreign: bool
    intro_pages: int | None
    dry_run: bool


def command(
    ctx: typer.Context,
    job: JobName,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FILE", help="List of volumes, W_ID,I_ID[,SOURCE] or W_ID/I_ID per line."
        ),
    ] = None,
    volume: Annotated[
        list[str] | None, typer.Option(metavar="W_ID/I_ID", help="One volume; may be given again.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every volume of the source.")] = False,
    source: VolumesSource = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Take only the first N.")] = None,
    sample: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Take N at random, the same ones each time.")
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="First ask the source which volumes changed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Do again what is done.")] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Do again what would come out differently today; alone: all of it.")
    ] = False,
    adopt_foreign: AdoptForeign = False,
    intro_pages: IntroPages = None,
    with_dependencies: Annotated[
        bool, typer.Option("--with-dependencies", help="Also what is missing from the jobs that this one needs.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Add a task of the job for each volume. Those that are done for their last known version are skipped."""
    asked = _Asked(source, file, tuple(volume or ()), everything, limit, sample)
    how = _How(refresh, force, stale, adopt_foreign, intro_pages, dry_run)
    if with_dependencies and (force or stale):
        raise UsageError(
            "--with-dependencies cannot be combined with --force or --stale.",
            hint="Redo the jobs one by one, what is needed first: what depends on it is stale only after that.",
        )
    with open_parts(invocation(ctx).settings) as parts:
        parts.store.job(job)
        listed = _of_file(asked.file, asked.source or parts.default_source) if asked.file else None
        chosen = _chosen(parts, job, asked, listed, stale=stale)
        if with_dependencies:
            reports = _with_dependencies(parts, job, chosen, how)
        else:
            reports = {job: _alone(parts, job, chosen, how)}
    if as_json:
        told = {name: {**asdict(report), "list": _list_json(listed)} for name, report in reports.items()}
        print_json(told if with_dependencies else told[job])
    else:
        _print(reports, listed, dry_run=dry_run)
    if any(report.faults for report in reports.values()):
        raise typer.Exit(EXIT_FAILED)
    if listed and listed.faults:
        raise typer.Exit(EXIT_PAGE_ERRORS)


def _alone(parts: Parts, job: str, volumes: Sequence[VolumeRef], how: _How) -> EnqueueReport:
    return Enqueuer(parts.records.backlog, parts.queues).enqueue(
        job,
        volumes,
        refresh=parts.sources if how.refresh else None,
        force=how.force,
        stale=how.stale,
        adopt_foreign=how.adopt_foreign,
        intro_pages=how.intro_pages,
        dry_run=how.dry_run,
    )


def _with_dependencies(parts: Parts, job: str, volumes: Sequence[VolumeRef], how: _How) -> Mapping[str, EnqueueReport]:
    return Enqueuer(parts.records.backlog, parts.queues).enqueue_with_dependencies(
        job,
        volumes,
        refresh=parts.sources if how.refresh else None,
        adopt_foreign=how.adopt_foreign,
        intro_pages=how.intro_pages,
        dry_run=how.dry_run,
    )


def _chosen(parts: Parts, job: str, asked: _Asked, listed: VolumeList | None, *, stale: bool) -> Sequence[VolumeRef]:
    if stale and not (listed or asked.volumes or asked.everything):
        References(parts.records.overview, parts.stores.open).look(job)
        named = [found.volume for found in parts.records.overview.stale(job, limit=_EVERY)]
    else:
        named = _volumes(parts, asked, listed)
        if stale:
            References(parts.records.overview, parts.stores.open).look(job, frozenset(named))
        if not asked.everything:
            require_sources(parts.sources, named)
    return choose(named, limit=asked.limit, sample=asked.sample)


def _volumes(parts: Parts, asked: _Asked, listed: VolumeList | None) -> list[VolumeRef]:
    ways = {"--file": listed is not None, "--volume": bool(asked.volumes), "--all": asked.everything}
    given = [option for option, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(given)} were given together, and each says which volumes.", hint="Give one of them."
        )
    if not given:
        raise UsageError("It is not said which volumes.", hint="Give --file FILE, --volume W_ID/I_ID or --all.")
    if listed is not None:
        return as_spelled(parts.records.overview, parts.sources, listed.volumes)
    source = asked.source or parts.default_source
    if not source:
        raise UsageError(
            "There is no default source.", code="E_SOURCE_UNSET", hint="Give --source, or set BEC_SOURCE_URL."
        )
    if asked.volumes:
        typed = [parse_volume(text, source) for text in asked.volumes]
        return as_spelled(parts.records.overview, parts.sources, typed)
    return list(parts.sources(source).volumes())


def _lines_name(number: int) -> str:
    return f"{counted(number, 'line')} {'names' if number == 1 else 'name'}"


def _of_file(file: Path, source: str) -> VolumeList:
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as lines:
            found = parse_volume_list(lines, source)
    except OSError as error:
        raise UsageError(f"The list '{file}' cannot be read: {said(error)}.", hint="Check its path.") from error
    if found.repeated:
        note(f"{_lines_name(found.repeated)} a volume again.")
    if found.versions:
        note(f"{_lines_name(found.versions)} a version, which is not heeded: a task is for the last known version.")
    return found


def _list_json(listed: VolumeList | None) -> dict[str, Any] | None:
    if listed is None:
        return None
    return {"repeated": listed.repeated, "versions_not_heeded": listed.versions, "faults": listed.faults}


def _print(reports: Mapping[str, EnqueueReport], listed: VolumeList | None, *, dry_run: bool) -> None:
    for job, report in reports.items():
        if len(reports) > 1:
            say(f"{job}:")
        _print_one(report)
    if listed and listed.faults:
        _print_left_out(listed)
    if dry_run:
        say("Nothing was changed: this was a dry run.")


def _print_one(report: EnqueueReport) -> None:
    told = {
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
    print_record({what: count for what, count in told.items() if count or what in {"volumes", "queued"}})
    for fault in report.faults[:10]:
        warn(f"{printable(str(fault.volume))}: {fault.code}: {fault.message}", fault.hint)


def _print_left_out(listed: VolumeList) -> None:
    """Print the lines of a list that name no volume."""
    say()
    rows = [{"line": fault.line, "why": fault.message} for fault in listed.faults[:_LINES]]
    print_rows(rows, {"line": "line left out", "why": "why"}, empty="")
    if len(listed.faults) > len(rows):
        say(f"(The first {len(rows)} of {len(listed.faults):,} are shown; --json tells all.)")
