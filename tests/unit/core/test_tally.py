"""What a worker keeps of the tasks that it failed on: counts, however many they are."""

import pickle
import sys
from dataclasses import replace

import pytest

from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.life.worker_runtime import Tally
from bec_orch.core.tasks import AttemptOutcome, Failure
from tests.unit.core.test_flight import CLAIM

WHY = Failure("E_MANIFEST_MISSING", "resolve", "The volume has no manifest.", "0" * 12, retryable=False, charged=True)


def end(task: int, outcome: AttemptOutcome, failure: Failure | None = WHY) -> TaskEnd:
    """An attempt at a task."""
    return TaskEnd(replace(CLAIM, task_id=task), outcome, failure=failure)


def test_tasks_that_failed_for_good_are_counted_and_forgotten() -> None:
    tally = Tally(5)
    one = end(1, AttemptOutcome.TERMINAL_FAILED)
    tally.add(end(1, AttemptOutcome.RETRYABLE_FAILED))
    before = sys.getrefcount(one), sys.getrefcount(one.claim)
    tally.add(one)
    assert (sys.getrefcount(one), sys.getrefcount(one.claim)) == before, "it is held in memory"
    for task in range(2, 1001):
        tally.add(end(task, AttemptOutcome.TERMINAL_FAILED))
    report = tally.report("empty")
    assert (report.failed, report.outcomes[AttemptOutcome.TERMINAL_FAILED]) == (1000, 1000)
    assert report.last_failure == WHY
    assert len(pickle.dumps(report)) < 4096, "what any pipe takes at once"


def test_a_task_that_is_done_in_the_end_has_not_failed() -> None:
    tally = Tally(5)
    tally.add(end(1, AttemptOutcome.RETRYABLE_FAILED))
    tally.add(end(2, AttemptOutcome.RETRYABLE_FAILED))
    assert tally.report("").failed == 2
    tally.add(end(1, AttemptOutcome.DONE, None))
    assert tally.report("").failed == 1
    tally.add(end(2, AttemptOutcome.TERMINAL_FAILED))
    assert tally.report("").failed == 1


@pytest.mark.parametrize("outcome", [AttemptOutcome.DONE, AttemptOutcome.TERMINAL_FAILED])
def test_a_task_is_given_up_after_as_many_tries_as_its_job_allows_until_it_comes_to_its_end(
    outcome: AttemptOutcome,
) -> None:
    tally = Tally(5)
    for tries in range(CLAIM.job.max_attempts):
        assert tally.given_up() == 0, tries
        tally.add(end(1, AttemptOutcome.RETRYABLE_FAILED))
    tally.add(end(1, AttemptOutcome.LEASE_LOST))
    assert tally.given_up() == 1
    tally.add(end(1, outcome, None if outcome is AttemptOutcome.DONE else WHY))
    assert tally.given_up() == 0


def test_different_tasks_that_fail_in_a_row_are_reported_with_the_last_failure() -> None:
    tally = Tally(2)
    for _ in range(3):
        tally.add(end(1, AttemptOutcome.RETRYABLE_FAILED))
    assert tally.black_hole() is None
    tally.add(end(2, AttemptOutcome.RETRYABLE_FAILED))
    assert tally.black_hole() == WHY
