"""The ports of a queue: what the heart calls, what operators call, and the back-end that opens both by a job's name.

A back-end is one package that implements them, and one line in the composition root.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bec_orch.core.messages import TaskMessage


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One delivery of a queue message. `receipt` is good until the message becomes visible again.

    `body` is what was sent, unread: it may be anything that somebody sent by hand.
    """

    message_id: str
    receipt: str
    body: str
    receive_count: int
    sent_at: dt.datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was dead-lettered, with the reason for it."""

    message_id: str
    body: str
    reason: Mapping[str, str]
    dead_at: dt.datetime


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Counts of one queue; `oldest_seconds` is that of the oldest message, None if there is none, or unknown."""

    visible: int
    in_flight: int
    delayed: int
    dead: int
    oldest_seconds: float | None


class TaskQueue(Protocol):
    """The queue of one job, with the semantics of SQS: at least once, in no order, with a visibility time-out.

    Every method raises `QueueError` (retryable) when the queue is away.
    """

    def send(self, messages: Sequence[TaskMessage], *, delay: float = 0.0) -> None:
        """Send all messages, in as few calls as the queue allows; visible after `delay` seconds."""
        ...

    def receive(self, *, limit: int, wait: float, visibility: float) -> list[ReceivedMessage]:
        """Take up to `limit` messages, and hide each for `visibility` seconds.

        Waits up to `wait` seconds for the first one (long poll); returns at once when one is there.
        """
        ...

    def change_visibility(self, receipt: str, seconds: float) -> None:
        """Hide the message for `seconds` from now; 0 gives it back at once.

        Raises:
            ReceiptExpired: the message was received again since, or is gone.
        """
        ...

    def delete(self, receipt: str) -> None:
        """Delete the message.

        Raises:
            ReceiptExpired: the message was received again since, or is gone; nothing was deleted.
        """
        ...

    def dead_letter(self, receipt: str, reason: Mapping[str, str]) -> None:
        """Move the message to the dead-letter queue, with the reason as its attributes.

        Raises:
            ReceiptExpired: as for `delete`.
        """
        ...

    def undeclared_dead_letters(self, *, limit: int) -> list[DeadLetter]:
        """Return messages that the queue dead-lettered by itself, without a reason of ours."""
        ...


class QueueFactory(Protocol):
    """Opens the queue of a job by the job's name."""

    def __call__(self, job: str) -> TaskQueue:
        """Open the queue."""
        ...


@dataclass(frozen=True, slots=True)
class QueueDifference:
    """An attribute of a queue that exists, which is not as we would have made it; the queue was left as it is."""

    queue: str
    attribute: str
    found: str
    wanted: str


@dataclass(frozen=True, slots=True)
class QueueSetup:
    """What creating the queues of a job did: those made now, and how those that were there differ from ours."""

    made: tuple[str, ...] = ()
    differences: tuple[QueueDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueCondition:
    """How the queues of a job were found: the rights on them that we lack, and how they differ from ours."""

    missing_rights: tuple[str, ...] = ()
    differences: tuple[QueueDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class Purged:
    """How many messages a purge deletes. `under_way` says how long that goes on; empty where it is done."""

    count: int
    under_way: str = ""


class QueueAdmin(Protocol):
    """What operators do with the queue of one job, beside the workers.

    Every method raises `QueueError` (retryable) when the queue is away.
    """

    def create(self) -> QueueSetup:
        """Make what is missing of the job's queues; what is there is left as it is."""
        ...

    def check(self) -> QueueCondition:
        """Look whether the queues are there, as we would make them, and may be used; nothing is changed."""
        ...

    def left_over(self) -> str:
        """Return a sentence on what stays when the job is deleted, and how to remove it; empty if nothing does."""
        ...

    def metric_name(self) -> str | None:
        """Return the name by which CloudWatch counts the queue, so that machines can follow it; None if it does not.

        Raises:
            NameUnsafeError: the job's name cannot be part of it.
        """
        ...

    def stats(self) -> QueueStats:
        """Count the messages."""
        ...

    def peek(self, *, limit: int, dead: bool = False) -> list[ReceivedMessage] | list[DeadLetter]:
        """Return some messages without taking them."""
        ...

    def bodies(self) -> Iterator[str] | None:
        """Return what every message says, dead letters aside; None where that cannot be known without taking them."""
        ...

    def redrive(self, accept: Callable[[DeadLetter], bool]) -> int:
        """Move each dead letter that `accept` says yes to back to the queue, and return their number."""
        ...

    def redrive_all(self) -> int:
        """Move every dead letter back to the queue, maybe only after this returned, and return their number."""
        ...

    def purge(self, *, dead: bool = False) -> Purged:
        """Delete every message of the queue, or of the dead-letter queue."""
        ...


class QueueBackend(QueueFactory, Protocol):
    """All queues of one kind, each opened when it is first asked for. May be used by all threads."""

    def admin(self, job: str) -> QueueAdmin:
        """Open the administration of a job's queue."""
        ...

    def check(self) -> str:
        """Ask the back-end for something, and return what it is called.

        Raises:
            QueueError: it does not answer.
        """
        ...

    def close(self) -> None:
        """Close what was opened. May be called twice."""
        ...
