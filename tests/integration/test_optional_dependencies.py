"""Jobs that do not wait for all that they need: who fails, who goes on without, and what is stale then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bec_orch.core.records.backlog import RedriveFilter
from bec_orch.core.tasks import AttemptOutcome, IfMissing, TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.orch.backlog.redrive import Redriver
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.orch.overview.standing import graph
from tests.integration.test_dependencies import TERMINAL, Chain, chained, done_chain, stale_reasons


@pytest.fixture
def chain(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    with chained(database, tmp_path, monkeypatch) as chain:
        yield chain


def set_policy(chain: Chain, policy: IfMissing, job: str = "second", needed: str = "toy") -> None:
    JobAdmin(PgJobs(chain.database)).update(job, depends_on=[needed], if_missing={needed: policy})


def inputs(chain: Chain, volume: VolumeRef, job: str = "second") -> dict[str, str]:
    """What the `success.json` of a volume says that it was made of, as the database says too."""
    found = chain.success(volume, job=job)
    assert found
    with chain.database.transaction("look") as connection:
        query = (
            "SELECT t.inputs FROM tasks t JOIN jobs j ON j.id = t.job_id"
            " WHERE t.state = 'done' AND j.name = %s ORDER BY t.id DESC"
        )
        row = connection.execute(query, (job,)).fetchone()
    assert cast("dict[str, Any]", row)["inputs"] == found.inputs
    return dict(found.inputs)


def break_pages(chain: Chain) -> None:
    for number in (1, 2, 3):
        (chain.scans / f"W1/I1/000{number}.jpg").write_bytes(b"")


def mend(chain: Chain) -> None:
    with chain.database.transaction("allow errors") as connection:
        connection.execute(b"UPDATE jobs SET max_page_error_rate = 1")
    Redriver(PgBacklog(chain.database), chain.queues).redrive("toy", RedriveFilter(code=TERMINAL))


def test_a_job_proceeds_without_what_is_not_done_and_is_stale_once_it_is(chain: Chain) -> None:
    set_policy(chain, IfMissing.PROCEED)
    volume, seen = chain.volume(), []

    def look(context: Any, page: Any) -> None:
        if context.job == "second" and page.index == 0:
            seen.append((set(context.dependencies), context.absent))

    chain.at_page = look
    assert chain.enqueuer.enqueue("second", [volume]).queued == 1
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}
    assert inputs(chain, volume) == {"toy": "missing"}
    assert stale_reasons(chain, "second") == []
    chain.enqueuer.enqueue("toy", [volume])
    assert stale_reasons(chain, "second") == []
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert stale_reasons(chain, "second") == [("dependency",)]
    assert chain.enqueuer.enqueue("second", [volume]).skipped_stale == 1
    assert chain.enqueuer.enqueue("second", [volume], stale=True).queued == 1
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}
    assert inputs(chain, volume)["toy"].endswith(".parquet")
    assert stale_reasons(chain, "second") == []
    assert seen == [(set(), frozenset({"toy"})), ({"toy"}, frozenset())]


def test_a_job_that_proceeds_does_not_wait_for_what_is_queued_or_failed(chain: Chain) -> None:
    set_policy(chain, IfMissing.PROCEED)
    volume = chain.volume()
    break_pages(chain)
    reports = chain.enqueuer.enqueue_with_dependencies("second", [volume])
    assert [(r.queued, r.waiting) for r in reports.values()] == [(1, 0), (1, 0)]
    assert chain.run_job("toy") == {AttemptOutcome.TERMINAL_FAILED: 1}
    with chain.database.transaction("allow errors") as connection:
        connection.execute(b"UPDATE jobs SET max_page_error_rate = 1")
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}
    assert inputs(chain, volume) == {"toy": "missing"}


def test_an_artefact_that_is_done_and_gone_is_waited_for_whatever_the_policy(chain: Chain) -> None:
    set_policy(chain, IfMissing.PROCEED)
    volume = chain.volume()
    chain.enqueuer.enqueue_with_dependencies("second", [volume])
    chain.run_job("toy")
    found = chain.success(volume)
    assert found
    (chain.home / "out" / found.location.prefix / "success.json").unlink()
    assert chain.run_job("second") == {AttemptOutcome.RETRYABLE_FAILED: 3}
    (task,) = chain.overview.tasks("second")
    assert (task.failure_code, task.charged) == ("E_DEPENDENCY_MISSING", 0)


def test_a_task_fails_at_once_where_nobody_makes_what_it_needs(chain: Chain) -> None:
    set_policy(chain, IfMissing.FAIL)
    volume = chain.volume()
    assert chain.enqueuer.enqueue("second", [volume]).queued == 1
    assert chain.run_job("second") == {AttemptOutcome.TERMINAL_FAILED: 1}
    (task,) = chain.overview.tasks("second")
    assert (task.failure_code, task.charged) == ("E_DEPENDENCY_FAILED", 0)
    assert "needs toy, which is not enqueued" in (task.failure_message or "")
    chain.enqueuer.enqueue("toy", [volume])
    Redriver(PgBacklog(chain.database), chain.queues).redrive("second", RedriveFilter(code="E_DEPENDENCY_FAILED"))
    assert chain.states("second") == [TaskState.WAITING]
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}
    assert inputs(chain, volume)["toy"].endswith(".parquet")


def test_a_task_waits_for_what_may_still_come_and_fails_with_it(chain: Chain) -> None:
    set_policy(chain, IfMissing.FAIL)
    set_policy(chain, IfMissing.FAIL, "third", "second")
    volume = chain.volume()
    break_pages(chain)
    chain.enqueuer.enqueue_with_dependencies("third", [volume])
    assert [chain.states(job) for job in ("second", "third")] == [[TaskState.WAITING], [TaskState.WAITING]]
    assert chain.run_job("toy") == {AttemptOutcome.TERMINAL_FAILED: 1}
    assert [chain.states(job) for job in ("second", "third")] == [[TaskState.QUEUED], [TaskState.WAITING]]
    assert chain.queues("second").stats().visible == 1, "its message is sent at once"
    assert chain.run_job("second") == {AttemptOutcome.TERMINAL_FAILED: 1}
    assert chain.run_job("third") == {AttemptOutcome.TERMINAL_FAILED: 1}
    told = [chain.overview.tasks(job)[0].failure_message or "" for job in ("second", "third")]
    assert [f"toy failed: {TERMINAL}" in told[0], "second failed: E_DEPENDENCY_FAILED" in told[1]] == [True, True]
    mend(chain)
    Redriver(PgBacklog(chain.database), chain.queues).redrive("second", RedriveFilter())
    assert chain.states("second") == [TaskState.WAITING]
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}


@pytest.mark.parametrize("policy", [IfMissing.FAIL, IfMissing.PROCEED])
def test_what_was_done_for_an_older_version_only_is_done_anew(chain: Chain, policy: IfMissing) -> None:
    volume = done_chain(chain)
    set_policy(chain, policy)
    (chain.scans / "W1/I1/0005.jpg").write_bytes(b"xxxxx")
    chain.enqueuer.enqueue("second", [volume], force=True)
    proceeds = policy is IfMissing.PROCEED
    assert chain.run_job("second") == {(AttemptOutcome.DONE if proceeds else AttemptOutcome.SUPERSEDED): 1}
    assert chain.states("toy")[-1] is TaskState.QUEUED
    assert chain.run_job("toy") == {AttemptOutcome.DONE: 1}
    assert stale_reasons(chain, "second") == ([("dependency",)] if proceeds else [("manifest",)])
    chain.enqueuer.enqueue("second", [volume], stale=True)
    assert chain.run_job("second") == {AttemptOutcome.DONE: 1}
    assert stale_reasons(chain, "second") == []


def test_a_policy_is_kept_shown_and_taken_back(chain: Chain) -> None:
    admin, volume = JobAdmin(PgJobs(chain.database)), chain.volume()
    assert chain.enqueuer.enqueue("second", [volume]).waiting == 1
    set_policy(chain, IfMissing.PROCEED)
    assert chain.states("second") == [TaskState.QUEUED]
    assert admin.update("second", max_attempts=7).if_missing == {"toy": IfMissing.PROCEED}
    assert {node.name: node.if_missing for node in graph(chain.overview)}["second"] == {"toy": IfMissing.PROCEED}
    assert admin.update("second", depends_on=["toy"]).if_missing == {}
    assert chain.run_job("second") == {AttemptOutcome.SUPERSEDED: 1}
    assert chain.states("second") == [TaskState.WAITING]
