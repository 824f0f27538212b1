"""From an exception to the failure that SQL and the command line show."""

from dataclasses import replace

from bec_orch.core.names import escaped
from bec_orch.core.shortages import shortage_of
from bec_orch.core.tasks import Failure
from bec_orch.core.volumes import PageCounts
from bec_orch.core.wording import named
from bec_orch.errors import BecError, PagesFailed, fingerprint

_LONGEST_MESSAGE = 2000


def failure_of(error: BaseException, stage: str) -> Failure:
    """Return what an exception means for the task whose attempt it ended in the stage.

    Errors of ours say it themselves. What ran out is a fault of the machine, not of the task. What nobody
    foresaw is tried again, and charged.
    """
    known = error if isinstance(error, BecError) else shortage_of(error)
    if known:
        failure = _failure(
            known.code, stage, known.message, retryable=known.retryable, charged=known.charged, hint=known.hint
        )
        if isinstance(known, PagesFailed):
            return replace(failure, pages=PageCounts(**known.pages), counters=known.counters)
        return failure
    return _failure("E_UNEXPECTED", stage, f"{named(error)}.", retryable=True, charged=True)


def _failure(code: str, stage: str, message: str, *, retryable: bool, charged: bool, hint: str = "") -> Failure:
    text = escaped(message)[:_LONGEST_MESSAGE]
    return Failure(code, stage, text, fingerprint(code, stage, text), retryable, charged, hint)
