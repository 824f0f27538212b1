"""`bec doctor`: checks the surroundings, and says what to do."""

import typer

from bec_orch.cli.composition import open_parts, open_stores, worker_resources
from bec_orch.cli.console import EXIT_FAILED, console, print_json, say
from bec_orch.cli.invocation import invocation
from bec_orch.cli.options import Json
from bec_orch.config import Settings
from bec_orch.core.models import Job
from bec_orch.io.storage import Stores
from bec_orch.orch import doctor
from bec_orch.orch.doctor import Finding, Level, examine
from bec_orch.orch.job_admin import JobAdmin

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def command(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Check database, queue, clock, stores, disk and models. Exit code 1 if a check fails."""
    settings = invocation(ctx).settings
    stores = open_stores(settings)
    findings, jobs = _of_database(settings)
    findings += _of_stores(stores, settings)
    findings += doctor.check_models(jobs, worker_resources(settings, stores))
    findings.append(doctor.check_disk(settings.home))
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _of_database(settings: Settings) -> tuple[list[Finding], list[Job]]:
    """Check the database and what lies in it; gives its jobs too, none when it is away."""
    jobs: list[Job] = []
    findings: list[Finding] = []

    def look() -> Finding:
        with open_parts(settings) as parts:
            findings.append(examine("queue", lambda: doctor.check_queue(parts.queues("doctor"))))
            findings.append(examine("clock", lambda: doctor.check_clock(parts.store.now)))
            jobs.extend(JobAdmin(parts.database).list())
            return doctor.check_schema(parts.database)

    return [examine("database", look), *findings], jobs


def _of_stores(stores: Stores, settings: Settings) -> list[Finding]:
    destination = examine(
        "destination", lambda: doctor.check_writable("destination", stores.open(settings.dest_url, create=True))
    )
    source = settings.source_url
    if source is None:
        return [destination]
    return [destination, examine("source", lambda: doctor.check_readable("source", stores.open(source)))]


def _print(findings: list[Finding]) -> None:
    out = console()
    for finding in findings:
        out.print(f"{finding.level.value:<5}", style=_COLOURS[finding.level], end="")
        out.print(f"{finding.check}: {finding.message}", soft_wrap=True)
        if finding.hint and finding.level is not Level.OK:
            say(f"     hint: {finding.hint}")
