"""A worker in this process, from its parts to its report; a signal or EC2's notice stops it at a page boundary."""

from dataclasses import dataclass

from bec_orch.cli.composition.home import work_dir
from bec_orch.cli.composition.machines import this_machine
from bec_orch.cli.composition.parts import Parts
from bec_orch.cli.composition.working import worker, worker_info
from bec_orch.cli.process.signals import stopping
from bec_orch.cli.terminal.console import warn
from bec_orch.core.life.flight import Flight
from bec_orch.core.life.observing import WorkerObserver
from bec_orch.core.life.stop import StopReason
from bec_orch.core.life.worker_runtime import WorkerReport
from bec_orch.core.tasks import Failure, Job
from bec_orch.errors import BecError
from bec_orch.io.aws.imds import NoticeWatcher, known_machine
from bec_orch.orch.runs.post_mortem import Told, log_death, record_deaths
from bec_orch.settings.logging_setup import tell_always

_NOTICES = frozenset({StopReason.SPOT, StopReason.REBALANCE, StopReason.SCALE_IN})


@dataclass(frozen=True, slots=True)
class Worked:
    """What a worker did, and whether a signal or a notice ended it."""

    report: WorkerReport
    interrupted: bool


def work(
    parts: Parts,
    job: Job,
    observer: WorkerObserver,
    *,
    until_empty: bool,
    slots: int = 1,
    grace: float | None = None,
    word: str,
    tell_death: Told = log_death,
) -> Worked:
    """Work for a job until stopped, or until nothing is left.

    Args:
        parts: the opened parts.
        job: the job.
        observer: is notified of what the worker does.
        until_empty: end when nothing is left to do.
        slots: how many volumes to hold at once.
        grace: seconds that a stop leaves for finishing, instead of the setting.
        word: what to say when a signal asks for the end; empty where whoever passed it on says so.
        tell_death: is told of attempts whose worker died here before.

    Raises:
        WorkerStopped: everything failed for it.
        BecError: it could not begin.
    """
    record_deaths(work_dir(parts.settings), parts.records.deaths, {}, tell_death)
    metadata = this_machine(parts.settings)
    info = worker_info(job, known_machine(metadata))
    with worker(parts, job, info, observer, slots=slots, grace=grace) as built:
        tell_always(job=job.name, worker=info.id)
        with stopping(built.stop, word) as stop, NoticeWatcher(metadata, built.stop):
            report = built.run(until_empty=until_empty)
    if report.stop_reason not in {StopReason.EMPTY, StopReason.SHUTDOWN} | _NOTICES:
        raise _stopped_itself(report)
    return Worked(report, stop.asked or report.stop_reason in _NOTICES)


def say_death(flight: Flight, failure: Failure, recorded: bool) -> None:  # noqa: FBT001  (a `Told`)
    """Tell somebody at a terminal that a worker died (a `Told`)."""
    if recorded:
        warn(f"An attempt at {flight.volume} came to no end, and is made again. {failure.message}", failure.hint)


class WorkerStopped(BecError):
    """A worker stopped itself, because everything fails for it. `report` has what it did until then."""

    default_code = "E_WORKER_STOPPED"

    def __init__(self, message: str, report: WorkerReport, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.report = report


def _stopped_itself(report: WorkerReport) -> WorkerStopped:
    last = report.last_failure
    hint = "`bec doctor` checks the surroundings. What was finished is kept: run the same command again to go on."
    return WorkerStopped(
        f"The worker stopped itself ({report.stop_reason}): {last.message if last else 'it does not say why'}",
        report,
        hint=(last.hint if last else "") or hint,
    )
