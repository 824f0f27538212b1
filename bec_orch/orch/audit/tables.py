"""What the tables alone show of the tasks: those that nothing would ever bring on, and those that are there twice."""

from collections.abc import Iterator

from bec_orch.core.records.ledger import Ledger, LeftTask, RepeatedTask
from bec_orch.core.records.overview import LOST_AFTER
from bec_orch.core.tasks import Job
from bec_orch.orch.audit.values import HISTORY, LEFT, Invariant, Repair, Violation

# Workers look after forgotten tasks every minute, and send messages again after a quarter of an hour.
_OVERDUE = 900.0
_LEFT = {"running": "its lease ended long ago", "waiting": "all that it waits for is done"}


def of_tables(job: Job, ledger: Ledger) -> Iterator[Violation]:
    """Yield what does not hold in the tables of a job."""
    found = ledger.irregularities(job, lost_after=LOST_AFTER, overdue=_OVERDUE)
    told: tuple[tuple[Invariant, str, Repair, RepeatedTask | LeftTask], ...] = (
        *((HISTORY, f"was done {one.times} times", Repair.NOTHING, one) for one in found.done_twice),
        *((HISTORY, f"is one of {one.times} open ones", Repair.NOTHING, one) for one in found.open_twice),
        *((LEFT, f"is {one.state}, though {_LEFT[one.state]}", Repair.DISPATCH, one) for one in found.left_behind),
    )
    for invariant, words, repair, one in told:
        yield Violation(invariant, job.name, f"task {one.task_id} {words}", one.volume, (one.task_id,), repair)
