"""What becomes of a task whose attempt failed: tried again, and after how long, or ended. A store records it."""

import random
from dataclasses import dataclass

from bec_orch.core.tasks import Failure, TaskState
from bec_orch.core.wording import counted

ATTEMPTS_EXHAUSTED = "E_ATTEMPTS_EXHAUSTED"
"""The code of a task whose last attempt failed; that attempt has the code of its own failure."""

_MOST_DOUBLINGS = 30  # a power beyond any cap


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds of the backoff after the first charged failure, and at most; it doubles with each, with jitter."""

    base: float = 10.0
    cap: float = 600.0

    def backoff(self, retries: int) -> float:
        """Return the seconds to wait after this many failed attempts. Half is jitter, so it keeps a floor."""
        longest = min(self.cap, self.base * 2.0 ** min(retries, _MOST_DOUBLINGS))
        return longest * random.uniform(0.5, 1.0)  # nosec B311  # noqa: S311  (it spreads load, and is no secret)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a task after its attempt, the attempts that are charged to it, and the failure that it shows."""

    state: TaskState
    charged: int
    code: str
    message: str
    backoff: float | None = None


def after_failure(failure: Failure, charged_before: int, max_attempts: int, backoff: float) -> Verdict:
    """Return what becomes of a task whose worker reports a failure. One that is not charged never ends the task."""
    charged = charged_before + failure.charged
    if failure.retryable and failure.charged and charged >= max_attempts:
        return _given_up(failure, charged, "failed")
    state = TaskState.RETRYABLE_FAILED if failure.retryable else TaskState.TERMINAL_FAILED
    return Verdict(state, charged, failure.code, failure.message, backoff if failure.retryable else None)


def after_loss(failure: Failure, charged_before: int, max_attempts: int) -> Verdict:
    """Return what becomes of a task whose worker is gone: queued at once, unless its budget is used up."""
    charged = charged_before + failure.charged
    if charged >= max_attempts:
        return _given_up(failure, charged, "ended")
    return Verdict(TaskState.QUEUED, charged, failure.code, failure.message)


def _given_up(failure: Failure, charged: int, how: str) -> Verdict:
    attempts = counted(charged, "attempt")
    message = f"Gave up after {attempts}; the last {how} with {failure.code}: {failure.message}"
    return Verdict(TaskState.TERMINAL_FAILED, charged, ATTEMPTS_EXHAUSTED, message)
