"""Creates, lists, changes and deletes jobs.

A deleted job keeps its row and its tasks' history, and frees its name. A new job of that name goes on with the attempt
numbers of the old one, because both write under the same prefix of the artefact store.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg.rows import DictRow

from bec_orch.core.job_config import JobConfig
from bec_orch.core.models import Job
from bec_orch.core.names import printable
from bec_orch.core.registry import job_worker_class
from bec_orch.errors import ConfigError, UsageError
from bec_orch.io.postgres.database import Database, clean_text, first, rows
from bec_orch.io.postgres.rows import job_of, jsonb
from bec_orch.io.postgres.sql_files import statements

# Job names become names of SQS queues (80 characters with a suffix for the dead letters) and prefixes of keys.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")

Connection = psycopg.Connection[DictRow]


@dataclass(frozen=True, slots=True)
class DeletedJob:
    """What deleting a job did: how many of its tasks were unfinished and are canceled now."""

    name: str
    canceled: int


class JobAdmin:
    """Looks after the jobs of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("jobs")

    def create(
        self,
        name: str,
        job_type: str,
        config: Mapping[str, Any],
        *,
        depends_on: Sequence[str] = (),
        max_attempts: int = 5,
        max_page_error_rate: float = 0.05,
    ) -> Job:
        """Make a job.

        Raises:
            ConfigError: the type is unknown, its schema does not allow the config, a job that it needs is unknown, or
                it reads what others leave, and depends on none (E_JOB_NEEDS).
            UsageError: the name cannot be one (E_JOB_NAME), or is taken (E_JOB_EXISTS).
        """
        _check_name(name)
        _check_policies(max_attempts, max_page_error_rate)
        parsed = _parsed(job_type, config)
        _check_dependencies(job_type, parsed, depends_on)
        values = {
            "name": name,
            "type": job_type,
            **_config_values(parsed),
            "max_attempts": max_attempts,
            "max_page_error_rate": max_page_error_rate,
        }
        with self._database.transaction(f"create the job {name}") as connection:
            connection.execute(self._sql["lock"])
            added = first(connection, self._sql["add"], values)
            if added is None:
                raise UsageError(
                    f"There is a job '{name}' already.",
                    code="E_JOB_EXISTS",
                    hint=f"`bec jobs show {name}` shows it; `bec jobs update {name}` changes it.",
                )
            self._set_dependencies(connection, added["id"], name, depends_on)
            return self._read(connection, name)

    def list(self) -> list[Job]:
        """Give every job, by name."""
        with self._database.transaction("list the jobs") as connection:
            return [job_of(row) for row in rows(connection, self._sql["every"], {})]

    def show(self, name: str) -> Job:
        """Give one job.

        Raises:
            ConfigError: there is no job of that name.
        """
        with self._database.transaction("read a job") as connection:
            return self._read(connection, name)

    def update(
        self,
        name: str,
        *,
        config: Mapping[str, Any] | None = None,
        depends_on: Sequence[str] | None = None,
        max_attempts: int | None = None,
        max_page_error_rate: float | None = None,
    ) -> Job:
        """Change what is given; `config` holds only the fields to change. Tasks that run keep what they began with.

        Raises:
            ConfigError: there is no such job, or what is given does not fit its type, as in `create`.
        """
        with self._database.transaction(f"change the job {printable(name)}", long=True) as connection:
            connection.execute(self._sql["lock"])
            job = self._read(connection, name)
            changed = replace(
                job,
                max_attempts=job.max_attempts if max_attempts is None else max_attempts,
                max_page_error_rate=job.max_page_error_rate if max_page_error_rate is None else max_page_error_rate,
            )
            _check_policies(changed.max_attempts, changed.max_page_error_rate)
            parsed = _parsed(job.type, {**job.config, **(config or {})})
            _check_dependencies(job.type, parsed, job.depends_on if depends_on is None else depends_on)
            policies = {"max_attempts": changed.max_attempts, "max_page_error_rate": changed.max_page_error_rate}
            connection.execute(self._sql["change"], {"job_id": job.id, **_config_values(parsed), **policies})
            if depends_on is not None:
                self._set_dependencies(connection, job.id, name, depends_on)
                connection.execute(statements("tasks")["release_waiting"], {"job_id": job.id})
            return self._read(connection, name)

    def delete(self, name: str) -> DeletedJob:
        """Delete a job: its unfinished tasks are canceled, its history is kept, and its name is free again.

        Raises:
            ConfigError: there is no job of that name.
            UsageError: another job needs it (E_JOB_NEEDED).
        """
        with self._database.transaction(f"delete the job {printable(name)}", long=True) as connection:
            connection.execute(self._sql["lock"])
            job = {"job_id": self._read(connection, name).id}
            needed_by = [row["name"] for row in rows(connection, self._sql["dependants"], job)]
            if needed_by:
                raise UsageError(
                    f"The job '{name}' is needed by: {', '.join(needed_by)}.",
                    code="E_JOB_NEEDED",
                    hint="Delete those first, or take the dependency off with `bec jobs update`.",
                )
            connection.execute(self._sql["delete"], job)
            unfinished = first(connection, self._sql["count_unfinished"], job) or {"tasks": 0}
            connection.execute(self._sql["cancel_tasks"], job)
            return DeletedJob(name, unfinished["tasks"])

    def _read(self, connection: Connection, name: str) -> Job:
        return read_job(connection, name)

    def _set_dependencies(self, connection: Connection, job_id: int, name: str, depends_on: Sequence[str]) -> None:
        ids = {
            row["name"]: row["id"]
            for row in rows(connection, self._sql["ids"], {"names": [clean_text(needed) for needed in depends_on]})
        }
        unknown = [needed for needed in depends_on if needed not in ids]
        if unknown:
            raise _unknown(unknown[0])
        parameters = {"job_id": job_id, "from_ids": list(ids.values())}
        circle = first(connection, self._sql["reaches"], parameters)
        if circle and circle["circle"]:
            raise ConfigError(
                f"The job '{name}' would need itself through: {', '.join(depends_on)}.", code="E_JOB_CIRCLE"
            )
        connection.execute(self._sql["forget_dependencies"], parameters)
        connection.execute(self._sql["add_dependencies"], parameters)


def read_job(connection: Connection, name: str) -> Job:
    """Read a job within a transaction.

    Raises:
        ConfigError: there is no job of that name.
    """
    row = first(connection, statements("tasks")["job_by_name"], {"name": clean_text(name)})
    if row is None:
        raise _unknown(name)
    return job_of(row)


def _unknown(name: str) -> ConfigError:
    return ConfigError(
        f"There is no job {printable(name)}.", code="E_JOB_UNKNOWN", hint="`bec jobs list` shows the jobs."
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"A job cannot be named {printable(name)}.",
            code="E_JOB_NAME",
            hint="Use up to 60 small letters, digits, '-' and '_', and begin with a letter or digit.",
        )


def _check_policies(max_attempts: int, max_page_error_rate: float) -> None:
    if max_attempts < 1:
        raise ConfigError(f"max_attempts is {max_attempts}, and must be at least 1.", code="E_JOB_CONFIG")
    if not 0 <= max_page_error_rate <= 1:
        raise ConfigError(
            f"max_page_error_rate is {max_page_error_rate}, and must lie between 0 and 1.",
            code="E_JOB_CONFIG",
            hint="It is a share of a volume's pages: 0.2 allows one page in five to be an error.",
        )


def _parsed(job_type: str, config: Mapping[str, Any]) -> JobConfig:
    return job_worker_class(job_type).config_type.parse(config)


def _check_dependencies(job_type: str, config: JobConfig, depends_on: Sequence[str]) -> None:
    needs = job_worker_class(job_type).needs
    if needs and not depends_on:
        raise ConfigError(
            f"A job of type {job_type} reads what other jobs leave, and depends on none.",
            code="E_JOB_NEEDS",
            hint=f"Give --depends-on with a job of type {', '.join(needs)}.",
        )
    config.check_dependencies(depends_on)


def _config_values(parsed: JobConfig) -> dict[str, Any]:
    # Defaults are stored too: a later version of the program, with other defaults, does not change what a job does.
    return {"config": jsonb(parsed.model_dump(mode="json")), "config_hash": parsed.output_hash()}
