"""Which rights on a queue are missing: each action is asked for with an argument that SQS refuses, so nothing is done.

A missing right is reported before SQS looks at the argument.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from bec_orch.io.aws.clients import AwsFaultKind, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient

_NO_RECEIPT = "none"
_TOO_LONG_A_DELAY = 901


def missing_rights(client: "SQSClient", url: str) -> tuple[str, ...]:
    """Return the IAM actions that a worker needs on a queue and that we may not take."""
    asked: tuple[Callable[[], Any], ...] = (
        partial(client.receive_message, QueueUrl=url, MaxNumberOfMessages=0),
        partial(client.change_message_visibility, QueueUrl=url, ReceiptHandle=_NO_RECEIPT, VisibilityTimeout=0),
        partial(client.delete_message, QueueUrl=url, ReceiptHandle=_NO_RECEIPT),
        partial(client.send_message, QueueUrl=url, MessageBody="-", DelaySeconds=_TOO_LONG_A_DELAY),
    )
    faults = (fault_of("sqs", call) for call in asked)
    return tuple(fault.action for fault in faults if fault and fault.kind is AwsFaultKind.DENIED)
