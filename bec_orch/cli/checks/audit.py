"""`bec audit`: proves that database, queue and artefacts agree, and with `--fix` mends what does not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from bec_orch.cli.arguments import completion
from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json
from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.process.ending import EXIT_FAILED
from bec_orch.cli.terminal.console import as_text, console, print_json, print_record, print_rows, say
from bec_orch.cli.terminal.progress import OneLineBar
from bec_orch.core.names import printable
from bec_orch.core.records.ledger import JobStates
from bec_orch.core.tasks import Job
from bec_orch.core.wording import counted
from bec_orch.orch.audit import audit
from bec_orch.orch.audit.audit import Auditor
from bec_orch.orch.audit.repairs import Repairer
from bec_orch.orch.audit.values import Finding, Report
from bec_orch.orch.job_admin import JobAdmin


def command(
    ctx: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            help="Name of the job (default: all).",
            show_default=False,
            autocompletion=completion.jobs,
        ),
    ] = None,
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also open every Parquet file, and compare it with the manifest.")
    ] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Queue again what is wrong.")] = False,
    as_json: Json = False,
) -> None:
    """Prove that database, queue and artefacts agree. Exit code 1 if they do not."""
    with open_parts(invocation(ctx).settings) as parts:
        jobs = [parts.store.job(job)] if job else JobAdmin(parts.records.jobs).list()
        report = _audit(parts, jobs, deep=deep, fix=fix, silent=as_json)
    if as_json:
        print_json(report.to_json())
    else:
        _print(report, fix=fix)
    if report.violations:
        raise typer.Exit(EXIT_FAILED)


def print_states(states: Sequence[JobStates]) -> None:
    """Print how many tasks of each job are in which of the seven states."""
    columns = {name: name.replace("_", " ") for name in JobStates.__dataclass_fields__}
    rows = [{name: getattr(job, name) for name in columns} for job in states]
    print_rows(rows, columns, empty="There are no jobs.")


def _audit(parts: Parts, jobs: Sequence[Job], *, deep: bool, fix: bool, silent: bool) -> Report:
    records, artefacts, source = parts.records, parts.artefacts(), parts.default_source
    manifests = parts.sources if deep else None
    auditor = Auditor(records.ledger, parts.queues, artefacts, source, manifests)
    repairs = Repairer(parts.store, records.backlog, records.ledger, parts.queues, artefacts, source) if fix else None
    with _progress(records.ledger.states(), silent=silent) as progress:
        return auditor.audit(jobs, repairs, progress)


@contextmanager
def _progress(states: Sequence[JobStates], *, silent: bool) -> Iterator[audit.Progress]:
    """Show a bar on a terminal: how many artefacts were looked at, of those that should be there."""
    if silent or not console(stderr=True).is_terminal:
        yield audit.silent
        return
    expected = {job.job: job.done for job in states}
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    with OneLineBar(*columns, terminal=console(stderr=True)) as bar:
        shown = bar.add_task("audit", total=None)
        yield lambda job, count: bar.update(
            shown, description=f"audit {job}", completed=count, total=max(count, expected.get(job, 0))
        )


def _print(report: Report, *, fix: bool) -> None:
    print_states(report.states)
    say()
    columns = {"holds": "what must hold", "promise": "promise", "code": "code", "violations": "violations"}
    print_rows([_row(finding) for finding in report.findings.values()], columns, empty="")
    for finding in report.violated():
        say()
        _print_violated(finding, fix=fix)
    say()
    looked = report.looked
    opened = {"files opened": looked.files, "manifests read": looked.manifests} if report.deep else {}
    foreign = {"of these foreign, left as they are": looked.foreign} if looked.foreign else {}
    others = {"conventional names that others have": looked.names_of_others} if looked.names_of_others else {}
    print_record(
        {"artefacts looked at": looked.artefacts, **foreign, **others, **opened, "violations": report.violations}
    )


def _row(finding: Finding) -> dict[str, str | int]:
    invariant = finding.invariant
    return {
        "holds": invariant.holds,
        "promise": invariant.promise,
        "code": invariant.code,
        "violations": finding.violations,
    }


def _print_violated(finding: Finding, *, fix: bool) -> None:
    invariant = finding.invariant
    say(f"{invariant.code}, violated {counted(finding.violations, 'time')}: {invariant.holds}.")
    for example in finding.examples:
        volume = f" {printable(str(example.volume))}" if example.volume else ""
        say(f"  {example.job}{volume}: {example.message.rstrip('.')}.")
    if finding.violations > len(finding.examples):
        say(f"  (The first {len(finding.examples)} are shown.)")
    if fix:
        say(f"  repairs begun: {as_text(finding.repaired)}. Run `bec audit` again when workers have done the tasks.")
    if finding.repaired < finding.violations:
        say(f"  hint: {invariant.hint}")
