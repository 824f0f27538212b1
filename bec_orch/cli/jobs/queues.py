"""The queues of a job: made with it, and left where they are when it is deleted."""

from collections.abc import Callable

from bec_orch.cli.composition.parts import Parts
from bec_orch.cli.terminal.console import note
from bec_orch.core.ports.queues import QueueSetup
from bec_orch.core.tasks import Job
from bec_orch.errors import UsageError
from bec_orch.orch.job_admin import JobAdmin

EXISTS = "E_JOB_EXISTS"


def create_job(parts: Parts, name: str, make: Callable[[JobAdmin], Job]) -> Job:
    """Make a job, then its queues. Where the job is there and its queues are not, they are made again.

    Args:
        parts: the opened parts.
        name: the job's name.
        make: makes the job.

    Raises:
        UsageError: job and queues are there already (E_JOB_EXISTS).
        QueueError: the queue is away or refused; the job is there, and the same call goes on with its queues.
    """
    admin = JobAdmin(parts.records.jobs)
    try:
        job = make(admin)
    except UsageError as error:
        if error.code != EXISTS or not make_queues(parts, name):
            raise
        return admin.show(name)
    make_queues(parts, name)
    return job


def make_queues(parts: Parts, job: str) -> bool:
    """Make what is missing, and return whether something was."""
    setup = parts.queues.admin(job).create()
    _tell(setup)
    return bool(setup.made)


def _tell(setup: QueueSetup) -> None:
    for name in setup.made:
        note(f"The queue {name} is made.")
    for one in setup.differences:
        note(f"warning: the queue {one.queue} has {one.attribute} {one.found or 'unset'}, not {one.wanted}.")
