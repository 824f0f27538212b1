"""Jobs that need other jobs: who waits, who is released, and what is stale."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from bec_orch.core.records.backlog import RedriveFilter
from bec_orch.core.tasks import AttemptOutcome, Claim, TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ConfigError, UsageError
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.overview import PgOverview
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver
from bec_orch.orch.job_admin import DeletedJob, JobAdmin
from bec_orch.orch.overview.standing import graph
from tests.integration.test_worker_runtime import World, fail_times
from tests.support.jobs.plugin import install
from tests.support.jobs.toy_job import nothing

TERMINAL = "E_IMAGE_EMPTY"
JOBS = ("toy", "second", "third")


class Chain(World):
    """Three toy jobs, each of which needs the one before: `toy`, `second`, `third`."""

    def chain(self) -> None:
        previous = None
        for name in JOBS:
            self.create_job(name=name)
            if previous:
                with self.database.transaction("link") as connection:
                    connection.execute(
                        "INSERT INTO job_dependencies"
                        " SELECT j.id, d.id FROM jobs j, jobs d WHERE (j.name, d.name) = (%s, %s)",
                        (name, previous),
                    )
            previous = name
        self.enqueuer = Enqueuer(PgBacklog(self.database), self.queues)
        self.overview = PgOverview(self.database)

    def states(self, job: str) -> list[TaskState]:
        return [task.state for task in sorted(self.overview.tasks(job), key=lambda task: task.id)]

    def run_job(self, job: str) -> Any:
        worker = self.worker(f"worker-{job}", job=job)
        return worker.run(until_empty=True).outcomes


@contextmanager
def chained(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    monkeypatch.syspath_prepend(str(install(tmp_path / "plugins", {"toy": "tests.support.jobs.toy_job:ToyJob"})))
    chain = Chain(tmp_path, database)
    chain.chain()
    yield chain
    chain.queues.close()


@pytest.fixture
def chain(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    with chained(database, tmp_path, monkeypatch) as chain:
        yield chain


def test_a_task_waits_with_its_reason_and_is_released_with_the_commit(chain: Chain) -> None:
    volume = chain.volume()
    assert chain.enqueuer.enqueue("second", [volume]).waiting == 1
    assert chain.overview.tasks("second")[0].reason == "needs toy, which is not enqueued"
    chain.enqueuer.enqueue("toy", [volume])
    assert chain.overview.tasks("second")[0].reason == "needs toy"
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert chain.states("second") == [TaskState.QUEUED]
    assert chain.queues("second").stats().visible == 1
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}


def test_with_dependencies_enqueues_what_is_missing_first_things_first(chain: Chain) -> None:
    volume = chain.volume()
    reports = chain.enqueuer.enqueue_with_dependencies("third", [volume])
    assert list(reports) == ["toy", "second", "third"]
    assert [(r.queued, r.waiting) for r in reports.values()] == [(1, 0), (0, 1), (0, 1)]
    for job in reports:
        assert chain.run_job(job) == {AttemptOutcome.DONE: 1}
    again = chain.enqueuer.enqueue_with_dependencies("third", [volume])
    assert [r.skipped_done for r in again.values()] == [1, 1, 1]


def test_a_dependency_that_fails_shows_in_the_reason_and_releases_when_it_is_redriven(chain: Chain) -> None:
    volume = chain.volume()
    for number in (1, 2, 3):
        (chain.scans / f"W1/I1/000{number}.jpg").write_bytes(b"")
    chain.enqueuer.enqueue_with_dependencies("second", [volume])
    assert chain.run_job("toy") == {AttemptOutcome.TERMINAL_FAILED: 1}
    (waiting,) = chain.overview.tasks("second")
    assert (waiting.state, waiting.reason) == (TaskState.WAITING, f"toy failed: {TERMINAL}")
    with chain.database.transaction("allow errors") as connection:
        connection.execute(b"UPDATE jobs SET max_page_error_rate = 1")
    Redriver(PgBacklog(chain.database), chain.queues).redrive("toy", RedriveFilter(code=TERMINAL))
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}


def stale_reasons(chain: Chain, job: str) -> list[tuple[str, ...]]:
    return [volume.reasons for volume in chain.overview.stale(job)]


def done_chain(chain: Chain) -> VolumeRef:
    volume = chain.volume()
    for job in chain.enqueuer.enqueue_with_dependencies("third", [volume]):
        chain.run_job(job)
    assert [stale_reasons(chain, job) for job in JOBS] == [[], [], []]
    return volume


def test_redoing_a_dependency_makes_its_dependants_stale_and_stale_redoes_them(chain: Chain) -> None:
    volume = done_chain(chain)
    chain.enqueuer.enqueue("toy", [volume], force=True)
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert [stale_reasons(chain, job) for job in JOBS] == [[], [("dependency",)], []]
    assert chain.enqueuer.enqueue("second", [volume]).skipped_stale == 1
    assert chain.enqueuer.enqueue("second", [volume], stale=True).queued == 1
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}
    assert [stale_reasons(chain, job) for job in ("second", "third")] == [[], [("dependency",)]]


def test_an_edited_config_makes_work_stale(chain: Chain) -> None:
    done_chain(chain)
    with chain.database.transaction("edit") as connection:
        connection.execute(b"UPDATE jobs SET config_hash = 'another' WHERE name = 'toy'")
    assert stale_reasons(chain, "toy") == [("config",)]


def test_another_model_makes_work_stale(chain: Chain) -> None:
    done_chain(chain)
    with chain.database.transaction("replace the model") as connection:
        connection.execute(b"""UPDATE jobs SET models = '[{"name": "scales", "digest": "2"}]', code_version = '2'""")
    assert stale_reasons(chain, "toy") == [("model", "code")]


def test_a_newer_manifest_makes_work_stale_and_every_job_is_done_for_it(chain: Chain) -> None:
    volume = done_chain(chain)
    (chain.scans / "W1/I1/0005.jpg").write_bytes(b"xxxxx")
    reports = chain.enqueuer.enqueue_with_dependencies("second", [volume], refresh=chain.sources)
    assert [(r.queued, r.waiting) for r in reports.values()] == [(1, 0), (0, 1)]
    assert stale_reasons(chain, "third") == [("manifest",)]
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}


def test_a_dependency_whose_artefact_is_gone_is_waited_for_and_not_charged(chain: Chain) -> None:
    volume, other = chain.volume(), chain.volume("I2")
    chain.enqueuer.enqueue_with_dependencies("second", [volume])
    chain.enqueuer.enqueue("toy", [other])
    chain.run_job("toy")
    chain.worker(job="toy", verify_batch=1)._maintenance.verify()
    found = chain.success(volume)
    assert found
    (chain.home / "out" / found.location.prefix / "success.json").unlink()
    assert chain.run_job("second") == {AttemptOutcome.RETRYABLE_FAILED: 3}
    (task,) = chain.overview.tasks("second")
    assert (task.failure_code, task.charged) == ("E_DEPENDENCY_MISSING", 0)
    # One of many finished tasks, and the one that maintenance looks at first, although it was just looked at.
    assert chain.overview.tasks("toy")[0].state is TaskState.DONE
    chain.worker(job="toy", verify_batch=1)._maintenance.verify()
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}


def test_a_dependant_reads_the_artefact_that_was_pinned_when_it_began(chain: Chain) -> None:
    volume = chain.volume()
    chain.enqueuer.enqueue_with_dependencies("second", [volume])
    chain.run_job("toy")
    seen: list[list[int]] = []

    def read(context: Any, page: Any) -> None:
        if context.job == "second" and page.index == 0:
            seen.append(context.dependencies["toy"]()["length"].to_pylist())

    chain.at_page = read
    chain.run_job("second")
    assert seen == [[1, 2, 3, 4]]
    with chain.database.transaction("look") as connection:
        row = connection.execute(b"SELECT inputs FROM tasks WHERE inputs <> '{}'").fetchone()
    assert list(cast("dict[str, Any]", row)["inputs"]) == ["toy"]


def test_the_graph_lists_each_job_after_what_it_needs(chain: Chain) -> None:
    done_chain(chain)
    found = graph(chain.overview)
    assert [(node.name, node.depends_on) for node in found] == [
        ("toy", ()),
        ("second", ("toy",)),
        ("third", ("second",)),
    ]
    assert found[0].tasks == {TaskState.DONE: 1}


def test_failing_attempts_are_no_reason_to_start_a_dependant(chain: Chain) -> None:
    volume = chain.volume()
    chain.at_page = fail_times(ValueError("oops"), 2)
    chain.enqueuer.enqueue_with_dependencies("second", [volume])
    assert chain.run_job("toy")[AttemptOutcome.RETRYABLE_FAILED] == 2
    chain.at_page = nothing
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}


def test_a_volume_that_changes_is_done_anew_by_all_that_a_waiting_task_needs(chain: Chain) -> None:
    volume = done_chain(chain)
    (chain.scans / "W1/I1/0005.jpg").write_bytes(b"xxxxx")
    # Only the last job is asked for, by somebody who does not know that the volume changed.
    chain.enqueuer.enqueue("third", [volume], force=True)
    assert chain.run_job("third") == {AttemptOutcome.SUPERSEDED: 1}
    assert [task.reason for task in chain.overview.tasks("third")][:1] == ["needs second"]
    assert [chain.states(job)[-1] for job in JOBS] == [TaskState.QUEUED, TaskState.WAITING, TaskState.WAITING]
    for job in JOBS:
        assert chain.run_job(job) == {AttemptOutcome.DONE: 1}
    assert [stale_reasons(chain, job) for job in JOBS] == [[], [], []]


def test_a_volume_that_changes_while_a_task_waits_holds_it_up_no_longer_than_the_new_version(chain: Chain) -> None:
    volume = done_chain(chain)
    page = chain.scans / "W1/I1/0005.jpg"
    page.write_bytes(b"xxxxx")
    chain.enqueuer.enqueue("second", [volume], force=True)
    assert chain.run_job("second") == {AttemptOutcome.SUPERSEDED: 1}
    assert chain.states("second")[-1] is TaskState.WAITING
    page.write_bytes(b"xxxxxx")
    assert chain.run_job("toy") == {AttemptOutcome.SUPERSEDED: 1, AttemptOutcome.DONE: 1}
    assert chain.run_job("second") == {AttemptOutcome.SUPERSEDED: 1, AttemptOutcome.DONE: 1}
    assert stale_reasons(chain, "second") == []


def test_a_dependency_whose_worker_died_too_often_shows_in_the_reason(chain: Chain) -> None:
    volume = chain.volume()
    chain.enqueuer.enqueue_with_dependencies("second", [volume])
    toy = chain.store.job("toy")
    for _ in range(toy.max_attempts):
        claim = chain.store.claim(toy, volume, worker_id="w", token=uuid4(), lease=-1.0)
        assert isinstance(claim, Claim)
    assert chain.store.undispatched(toy, limit=10, redispatch_after=60.0) == []
    assert [task.reason for task in chain.overview.tasks("second")] == ["toy failed: E_ATTEMPTS_EXHAUSTED"]


def test_what_a_job_needs_can_be_changed_under_its_waiting_and_finished_tasks(chain: Chain) -> None:
    admin = JobAdmin(PgJobs(chain.database))
    volume = done_chain(chain)
    admin.update("third", depends_on=["toy"])
    assert stale_reasons(chain, "third") == [("dependency",)]
    admin.update("third", depends_on=["toy", "second"])
    assert stale_reasons(chain, "third") == [("dependency",)]
    assert chain.enqueuer.enqueue("third", [volume], stale=True).queued == 1
    assert chain.run_job("third") == {AttemptOutcome.DONE: 1}
    assert stale_reasons(chain, "third") == []

    late = chain.volume("I2")
    assert chain.enqueuer.enqueue("third", [late]).waiting == 1
    with pytest.raises(UsageError, match="needed by: second, third"):
        admin.delete("toy")
    admin.update("third", depends_on=[])
    assert chain.states("third")[-1] is TaskState.QUEUED
    assert chain.run_job("third") == {AttemptOutcome.DONE: 1}


def test_a_job_that_nothing_needs_any_more_goes_and_its_dependants_go_on(chain: Chain) -> None:
    admin = JobAdmin(PgJobs(chain.database))
    volume = chain.volume()
    chain.enqueuer.enqueue_with_dependencies("third", [volume])
    admin.update("third", depends_on=["toy"])
    assert admin.delete("second") == DeletedJob("second", 1)
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert chain.run_job("third") == {AttemptOutcome.DONE: 1}
    assert [node.name for node in graph(chain.overview)] == ["toy", "third"]


@pytest.mark.parametrize("needs", ["toy", "second", "third"])
def test_no_job_can_come_to_need_itself(chain: Chain, needs: str) -> None:
    with pytest.raises(ConfigError) as refused:
        JobAdmin(PgJobs(chain.database)).update("toy", depends_on=[needs])
    assert refused.value.code == "E_JOB_CIRCLE"
