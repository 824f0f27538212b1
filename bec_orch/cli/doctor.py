"""`bec doctor`: checks the surroundings, and says what to do."""

import typer

from bec_orch.cli.audit import print_states
from bec_orch.cli.composition import Parts, aws_options, open_parts, open_stores, worker_resources
from bec_orch.cli.console import EXIT_FAILED, console, print_json, say
from bec_orch.cli.invocation import invocation
from bec_orch.cli.options import Json
from bec_orch.config import LoadedSettings, Settings
from bec_orch.core.models import Job
from bec_orch.io.aws.sqs import SqsQueues
from bec_orch.io.postgres.database import Database
from bec_orch.io.stores.storage import Stores
from bec_orch.logging_setup import redacted
from bec_orch.orch import doctor
from bec_orch.orch.audit_tables import job_states
from bec_orch.orch.audit_values import JobStates
from bec_orch.orch.doctor import Finding, Level, examine
from bec_orch.orch.doctor_fleet import check_identity, check_job_queues, check_tls
from bec_orch.orch.job_admin import JobAdmin

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def command(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Check database, tasks, queues, clock, stores, credentials, disk and models. Exit code 1 if a check fails."""
    loaded = invocation(ctx).loaded
    settings = loaded.settings
    stores = open_stores(settings)
    findings, jobs, states = _of_database(loaded)
    if settings.uses_sqs:
        findings.append(examine("credentials", lambda: check_identity(aws_options(settings))))
    findings += _of_stores(stores, settings)
    findings += doctor.check_models(jobs, worker_resources(settings, stores))
    findings.append(doctor.check_disk(settings.home))
    if as_json:
        print_json(findings)
    else:
        _print(findings)
        say()
        print_states(states)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _of_database(loaded: LoadedSettings) -> tuple[list[Finding], list[Job], list[JobStates]]:
    """Check the database and what lies in it; gives its jobs and their tasks too, none when it is away."""
    settings = loaded.settings
    jobs: list[Job] = []
    states: list[JobStates] = []
    findings: list[Finding] = []

    def look() -> Finding:
        with open_parts(settings) as parts:
            jobs.extend(JobAdmin(parts.database).list())
            if settings.sql_host:
                findings.append(examine("database TLS", lambda: _tls(loaded, parts.database)))
            states.extend(job_states(parts.database))
            findings.append(examine("tasks", lambda: doctor.check_tasks(parts.database, jobs, states)))
            findings.extend(_of_queues(parts, jobs))
            findings.append(examine("clock", lambda: doctor.check_clock(parts.store.now)))
            return doctor.check_schema(parts.database)

    return [examine("database", look), *findings], jobs, states


def _tls(loaded: LoadedSettings, database: Database) -> Finding:
    settings = loaded.settings
    return check_tls(database, settings.sql_sslmode, loaded.why_sslmode(), local=settings.sql_is_local)


def _of_queues(parts: Parts, jobs: list[Job]) -> list[Finding]:
    if isinstance(parts.queues, SqsQueues):
        return check_job_queues(parts.queues, jobs)
    queues = parts.queues
    return [examine("queue", lambda: doctor.check_queue(queues("doctor")))]


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
        say(redacted(f"{finding.check}: {finding.message}"))
        if finding.hint and finding.level is not Level.OK:
            say(f"     hint: {finding.hint}")
