"""Reads a whole queue of SQS. SQS has no way to look without taking: what is not used is given back at once."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bec_orch.core.ports.queues import DeadLetter, ReceivedMessage
from bec_orch.io.sqs.errors import queue_errors
from bec_orch.io.sqs.send import BATCH

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    Message = MessageTypeDef

# A long poll, however short, asks all servers of the queue; without it a queue that is not empty may look so.
_WAIT = 1
# SQS sets it on what it moved to a dead-letter queue itself.
_MOVED_BY_SQS = "DeadLetterQueueSourceArn"


class Scan:
    """One reading of a queue. Close it: messages that were not deleted are visible again then.

    Args:
        client: of SQS.
        url: the queue.
        hidden: seconds for which messages are hidden from others, should we die before they are given back.
    """

    def __init__(self, client: "SQSClient", url: str, *, hidden: int) -> None:
        self._client = client
        self._url = url
        self._hidden = hidden
        self._seen: set[str] = set()
        self._taken: dict[str, Message] = {}

    def batches(self) -> "Iterator[list[Message]]":
        """Yield the messages that are visible, up to ten at a time, each once."""
        while True:
            fresh = [message for message in self._receive() if message["MessageId"] not in self._seen]
            if not fresh:
                return
            self._seen.update(message["MessageId"] for message in fresh)
            self._taken.update((message["MessageId"], message) for message in fresh)
            yield fresh

    def delete(self, messages: "Sequence[Message]") -> None:
        """Delete up to ten of the messages of a batch."""
        if not messages:
            return
        with queue_errors("delete messages"):
            self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(n), "ReceiptHandle": found["ReceiptHandle"]} for n, found in enumerate(messages)],
            )
        for message in messages:
            del self._taken[message["MessageId"]]

    def close(self) -> None:
        """Release the messages that were not deleted; those of failed entries come back by themselves."""
        left = list(self._taken.values())
        for start in range(0, len(left), BATCH):
            with queue_errors("give messages back"):
                self._client.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                        for n, message in enumerate(left[start : start + BATCH])
                    ],
                )

    def _receive(self) -> "Sequence[Message]":
        with queue_errors("read messages"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=_WAIT,
                VisibilityTimeout=self._hidden,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        return answer.get("Messages", [])


def received(message: "Message", receipt: str = "") -> ReceivedMessage:
    """Put a message into our words."""
    attributes = _attributes(message)
    return ReceivedMessage(
        message["MessageId"],
        receipt,
        message.get("Body", ""),
        int(attributes.get("ApproximateReceiveCount", 1)),
        _time(attributes),
    )


def dead_letter_of(message: "Message") -> DeadLetter:
    """Put a message of the dead-letter queue into our words; what SQS moved there itself has no reason."""
    reason: dict[str, str] = {}
    if _MOVED_BY_SQS not in _attributes(message):
        told = message.get("MessageAttributes", {})
        reason = {name: value.get("StringValue", "") for name, value in told.items()}
    return DeadLetter(message["MessageId"], message.get("Body", ""), reason, _time(_attributes(message)))


def _attributes(message: "Message") -> Mapping[str, str]:
    return {str(name): value for name, value in message.get("Attributes", {}).items()}


def _time(attributes: Mapping[str, str]) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(attributes.get("SentTimestamp", 0)) / 1000, dt.UTC)
