"""What the faults of SQS mean in our words: by error code, never by the message."""

from collections.abc import Iterator
from contextlib import contextmanager

from bec_orch.core.wording import clause
from bec_orch.errors import BecError, QueueError, QueueRefused, ReceiptExpired
from bec_orch.io.aws.clients import AwsFault, AwsFaultKind, aws_faults

_STALE = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight"})
# SQS answers a handle of a message that is gone, or was received again since, with this code.
_STALE_WHERE_A_RECEIPT_IS_GIVEN = _STALE | {"InvalidParameterValue"}

_KINDS = {
    AwsFaultKind.AWAY: ("E_QUEUE_AWAY", "Check that SQS can be reached, and BEC_REGION; work goes on when it is back."),
    AwsFaultKind.BUSY: ("E_QUEUE_BUSY", "SQS throttles or has a fault of its own; it is tried again."),
    AwsFaultKind.CREDENTIALS: (
        "E_QUEUE_CREDENTIALS",
        "Give this machine an instance role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    ),
    AwsFaultKind.DENIED: ("E_QUEUE_DENIED", ""),
    AwsFaultKind.REFUSED: ("E_QUEUE_REFUSED", ""),
}
_CODES = {
    "NonExistentQueue": ("E_QUEUE_MISSING", "`bec jobs create` makes the queues of a job; else check BEC_REGION."),
    "QueueDoesNotExist": ("E_QUEUE_MISSING", "`bec jobs create` makes the queues of a job; else check BEC_REGION."),
    "OverLimit": (
        "E_QUEUE_OVER_LIMIT",
        "120,000 messages are received and not yet deleted; it goes on when workers finish, or leases run out.",
    ),
    "PurgeQueueInProgress": ("E_QUEUE_PURGING", "SQS purges a queue once in 60 seconds; wait, and try again."),
    "QueueDeletedRecently": ("E_QUEUE_DELETED_RECENTLY", "Wait 60 seconds, and try again."),
}
_LASTING = frozenset({"E_QUEUE_CREDENTIALS", "E_QUEUE_DENIED", "E_QUEUE_MISSING"})


@contextmanager
def queue_errors(doing: str) -> Iterator[None]:
    """Raise what the SDK raises in the block as `QueueError`, its cause kept.

    Args:
        doing: what was tried, to follow "Failed to".
    """
    try:
        with aws_faults("sqs"):
            yield
    except AwsFault as fault:
        raise _translated(fault, doing) from fault.__cause__


@contextmanager
def receipt_errors(doing: str) -> Iterator[None]:
    """Do what `queue_errors` does where a receipt is given: one that is worth nothing is `ReceiptExpired`."""
    try:
        with aws_faults("sqs"):
            yield
    except AwsFault as fault:
        if fault.code in _STALE_WHERE_A_RECEIPT_IS_GIVEN:
            raise expired() from fault.__cause__
        raise _translated(fault, doing) from fault.__cause__


def expired() -> ReceiptExpired:
    """Return the error of a receipt that is worth nothing."""
    return ReceiptExpired("The message was received again by somebody else, or is gone.")


def _translated(fault: AwsFault, doing: str) -> BecError:
    code, hint = _CODES.get(fault.code) or _KINDS[fault.kind]
    if fault.kind is AwsFaultKind.DENIED:
        return QueueRefused(
            f"Failed to {doing}: the permission {fault.action} is missing.",
            code=code,
            hint=f"Allow {fault.action} on the queues bec_* to this machine's role or user.",
        )
    error = QueueRefused if code in _LASTING else QueueError
    return error(f"Failed to {doing}: {clause(fault.message)}.", code=code, hint=hint)
