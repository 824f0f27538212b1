"""Job workers are heavy: loaded once for a config, and closed when nobody uses them any more."""

from pathlib import Path
from typing import Any

import pytest

from bec_orch.core.life import job_workers
from bec_orch.core.life.job_workers import JobWorkerCache
from bec_orch.core.life.patience import Patience
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.tasks import Job
from bec_orch.errors import DatabaseError, DatabaseRefused
from tests.support.jobs.toy_job import ToyJob


class NoModels:
    def local_path(self, url: str) -> Path:
        raise AssertionError(url)


RESOURCES = WorkerResources(threads=1, memory_budget=1, models=NoModels())


def job(**config: Any) -> Job:
    return Job(1, "toy", "toy", config, "0" * 16)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> JobWorkerCache:
    monkeypatch.setattr(job_workers, "create_job_worker", lambda _name, *given: ToyJob.create(*given))
    return JobWorkerCache(RESOURCES)


def test_tasks_of_one_config_share_an_instance_which_is_kept_while_idle(cache: JobWorkerCache) -> None:
    with cache(job(factor=2)) as first, cache(job(factor=2)) as second:
        assert first is second
    with cache(job(factor=2)) as third:
        assert third is first
    assert isinstance(first, ToyJob)
    assert first.closed == 0


def test_an_edited_config_gets_an_instance_of_its_own_and_the_old_one_ends_with_its_last_task(
    cache: JobWorkerCache,
) -> None:
    with cache(job(factor=1)) as old:
        assert isinstance(old, ToyJob)
        with cache(job(factor=2)) as new:
            assert new is not old
            assert old.closed == 0
    assert old.closed == 1


def test_closing_closes_what_is_left_and_may_be_done_twice(cache: JobWorkerCache) -> None:
    with cache(job()) as worker:
        pass
    cache.close()
    cache.close()
    assert isinstance(worker, ToyJob)
    assert worker.closed == 1


def failing(times: int, error: DatabaseError) -> Any:
    left = [times]

    def action() -> int:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return times - left[0]

    return action


def test_an_outage_is_waited_out() -> None:
    assert Patience(30)(failing(1, DatabaseError("away"))) == 2


def test_what_waiting_does_not_mend_is_raised_at_once() -> None:
    with pytest.raises(DatabaseRefused):
        Patience(30)(failing(1, DatabaseRefused("no such column")))


def test_nothing_is_waited_for_in_vain() -> None:
    with pytest.raises(DatabaseError):
        Patience(30, lambda: True)(failing(1, DatabaseError("away")))
