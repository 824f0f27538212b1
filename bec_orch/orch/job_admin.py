"""Creates, lists, changes and deletes jobs.

A deleted job keeps its row and its tasks' history, and frees its name. A new job of that name goes on with the attempt
numbers of the old one, because both write under the same prefix of the artefact store.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_types.registry import job_worker_class
from bec_orch.core.names import printable
from bec_orch.core.records.jobs import Jobs
from bec_orch.core.tasks import IfMissing, Job
from bec_orch.errors import ConfigError, UsageError

# Job names become names of SQS queues (80 characters with a suffix for the dead letters) and prefixes of keys.
_MOST_ATTEMPTS = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


@dataclass(frozen=True, slots=True)
class DeletedJob:
    """What deleting a job did: how many of its tasks were unfinished and are canceled now."""

    name: str
    canceled: int


class JobAdmin:
    """Looks after the jobs of one database."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def create(
        self,
        name: str,
        job_type: str,
        config: Mapping[str, Any],
        *,
        artifact_prefix: str | None = None,
        depends_on: Sequence[str] = (),
        if_missing: Mapping[str, IfMissing] | None = None,
        max_attempts: int = 5,
        max_page_error_rate: float = 0.05,
        dry_run: bool = False,
    ) -> Job:
        """Make a job.

        Args:
            name: its name.
            job_type: its type.
            config: its config, as far as it is not the default.
            artifact_prefix: the folder of its artefacts in the destination; None: its name. It cannot be changed later.
            depends_on: the jobs that it needs.
            if_missing: what is done, for those of them that are not waited for.
            max_attempts: charged attempts after which a task has failed.
            max_page_error_rate: the share of a volume's pages that may be errors.
            dry_run: check what is asked for, and make nothing.

        Raises:
            ConfigError: the type is unknown, its schema does not allow the config, a job that it needs is unknown, or
                it reads what others leave, and depends on none or may go without (E_JOB_NEEDS).
            UsageError: the name or the prefix cannot be one (E_JOB_NAME), the name is taken (E_JOB_EXISTS), or
                artefacts of another job lie in the folder (E_JOB_PREFIX).
        """
        _check_name(name, "A job")
        if artifact_prefix is not None:
            _check_name(artifact_prefix, "A folder of artefacts")
        _check_policies(max_attempts, max_page_error_rate)
        parsed = _parsed(job_type, config)
        _check_dependencies(job_type, parsed, depends_on)
        policies = _policies(if_missing)
        self._check_policies_of_needed(job_type, policies)
        job = Job(
            id=0,
            name=name,
            type=job_type,
            **_stored(parsed),
            max_attempts=max_attempts,
            max_page_error_rate=max_page_error_rate,
            depends_on=tuple(depends_on),
            if_missing=policies,
            artifact_prefix=None if artifact_prefix == name else artifact_prefix,
        )
        return job if dry_run else self._jobs.add(job)

    def list(self) -> list[Job]:
        """Return every job, by name."""
        return self._jobs.every()

    def show(self, name: str) -> Job:
        """Return one job.

        Raises:
            ConfigError: there is no job of that name.
        """
        return self._jobs.job(name)

    def update(
        self,
        name: str,
        *,
        config: Mapping[str, Any] | None = None,
        depends_on: Sequence[str] | None = None,
        if_missing: Mapping[str, IfMissing] | None = None,
        max_attempts: int | None = None,
        max_page_error_rate: float | None = None,
    ) -> Job:
        """Change what is given; `config` holds only the fields to change. Tasks that run keep what they began with.

        `if_missing` goes with `depends_on`, as in `create`.

        Raises:
            ConfigError: there is no such job, or what is given does not fit its type, as in `create`.
        """

        def decide(job: Job) -> Job:
            changed = replace(
                job,
                max_attempts=job.max_attempts if max_attempts is None else max_attempts,
                max_page_error_rate=job.max_page_error_rate if max_page_error_rate is None else max_page_error_rate,
            )
            _check_policies(changed.max_attempts, changed.max_page_error_rate)
            parsed = _parsed(job.type, {**job.config, **(config or {})})
            changed = replace(changed, **_stored(parsed))
            if depends_on is not None:
                changed = replace(changed, depends_on=tuple(depends_on), if_missing=policies)
            _check_dependencies(job.type, parsed, changed.depends_on)
            return changed

        policies = _policies(if_missing)
        self._check_policies_of_needed(self._jobs.job(name).type, policies)
        return self._jobs.change(name, decide)

    def delete(self, name: str) -> DeletedJob:
        """Delete a job: its unfinished tasks are canceled, its history is kept, and its name is free again.

        Raises:
            ConfigError: there is no job of that name.
            UsageError: another job needs it (E_JOB_NEEDED).
        """
        return DeletedJob(name, self._jobs.delete(name))

    def _check_policies_of_needed(self, job_type: str, if_missing: Mapping[str, IfMissing]) -> None:
        """See that a type that reads what jobs of another type leave does not go without them."""
        needs = job_worker_class(job_type).needs
        for name, policy in if_missing.items():
            if policy is IfMissing.PROCEED and self._jobs.job(name).type in needs:
                raise ConfigError(
                    f"A job of type {job_type} has nothing to do without the rows of '{name}'.",
                    code="E_JOB_NEEDS",
                    hint=f"Use `--depends-on {name}` or `--depends-on {name}:fail`.",
                )


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what} cannot be named {printable(name)}.",
            code="E_JOB_NAME",
            hint="Use up to 60 small letters, digits, '-' and '_', and begin with a letter or digit.",
        )


def _check_policies(max_attempts: int, max_page_error_rate: float) -> None:
    if not 1 <= max_attempts <= _MOST_ATTEMPTS:
        raise ConfigError(
            f"max_attempts is {max_attempts}, and must lie between 1 and {_MOST_ATTEMPTS}.", code="E_JOB_CONFIG"
        )
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


def _policies(if_missing: Mapping[str, IfMissing] | None) -> dict[str, IfMissing]:
    return {name: policy for name, policy in (if_missing or {}).items() if policy is not IfMissing.WAIT}


def _stored(parsed: JobConfig) -> dict[str, Any]:
    # Defaults are stored too: a later version of the program, with other defaults, does not change what a job does.
    return {"config": parsed.model_dump(mode="json"), "config_hash": parsed.output_hash()}
