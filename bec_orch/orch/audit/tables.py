"""What the tables alone tell of the tasks: the seven states (G1), and tasks that nothing would ever bring on."""

from collections.abc import Iterator

from bec_orch.core.models import Job, VolumeRef
from bec_orch.io.postgres.database import Database, rows
from bec_orch.io.postgres.sql_files import statements
from bec_orch.orch.audit.values import HISTORY, LEFT, JobStates, Repair, Violation
from bec_orch.orch.discovery import LOST_AFTER

# Workers look after forgotten tasks every minute, and send messages again after a quarter of an hour.
_OVERDUE = 900.0
_LEFT = {"running": "its lease ended long ago", "waiting": "all that it waits for is done"}


def job_states(database: Database) -> tuple[JobStates, ...]:
    """Count the tasks of every job by state, all at one instant."""
    with database.transaction("count tasks by state", long=True) as connection:
        return tuple(JobStates(**row) for row in rows(connection, statements("audit")["states"], {}))


def of_tables(job: Job, database: Database) -> Iterator[Violation]:
    """Give what does not hold in the tables of a job."""
    sql, named = statements("audit"), {"job_id": job.id, "lost_after": LOST_AFTER, "overdue": _OVERDUE}
    with database.transaction(f"audit the tasks of {job.name}", long=True) as connection:
        done_twice = rows(connection, sql["done_twice"], named)
        unfinished_twice = rows(connection, sql["unfinished_twice"], named)
        left = rows(connection, sql["left_behind"], named)
    found = (
        *((HISTORY, f"was done {row['times']} times", Repair.NOTHING, row) for row in done_twice),
        *((HISTORY, f"is one of {row['times']} open ones", Repair.NOTHING, row) for row in unfinished_twice),
        *((LEFT, f"is {row['state']}, though {_LEFT[row['state']]}", Repair.DISPATCH, row) for row in left),
    )
    for invariant, told, repair, row in found:
        volume = VolumeRef(row["w_id"], row["i_id"], row["source"])
        yield Violation(invariant, job.name, f"task {row['task_id']} {told}", volume, (row["task_id"],), repair)
