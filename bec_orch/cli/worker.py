"""`bec worker`: takes tasks of a job and runs them, in one process or several."""

import logging
import multiprocessing
import signal
import sys
from typing import Annotated

import typer

from bec_orch.cli.composition import open_parts, with_metrics
from bec_orch.cli.console import EXIT_DONE, EXIT_FAILED, print_error, print_json
from bec_orch.cli.invocation import invocation, prepare, start_logging
from bec_orch.cli.options import Json
from bec_orch.cli.progress import Unwatched
from bec_orch.cli.signals import interrupt_on_sigterm, stopping
from bec_orch.cli.worker_start import await_surroundings
from bec_orch.cli.working import work
from bec_orch.config import Settings
from bec_orch.core.worker_runtime import WorkerReport
from bec_orch.errors import BecError, UsageError
from bec_orch.orch.job_admin import JobAdmin

logger = logging.getLogger(__name__)

_WORD = "Stopping: the task ends within the grace period, or goes back to the queue with its finished pages."


def command(
    ctx: typer.Context,
    *,
    job: Annotated[str | None, typer.Option(metavar="NAME", help="Job to work for.", show_default=False)] = None,
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
    await_surroundings(settings)
    name = _job_name(settings, job, job_id)
    if processes > 1:
        raise typer.Exit(_supervise(_share(settings, processes), name, slots, processes, until_empty=until_empty))
    report = _work(settings, name, slots, until_empty=until_empty)
    if as_json:
        print_json({"outcomes": report.outcomes, "stop_reason": report.stop_reason, "failed": len(report.failed)})
    raise typer.Exit(_exit_code(report, until_empty=until_empty))


def _job_name(settings: Settings, job: str | None, job_id: int | None) -> str:
    if (job is None) == (job_id is None):
        raise UsageError("Say which job to work for.", hint="Give --job NAME or --job-id ID.")
    with open_parts(settings) as parts:
        if job:
            return parts.store.job(job).name
        found = [known.name for known in JobAdmin(parts.database).list() if known.id == job_id]
    if not found:
        raise UsageError(f"There is no job {job_id}.", code="E_JOB_UNKNOWN", hint="`bec jobs list` shows the jobs.")
    return found[0]


def _work(settings: Settings, job: str, slots: int, *, until_empty: bool) -> WorkerReport:
    with open_parts(settings) as parts:
        observer = with_metrics(settings, Unwatched())
        done = work(parts, parts.store.job(job), observer, until_empty=until_empty, slots=slots, word=_WORD)
    outcomes = {outcome.value: count for outcome, count in done.report.outcomes.items()}
    logger.info("worker.ended", extra={"reason": done.report.stop_reason, "outcomes": outcomes})
    return done.report


def _exit_code(report: WorkerReport, *, until_empty: bool) -> int:
    return EXIT_FAILED if until_empty and report.failed else EXIT_DONE


def _share(settings: Settings, processes: int) -> Settings:
    threads, memory = settings.threads // processes, settings.memory_budget_mib // processes
    return settings.model_copy(update={"threads": max(1, threads), "memory_budget_mib": max(1, memory)})


def _supervise(settings: Settings, job: str, slots: int, processes: int, *, until_empty: bool) -> int:
    """Run so many worker processes; one that dies does not end the others. Gives the exit code for all."""
    spawn = multiprocessing.get_context("spawn")
    children = [
        spawn.Process(target=_child, args=(settings, job, slots, until_empty), name=f"worker-{number}")
        for number in range(processes)
    ]
    for child in children:
        child.start()

    def stop(_reason: str) -> None:
        for child in children:
            child.terminate()

    with stopping(stop, _WORD) as request:
        for child in children:
            child.join()
    # A process that had not begun yet when the stop came ends by the signal itself.
    fine = {EXIT_DONE, -signal.SIGTERM} if request.asked else {EXIT_DONE}
    failed = [child for child in children if child.exitcode not in fine]
    for child in failed:
        logger.error("worker.process_failed", extra={"child": child.name, "exit_code": child.exitcode})
    return common_code({child.exitcode for child in failed})


def common_code(codes: set[int | None]) -> int:
    """Give the exit code of a worker whose processes failed with these: theirs where it is the same, else 1.

    Processes that a signal ended have its number, negative.
    """
    if not codes:
        return EXIT_DONE
    code = next(iter(codes)) if len(codes) == 1 else None
    return code if code and code > 0 else EXIT_FAILED


def _child(settings: Settings, job: str, slots: int, until_empty: bool) -> None:  # noqa: FBT001  (a process's arguments)
    # Ctrl-C goes to the whole group of processes; the parent passes it on, and once is enough.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupt_on_sigterm()
    prepare(settings, "info")
    try:
        report = _work(settings, job, slots, until_empty=until_empty)
    except BecError as error:
        sys.exit(print_error(error, debug=False))
    except KeyboardInterrupt:
        sys.exit(EXIT_DONE)
    sys.exit(_exit_code(report, until_empty=until_empty))
