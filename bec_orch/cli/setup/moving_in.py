"""`bec db import`: jobs, volumes and finished work out of the earlier system's database."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import DryRun, Json
from bec_orch.cli.arguments.paths import parse_path, parse_source_name
from bec_orch.cli.composition.earlier import EarlierAccess, earlier_import, earlier_system
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.jobs.queues import make_queues
from bec_orch.cli.process.ending import EXIT_PAGE_ERRORS
from bec_orch.cli.terminal.console import print_json, print_record, print_rows, say, warn
from bec_orch.errors import UsageError
from bec_orch.orch.earlier.report import ImportReport, JobReport, Verdict

_EXAMPLES = 10
"""As many as fit on a screen; `--json` has more."""
_WHY = {
    "E_EARLIER_ARTEFACT": "no whole artefact of theirs lies in the destination: is BEC_DEST_URL that system's?",
    "E_EARLIER_PAGES": "there are not as many rows as pages",
    "E_EARLIER_SOURCE": "they are of another source: enqueue them with --source",
    "E_EARLIER_VERSION": "their version is missing, or none",
    "E_NAME_UNSAFE": "their names cannot be part of a key",
}


def command(
    ctx: typer.Context,
    *,
    dsn: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="DSN",
            help="Where that database is, as libpq says it, without password; what is left out is as for our own.",
            show_default=False,
        ),
    ],
    password_file: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FILE", help="File with the password (default: ours, on our own server)."
        ),
    ] = None,
    password_secret: Annotated[
        str | None, typer.Option(metavar="NAME", help="Secret of AWS Secrets Manager with the password.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            parser=parse_source_name, metavar="LAYOUT+URL", help="Source of its volumes (default: BEC_SOURCE_URL)."
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take over jobs, volumes and finished work from the earlier system's database, which is only read.

    Run it as often as you like: what is here already stays as it is.

    Exit codes: 0 all was taken, 3 something was left out, which is told.
    """
    settings = invocation(ctx).settings
    access = EarlierAccess(dsn, password_file, password_secret)
    with open_parts(settings) as parts:
        earlier = earlier_system(settings, access, parts.database)
        volumes_in = source or parts.default_source
        if not volumes_in:
            raise UsageError(
                "There is no default source.", code="E_SOURCE_UNSET", hint="Give --source, or set BEC_SOURCE_URL."
            )
        report = earlier_import(parts, earlier, volumes_in, dry_run=dry_run).run()
        if not dry_run:
            for one in report.jobs:
                if one.job.verdict is not Verdict.LEFT_OUT:
                    make_queues(parts, one.job.name)
    if as_json:
        print_json({**asdict(report), "whole": report.is_whole})
    else:
        _print(report)
    if not report.is_whole:
        raise typer.Exit(EXIT_PAGE_ERRORS)


def _print(report: ImportReport) -> None:
    columns = {"job": "job", "type": "type", "verdict": "job is", "taken": "tasks taken", "there": "there already"}
    columns |= {"unfinished": "unfinished here", "left_out": "left out", "undone": "not done there"}
    rows = [_row(one) for one in report.jobs]
    shown = {key: heading for key, heading in columns.items() if any(row[key] for row in rows)}
    print_rows(rows, shown, empty="That system has no jobs.")
    say()
    volumes = report.volumes
    told = {"volumes taken": volumes.intake.taken, "volumes there already": volumes.intake.there}
    print_record(
        told | {"volumes left out": sum(volumes.left_out.values()), "finished tasks of no job": report.of_no_job}
    )
    for one in report.jobs:
        _tell_job(one)
    _tell_left_out(report)
    if report.dry_run:
        say("Nothing was changed: this was a dry run.")


def _row(one: JobReport) -> Mapping[str, Any]:
    intake = one.done.intake
    return {
        "job": one.job.name,
        "type": one.job.type,
        "verdict": one.job.verdict.value,
        "taken": intake.taken,
        "there": intake.there,
        "unfinished": intake.unfinished,
        "left_out": sum(one.done.left_out.values()),
        "undone": ", ".join(f"{count:,} {status}" for status, count in one.undone.items()),
    }


def _tell_job(one: JobReport) -> None:
    job = one.job
    if job.verdict is Verdict.LEFT_OUT:
        warn(f"{job.code}: {job.message}", job.hint)
    elif job.config_left_out:
        warn(
            f"The config of {job.name} was not taken over, where it has no meaning here: {job.config_left_out}.",
            f"`bec jobs show {job.name}` shows what holds, `bec jobs update {job.name} --config-text` changes it.",
        )


def _tell_left_out(report: ImportReport) -> None:
    tallies = (report.volumes, *(one.done for one in report.jobs))
    counts = sum((Counter(one.left_out) for one in tallies), start=Counter())
    rows = [
        {"code": code, "count": counts[code], "why": _WHY.get(code, "their job was left out")}
        for code in sorted(counts)
    ]
    if rows:
        say()
        print_rows(rows, {"code": "left out", "count": "how many", "why": "why"}, empty="")
    if report.examples:
        columns = {"volume": "for example", "job": "job", "message": "what is wrong"}
        print_rows([asdict(one) for one in report.examples[:_EXAMPLES]], columns, empty="")
