"""Advisory locks: each ends with its transaction. The numbers are this program's own ("bec" in ASCII, and on)."""

from enum import IntEnum, unique

import psycopg
from psycopg.rows import DictRow

from bec_orch.io.postgres.rows import one
from bec_orch.io.postgres.sql_files import statements

_LONGEST_PART = 2**31 - 1


@unique
class AdvisoryLock(IntEnum):
    """What is locked, and why."""

    MIGRATION = 6448483
    """Several processes may bring the schema up to date at once: each step is applied by one of them."""
    MAINTENANCE = 6448484
    """One worker at a time looks after the tasks of a job, and the others have better to do than to wait for it."""
    JOBS = 6448485
    """Changes of jobs and their dependencies follow each other, so that no two make a circle together."""


def take(connection: psycopg.Connection[DictRow], lock: AdvisoryLock) -> None:
    """Wait for a lock and take it."""
    connection.execute(statements("advisory_locks")["take"], {"lock": lock.value})


def try_take(connection: psycopg.Connection[DictRow], lock: AdvisoryLock, part: int) -> bool:
    """Take a part of a lock, which has a part for each number, if nobody has it; return whether it is ours."""
    named = {"lock": lock.value, "part": part % _LONGEST_PART}
    return bool(one(connection, statements("advisory_locks")["try_take"], named)["ours"])
