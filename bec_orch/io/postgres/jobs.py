"""Jobs and what they need: `JobLookup` and `Jobs` on PostgreSQL.

A deleted job keeps its row and its tasks' history, and frees its name.
"""

from collections.abc import Callable, Sequence
from typing import Any

from psycopg.types.json import Jsonb
from typing_extensions import override

from bec_orch.core.names import printable
from bec_orch.core.records.jobs import JobLookup, Jobs, unknown_job
from bec_orch.core.tasks import IfMissing, Job
from bec_orch.errors import ConfigError, UsageError
from bec_orch.io.postgres.advisory_locks import AdvisoryLock, take
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.rows import Connection, Row, first, job_of, one, rows
from bec_orch.io.postgres.sql_files import statements

JOB_DELETED = "the job was deleted"
"""The reason of a task that was canceled with its job."""


def job_named(connection: Connection, name: str) -> Job:
    """Return a job by its name, as a transaction sees it.

    Raises:
        ConfigError: there is no job of that name (E_JOB_UNKNOWN).
    """
    row = first(connection, statements("jobs")["jobs"], {"job_id": None, "name": name})
    if row is None:
        raise unknown_job(name, _names(connection))
    return job_of(row)


def _names(connection: Connection) -> list[str]:
    return [row["name"] for row in rows(connection, statements("jobs")["jobs"], {"job_id": None, "name": None})]


class PgJobLookup(JobLookup):
    """Finds jobs in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def job(self, name: str) -> Job:
        with self._database.transaction("read a job") as connection:
            return job_named(connection, name)


class PgJobs(PgJobLookup, Jobs):
    """The jobs of one database."""

    @override
    def every(self) -> list[Job]:
        with self._database.transaction("list the jobs") as connection:
            return [job_of(row) for row in rows(connection, statements("jobs")["jobs"], {"job_id": None, "name": None})]

    @override
    def add(self, job: Job) -> Job:
        with self._database.transaction(f"create the job {job.name}") as connection:
            take(connection, AdvisoryLock.JOBS)
            named = {"name": job.name, "type": job.type, "artifact_prefix": job.artifact_prefix, **_values(job)}
            added = first(connection, statements("jobs")["add"], named)
            if added is None:
                raise _taken(
                    job, one(connection, statements("jobs")["in_the_way"], {"name": job.name, "root": job.root})
                )
            _set_dependencies(connection, added["id"], job)
            return job_named(connection, job.name)

    @override
    def change(self, name: str, decide: Callable[[Job], Job]) -> Job:
        with self._database.transaction(f"change the job {printable(name)}", long=True) as connection:
            take(connection, AdvisoryLock.JOBS)
            job = job_named(connection, name)
            changed = decide(job)
            connection.execute(statements("jobs")["change"], {"job_id": changed.id, **_values(changed)})
            if (changed.depends_on, changed.if_missing) != (job.depends_on, job.if_missing):
                _set_dependencies(connection, changed.id, changed)
                connection.execute(statements("upkeep")["release_waiting"], {"job_id": changed.id})
            return job_named(connection, name)

    @override
    def delete(self, name: str) -> int:
        sql = statements("jobs")
        with self._database.transaction(f"delete the job {printable(name)}", long=True) as connection:
            take(connection, AdvisoryLock.JOBS)
            job = {"job_id": job_named(connection, name).id}
            needed_by = [row["name"] for row in rows(connection, sql["dependants"], job)]
            if needed_by:
                raise UsageError(
                    f"The job '{name}' is needed by: {', '.join(needed_by)}.",
                    code="E_JOB_NEEDED",
                    hint="Delete those first, or take the dependency off with `bec jobs update`.",
                )
            connection.execute(sql["delete"], job)
            unfinished = one(connection, sql["count_unfinished"], job)["tasks"]
            cancel_tasks(connection, job["job_id"], JOB_DELETED)
            return int(unfinished)


def cancel_tasks(connection: Connection, job_id: int, reason: str, ids: Sequence[int] | None = None) -> None:
    """Cancel the unfinished tasks of a job, or those of them with one of these numbers, and close their attempts."""
    told = {"reason": reason, "message": f"{reason[0].upper()}{reason[1:]}."}
    wanted = {"job_id": job_id, "ids": None if ids is None else list(ids)}
    connection.execute(statements("jobs")["cancel_tasks"], {**wanted, **told})


def _taken(job: Job, other: Row) -> UsageError:
    if other["by_name"]:
        return UsageError(
            f"There is a job '{job.name}' already.",
            code="E_JOB_EXISTS",
            hint=f"`bec jobs show {job.name}` shows it; `bec jobs update {job.name}` changes it.",
        )
    return UsageError(
        f"The artefacts of the job '{other['name']}' lie in the folder {job.root} already.",
        code="E_JOB_PREFIX",
        hint="Give it another name, or another --artifact-prefix: each would take the other's artefacts for its own.",
    )


def _values(job: Job) -> dict[str, Any]:
    return {
        "config": Jsonb(job.config),
        "config_hash": job.config_hash,
        "max_attempts": job.max_attempts,
        "max_page_error_rate": job.max_page_error_rate,
    }


def _set_dependencies(connection: Connection, job_id: int, job: Job) -> None:
    sql = statements("jobs")
    ids = {row["name"]: row["id"] for row in rows(connection, sql["ids"], {"names": list(job.depends_on)})}
    unknown = [needed for needed in job.depends_on if needed not in ids]
    if unknown:
        raise unknown_job(unknown[0], _names(connection))
    if_missing = [job.if_missing.get(needed, IfMissing.WAIT).value for needed in ids]
    parameters = {"job_id": job_id, "from_ids": list(ids.values()), "if_missing": if_missing}
    if one(connection, sql["reaches"], parameters)["circle"]:
        raise ConfigError(
            f"The job '{job.name}' would need itself through: {', '.join(job.depends_on)}.", code="E_JOB_CIRCLE"
        )
    connection.execute(sql["forget_dependencies"], parameters)
    connection.execute(sql["add_dependencies"], parameters)
