"""`bec worker`: takes tasks of a job and runs them, in one process or several."""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer

from bec_orch.cli.arguments import completion
from bec_orch.cli.arguments.invocation import invocation, start_logging
from bec_orch.cli.arguments.options import Json
from bec_orch.cli.composition.home import require_home
from bec_orch.cli.composition.machines import with_metrics
from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.process.ending import EXIT_DONE, EXIT_FAILED
from bec_orch.cli.terminal.console import note, print_json
from bec_orch.cli.terminal.progress import Unwatched
from bec_orch.cli.worker.start import await_surroundings
from bec_orch.cli.worker.supervision import Supervisor
from bec_orch.cli.worker.working import work
from bec_orch.core.life.worker_runtime import WorkerReport
from bec_orch.core.records.checks import WORKER
from bec_orch.core.wording import counted
from bec_orch.errors import UsageError
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.settings.config import Settings

logger = logging.getLogger(__name__)

_WORD = "Stopping: the task ends within the grace period, or goes back to the queue with its finished pages."


def command(
    ctx: typer.Context,
    *,
    job: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Job to work for.", show_default=False, autocompletion=completion.jobs),
    ] = None,
    job_id: Annotated[
        int | None, typer.Option(metavar="ID", help="The same, by its number.", show_default=False)
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=16, help="Volumes that a process holds at once.")] = 1,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes; they share threads and memory.")] = 1,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End when the job has nothing left to do.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Work for a job until SIGTERM, Ctrl-C or a notice of EC2: exit code 0, its task finished or given back."""
    settings = invocation(ctx).settings
    start_logging(settings, "info")
    require_home(settings)
    await_surroundings(settings)
    with open_parts(settings, WORKER) as parts:
        name = _job_name(parts, job, job_id)
        work = partial(_work, job=name, slots=slots, until_empty=until_empty)
        supervisor = Supervisor(_share(settings, processes), parts.records.deaths, work, processes, _WORD)
        code = supervisor.run()
        if until_empty:
            _tell_who_waits(parts, name)
    if as_json:
        print_json(_summary(supervisor.reports))
    raise typer.Exit(code)


def _tell_who_waits(parts: Parts, job: str) -> None:
    waiting = sum(states.waiting for states in parts.records.ledger.states() if states.job == job)
    if waiting:
        note(
            f"Other jobs come first for {counted(waiting, 'task')} of {job}, and nothing was done there: "
            f"`bec jobs tasks {job} --state waiting` tells why."
        )


def _summary(reports: Sequence[WorkerReport]) -> dict[str, Any]:
    outcomes = sum((report.outcomes for report in reports), start=Counter())
    reasons = {report.stop_reason for report in reports}
    failed = sum(report.failed for report in reports)
    return {"outcomes": outcomes, "stop_reason": ", ".join(sorted(reasons)), "failed": failed}


def _job_name(parts: Parts, job: str | None, job_id: int | None) -> str:
    if (job is None) == (job_id is None):
        raise UsageError("Say which job to work for.", hint="Give --job NAME or --job-id ID.")
    if job:
        return parts.store.job(job).name
    found = [known.name for known in JobAdmin(parts.records.jobs).list() if known.id == job_id]
    if not found:
        raise UsageError(f"There is no job {job_id}.", code="E_JOB_UNKNOWN", hint="`bec jobs list` shows the jobs.")
    return found[0]


def _work(settings: Settings, *, job: str, slots: int, until_empty: bool) -> tuple[WorkerReport, int]:
    with open_parts(settings, WORKER) as parts:
        observer = with_metrics(settings, Unwatched())
        done = work(parts, parts.store.job(job), observer, until_empty=until_empty, slots=slots, word="")
    outcomes = {outcome.value: count for outcome, count in done.report.outcomes.items()}
    logger.info("worker.ended", extra={"reason": done.report.stop_reason, "outcomes": outcomes})
    emptied = until_empty and not done.interrupted
    return done.report, EXIT_FAILED if emptied and done.report.failed else EXIT_DONE


def _share(settings: Settings, processes: int) -> Settings:
    threads, memory = settings.threads // processes, settings.memory_budget_mib // processes
    return settings.model_copy(update={"threads": max(1, threads), "memory_budget_mib": max(1, memory)})
