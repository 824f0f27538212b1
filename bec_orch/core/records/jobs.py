"""The port of jobs: looked up by everybody, changed by operators."""

from collections.abc import Callable, Iterable
from typing import Protocol

from bec_orch.core.names import printable
from bec_orch.core.tasks import Job
from bec_orch.core.wording import meant
from bec_orch.errors import ConfigError


def unknown_job(name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a job that is not there; `known` are those that are."""
    return ConfigError(
        f"There is no job {printable(name)}{meant(name, known)}.",
        code="E_JOB_UNKNOWN",
        hint="`bec jobs list` shows the jobs.",
    )


class JobLookup(Protocol):
    """Finds jobs."""

    def job(self, name: str) -> Job:
        """Return a job by its name.

        Raises:
            ConfigError: there is no job of that name (E_JOB_UNKNOWN).
        """
        ...


class Jobs(JobLookup, Protocol):
    """The jobs of one database. Changes follow each other, so that no two make a circle of dependencies together."""

    def every(self) -> list[Job]:
        """Return every job, by name."""
        ...

    def add(self, job: Job) -> Job:
        """Record a new job and return it as it stands; its `id` is of no account.

        Raises:
            ConfigError: a job that it needs is unknown (E_JOB_UNKNOWN).
            UsageError: the name is taken (E_JOB_EXISTS).
        """
        ...

    def change(self, name: str, decide: Callable[[Job], Job]) -> Job:
        """Change a job's config, its policies, and what it needs; return it as it stands then.

        Args:
            name: the job.
            decide: returns the job as it is to be; called with the job as it is, while nobody else changes it.

        Raises:
            ConfigError: there is no such job, one that it needs is unknown, or it would need itself (E_JOB_CIRCLE).
        """
        ...

    def delete(self, name: str) -> int:
        """Delete a job, cancel its unfinished tasks, and return their number.

        Raises:
            ConfigError: there is no job of that name.
            UsageError: another job needs it (E_JOB_NEEDED).
        """
        ...
