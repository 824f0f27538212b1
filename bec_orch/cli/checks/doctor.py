"""`bec doctor`: checks the surroundings, and says what to do."""

from contextlib import closing
from dataclasses import dataclass, field

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json
from bec_orch.cli.checks.audit import print_states
from bec_orch.cli.composition.database import open_database, records_in
from bec_orch.cli.composition.home import require_home
from bec_orch.cli.composition.machines import missing_settings, network_spec
from bec_orch.cli.composition.queues import open_queues, sqs_queues
from bec_orch.cli.composition.stores import aws_options, open_stores
from bec_orch.cli.composition.working import worker_resources
from bec_orch.cli.process.ending import EXIT_FAILED
from bec_orch.cli.terminal.console import console, print_json, say
from bec_orch.core.records.checks import DatabaseChecks
from bec_orch.core.records.ledger import JobStates
from bec_orch.core.records.records import Records
from bec_orch.core.tasks import Job
from bec_orch.core.wording import clause
from bec_orch.errors import ConfigError
from bec_orch.io.postgres.migrate import migrate
from bec_orch.io.sources.sources import Sources
from bec_orch.io.stores.storage import Stores
from bec_orch.orch.doctor import checks
from bec_orch.orch.doctor.checks import Finding, Level, check_queues, examine
from bec_orch.orch.doctor.fleet import (
    check_database_users,
    check_identity,
    check_machines,
    check_rights,
    check_tls,
)
from bec_orch.settings.config import LoadedSettings, Settings
from bec_orch.settings.logging_setup import redacted

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@dataclass(slots=True)
class _Tables:
    """What the database was found to hold; nothing where it is away, or has no tables of ours."""

    findings: list[Finding] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    states: list[JobStates] = field(default_factory=list)
    were_read: bool = False


def command(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Check database, tasks, queues, clock, stores, rights, disk and models. Exit code 1 if a check fails."""
    loaded = invocation(ctx).loaded
    settings = loaded.settings
    stores = open_stores(settings)
    missing = _missing_home(settings)
    tables = _Tables([missing]) if missing else _of_database(loaded)
    findings = [checks.check_program(), checks.check_engine(), *tables.findings]
    if settings.uses_sqs:
        findings += _of_aws(settings, tables.jobs)
    findings += _of_stores(stores, settings, to_be_made=missing is not None)
    findings += checks.check_models(tables.jobs, worker_resources(settings, stores))
    findings.append(checks.check_disk(settings.home))
    if as_json:
        print_json(findings)
    else:
        _print(findings)
        if tables.were_read:
            say()
            print_states(tables.states)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _missing_home(settings: Settings) -> Finding | None:
    """Return the finding that there is no embedded database yet: to look makes none."""
    try:
        require_home(settings)
    except ConfigError as error:
        return Finding("database", Level.WARN, clause(error.message), error.hint)
    return None


def _of_database(loaded: LoadedSettings) -> _Tables:
    tables = _Tables()

    def look() -> Finding:
        with open_database(loaded.settings) as database:
            if loaded.settings.sql_host is None:
                migrate(database)
            records = records_in(database)
            found = _of_server(loaded, records, tables)
            if found.level is Level.OK:
                _of_tables(loaded.settings, records, tables)
                if not loaded.settings.uses_sqs:
                    with closing(open_queues(loaded.settings, database)) as queues:
                        tables.findings += check_queues(queues, tables.jobs)
            return found

    tables.findings.insert(0, examine("database", look))
    return tables


def _of_server(loaded: LoadedSettings, records: Records, tables: _Tables) -> Finding:
    if loaded.settings.sql_host:
        tables.findings.append(examine("database TLS", lambda: _tls(loaded, records.checks)))
    tables.findings.append(examine("clock", lambda: checks.check_clock(records.ledger.now)))
    return checks.check_schema(records.checks)


def _of_tables(settings: Settings, records: Records, tables: _Tables) -> None:
    tables.jobs.extend(records.jobs.every())
    tables.states.extend(records.ledger.states())
    tables.were_read = True
    tables.findings.append(examine("tasks", lambda: checks.check_tasks(records.ledger, tables.jobs, tables.states)))
    if settings.sql_host:
        with_queue = not settings.uses_sqs
        local = settings.sql_is_local
        tables.findings.extend(
            check_database_users(records.checks, settings.ec2_sql_user, with_queue=with_queue, local=local)
        )


def _tls(loaded: LoadedSettings, database: DatabaseChecks) -> Finding:
    settings = loaded.settings
    return check_tls(database, settings.sql_sslmode, loaded.why_sslmode(), local=settings.sql_is_local)


def _of_aws(settings: Settings, jobs: list[Job]) -> list[Finding]:
    options = aws_options(settings)
    credentials = examine("credentials", lambda: check_identity(options))
    if credentials.level is Level.FAIL:
        return [credentials]
    with closing(sqs_queues(settings)) as queues:
        of_queues = check_queues(queues, jobs)
    return [
        credentials,
        *of_queues,
        examine("operator rights", lambda: check_rights(options)),
        examine("new machines", lambda: check_machines(options, network_spec(settings), missing_settings(settings))),
    ]


def _of_stores(stores: Stores, settings: Settings, *, to_be_made: bool) -> list[Finding]:
    if to_be_made and settings.dest_url.startswith(settings.home.as_uri()):
        destination = Finding("destination", Level.OK, f"{settings.dest_url} is made with the database")
    else:
        destination = examine(
            "destination", lambda: checks.check_writable("destination", stores.open(settings.dest_url, create=True))
        )
    source = settings.default_source
    if source is None:
        return [destination]
    return [destination, examine("source", lambda: checks.check_source(Sources(stores)(source)))]


def _print(findings: list[Finding]) -> None:
    out = console()
    for finding in findings:
        out.print(f"{finding.level.value:<5}", style=_COLOURS[finding.level], end="")
        say(redacted(f"{finding.check}: {finding.message}"))
        if finding.hint and finding.level is not Level.OK:
            say(f"     hint: {finding.hint}")
