"""From an exception to the failure that SQL and the command line show."""

from bec_orch.core.models import Failure
from bec_orch.errors import AWAY, NO_ROOM, BecError, fingerprint

_LONGEST_MESSAGE = 2000


def failure_of(error: BaseException, stage: str) -> Failure:
    """Tell what an exception means for the task whose attempt it ended in the stage.

    Errors of ours say it themselves. Memory and disk that ran out are faults of the machine, not of the task. What
    nobody foresaw is tried again, and charged.
    """
    if isinstance(error, BecError):
        return _failure(
            error.code, stage, error.message, retryable=error.retryable, charged=error.charged, hint=error.hint
        )
    if isinstance(error, MemoryError):
        return _failure("E_MEMORY", stage, "The worker's memory ran out.", retryable=True, charged=False)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return _failure("E_DISK_FULL", stage, f"The disk is full: {error}.", retryable=True, charged=False)
    if isinstance(error, OSError) and error.errno in AWAY:
        return _failure("E_DISK_AWAY", stage, f"A disk or share is away: {error}.", retryable=True, charged=False)
    return _failure("E_UNEXPECTED", stage, f"{type(error).__name__}: {error}", retryable=True, charged=True)


def _failure(code: str, stage: str, message: str, *, retryable: bool, charged: bool, hint: str = "") -> Failure:
    text = message.replace("\x00", "\\0")[:_LONGEST_MESSAGE]
    return Failure(code, stage, text, fingerprint(code, stage, text), retryable, charged, hint)
