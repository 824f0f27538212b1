"""What becomes of a task whose attempt failed."""

import dataclasses

import pytest

from bec_orch.core.retries import RetryPolicy, Verdict, after_failure, after_loss
from bec_orch.core.tasks import Failure, TaskState

HUNG = Failure("E_HUNG", "run", "it hung", "f", retryable=True)
AWAY = dataclasses.replace(HUNG, code="E_AWAY", message="it is away", charged=False)
BROKEN = dataclasses.replace(HUNG, code="E_BROKEN", message="it is broken", retryable=False)


class TestBackoff:
    @pytest.mark.parametrize(("retries", "longest"), [(0, 10.0), (1, 20.0), (3, 80.0), (4, 100.0), (10_000, 100.0)])
    def test_doubles_up_to_its_cap_and_keeps_a_floor(self, retries: int, longest: float) -> None:
        drawn = [RetryPolicy(base=10.0, cap=100.0).backoff(retries) for _ in range(200)]
        assert longest / 2 <= min(drawn) < max(drawn) <= longest
        assert max(drawn) - min(drawn) > longest / 10  # what fails together does not come back together


class TestAfterFailure:
    def test_is_tried_again(self) -> None:
        assert after_failure(HUNG, 1, 3, 7.0) == Verdict(TaskState.RETRYABLE_FAILED, 2, "E_HUNG", "it hung", 7.0)

    def test_the_last_that_is_charged_ends_the_task(self) -> None:
        words = "Gave up after 3 attempts; the last failed with E_HUNG: it hung"
        assert after_failure(HUNG, 2, 3, 7.0) == Verdict(TaskState.TERMINAL_FAILED, 3, "E_ATTEMPTS_EXHAUSTED", words)

    def test_one_attempt_is_written_in_the_singular(self) -> None:
        assert after_failure(HUNG, 0, 1, 7.0).message == "Gave up after 1 attempt; the last failed with E_HUNG: it hung"

    @pytest.mark.parametrize("charged_before", [0, 2, 3, 9])
    def test_what_is_not_charged_never_does(self, charged_before: int) -> None:
        found = after_failure(AWAY, charged_before, 3, 7.0)
        assert found == Verdict(TaskState.RETRYABLE_FAILED, charged_before, "E_AWAY", "it is away", 7.0)

    def test_what_cannot_be_helped_ends_it_at_once(self) -> None:
        assert after_failure(BROKEN, 0, 3, 7.0) == Verdict(TaskState.TERMINAL_FAILED, 1, "E_BROKEN", "it is broken")


class TestAfterLoss:
    def test_is_queued_at_once(self) -> None:
        assert after_loss(HUNG, 1, 3) == Verdict(TaskState.QUEUED, 2, "E_HUNG", "it hung")
        assert after_loss(AWAY, 2, 3) == Verdict(TaskState.QUEUED, 2, "E_AWAY", "it is away")

    def test_ends_when_the_budget_is_used_up(self) -> None:
        words = "Gave up after 3 attempts; the last ended with E_HUNG: it hung"
        assert after_loss(HUNG, 2, 3) == Verdict(TaskState.TERMINAL_FAILED, 3, "E_ATTEMPTS_EXHAUSTED", words)
