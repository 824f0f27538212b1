"""The job that `bec import` makes or goes on with."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from bec_orch.cli.imports import command
from bec_orch.core.ports.queues import QueueSetup
from bec_orch.core.tasks import Job
from bec_orch.errors import UsageError

CONFIG = {"format": "alto", "documents_url": "file:///documents", "documents_folder": "{w_id}/{i_id}/alto"}


class MadeMeanwhile:
    """Jobs among which another command adds the one that is asked for, after they were listed."""

    made = Job(7, "corrected", "importv1", CONFIG, "0" * 16)

    def every(self) -> list[Job]:
        return []

    def add(self, _job: Job) -> Job:
        raise UsageError("There is a job 'corrected' already.", code="E_JOB_EXISTS")

    def job(self, _name: str) -> Job:
        return self.made

    def change(self, _name: str, decide: Callable[[Job], Job]) -> Job:
        return decide(self.made)


def test_of_two_imports_that_make_a_job_at_once_the_later_joins_in() -> None:
    admin = SimpleNamespace(create=QueueSetup)
    parts: Any = SimpleNamespace(
        records=SimpleNamespace(jobs=MadeMeanwhile()), queues=SimpleNamespace(admin=lambda _job: admin)
    )
    joined = command._job(parts, "corrected", CONFIG, 0.2)
    assert (joined.id, joined.config["documents_url"]) == (7, "file:///documents")
