"""`TaskQueue` and `QueueAdmin` on SQS: a queue and a dead-letter queue for each job."""

import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from typing_extensions import override

from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.queues import (
    DeadLetter,
    Purged,
    QueueAdmin,
    QueueBackend,
    QueueCondition,
    QueueSetup,
    QueueStats,
    ReceivedMessage,
    TaskQueue,
)
from bec_orch.io.aws.clients import AwsFault, AwsOptions, Patience, aws_client, aws_faults
from bec_orch.io.aws.cloudwatch import OLDEST_MESSAGE, newest_value
from bec_orch.io.sqs.deliveries import Deliveries, Delivery
from bec_orch.io.sqs.errors import queue_errors, receipt_errors
from bec_orch.io.sqs.rights import missing_rights
from bec_orch.io.sqs.scan import Scan, dead_letter_of, received
from bec_orch.io.sqs.send import BATCH, IN_FLIGHT, send_bodies
from bec_orch.io.sqs.setup import (
    LONGEST_POLL,
    QueueUrls,
    attributes_of,
    compare_queues,
    find_queues,
    make_queues,
    queue_names,
)

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

logger = logging.getLogger(__name__)

# A message is ours alone for this long while it is copied to the dead-letter queue.
_MOVING_SECONDS = 60
# For this long others miss the messages that are looked at, should we die before they are given back.
_PEEK_SECONDS = 30
_REDRIVE_SECONDS = 600
_LONGEST_DELAY = 900

# A long poll that is answered late, or never. Other calls are made by the thread that keeps the lease, which may not be
# held up for as long as the lease has left: 3 tries of 3 + 6 s are less than a quarter of its 120 s.
_POLLING = Patience(answer=LONGEST_POLL + 10, attempts=2, connections=32)
_TALKING = Patience(connect=3, answer=6, attempts=3, connections=IN_FLIGHT + 16)
_ASIDE = Patience(connect=3, answer=6, attempts=1)

_PURGING = "SQS takes up to 60 s, and deletes what is sent meanwhile, too"

# What SQS takes in texts: the characters of XML 1.0.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class SqsOptions:
    """Where SQS is, and the queues that have other names than ours: their URLs by job.

    `visibility` is what new queues are made with, for who receives from them without saying how long; we always say.
    `metrics` is where CloudWatch is, which alone knows the age of the oldest message, if it is not where SQS is.
    """

    aws: AwsOptions = field(default_factory=AwsOptions)
    urls: Mapping[str, str] = field(default_factory=dict)
    visibility: int = 120
    metrics: AwsOptions | None = None


@dataclass(frozen=True, slots=True)
class SqsClients:
    """One client for long polls, one whose calls never take long, and one of CloudWatch. All threads may use them."""

    polling: "SQSClient"
    talking: "SQSClient"
    metrics: "CloudWatchClient"


class SqsQueue(TaskQueue, QueueAdmin):
    """The queue of one job. May be used by several threads; receipts are good in this object only.

    Args:
        clients: of SQS.
        job: the job's name.
        visibility: what new queues are made with.
        url: the queue, if it is not the one named after the job.
    """

    def __init__(self, clients: SqsClients, job: str, *, visibility: int, url: str | None = None) -> None:
        self._polling = clients.polling
        self._talking = clients.talking
        self._metrics = clients.metrics
        self._job = job
        self._visibility = visibility
        self._url = url
        self._deliveries = Deliveries()

    @cached_property
    def urls(self) -> QueueUrls:
        """Where the two queues are; looked up when they are first used."""
        return find_queues(self._talking, self._job, self._url)

    @override
    def send(self, messages: Sequence[TaskMessage], *, delay: float = 0.0) -> None:
        if messages:
            bodies = [json.dumps(message.to_json(), ensure_ascii=False) for message in messages]
            send_bodies(self._talking, self.urls.tasks, bodies, delay=min(math.ceil(delay), _LONGEST_DELAY))

    @override
    def receive(self, *, limit: int, wait: float, visibility: float) -> list[ReceivedMessage]:
        until = time.monotonic() + wait
        taken = self._take(limit, wait, visibility)
        while not taken and (left := until - time.monotonic()) > 0:
            taken = self._take(limit, left, visibility)
        return taken

    @override
    def change_visibility(self, receipt: str, seconds: float) -> None:
        self._hide(self._deliveries.held(receipt), seconds)

    @override
    def delete(self, receipt: str) -> None:
        self._delete(self._deliveries.held(receipt))

    @override
    def dead_letter(self, receipt: str, reason: Mapping[str, str]) -> None:
        delivery = self._deliveries.held(receipt)
        # Only this call shows whether the message is still ours: a delete says yes to everything.
        self._hide(delivery, _MOVING_SECONDS)
        with queue_errors(f"dead-letter a message of {self._job}"):
            self._talking.send_message(
                QueueUrl=self.urls.dead, MessageBody=delivery.body, MessageAttributes=_attributes(reason)
            )
        self._delete(delivery)

    @override
    def stats(self) -> QueueStats:
        visible, in_flight, delayed = self._counts(self.urls.tasks)
        return QueueStats(visible, in_flight, delayed, sum(self._counts(self.urls.dead)), self._oldest_seconds())

    @override
    def peek(self, *, limit: int, dead: bool = False) -> list[ReceivedMessage] | list[DeadLetter]:
        """Look at some messages. They are hidden from workers for a moment; those that workers hold are not seen."""
        if dead:
            return self._dead_letters(limit, lambda _: True)
        found: list[ReceivedMessage] = []
        with closing(Scan(self._talking, self.urls.tasks, hidden=_PEEK_SECONDS)) as scan:
            for batch in scan.batches():
                found.extend(received(message) for message in batch)
                if len(found) >= limit:
                    break
        return found[:limit]

    @override
    def bodies(self) -> None:
        """Return None: SQS shows no message without hiding it from workers."""

    @override
    def undeclared_dead_letters(self, *, limit: int) -> list[DeadLetter]:
        return self._dead_letters(limit, lambda letter: not letter.reason)

    @override
    def redrive(self, accept: Callable[[DeadLetter], bool]) -> int:
        moved = 0
        with closing(Scan(self._talking, self.urls.dead, hidden=_REDRIVE_SECONDS)) as scan:
            for batch in scan.batches():
                accepted = [message for message in batch if accept(dead_letter_of(message))]
                if accepted:
                    send_bodies(self._talking, self.urls.tasks, [message.get("Body", "") for message in accepted])
                    scan.delete(accepted)
                moved += len(accepted)
        return moved

    @override
    def redrive_all(self) -> int:
        """Have SQS itself move the dead letters back, some hundred a second; return its earlier count of them."""
        count = sum(self._counts(self.urls.dead))
        if count:
            source, target = (
                attributes_of(self._talking, url)["QueueArn"] for url in (self.urls.dead, self.urls.tasks)
            )
            with queue_errors(f"move the dead letters of {self._job} back"):
                self._talking.start_message_move_task(SourceArn=source, DestinationArn=target)
        return count

    @override
    def purge(self, *, dead: bool = False) -> Purged:
        """Delete every message, those that workers hold among them; the count is what SQS reported before."""
        url = self.urls.dead if dead else self.urls.tasks
        count = sum(self._counts(url))
        with queue_errors(f"purge the queue {url.rpartition('/')[2]}"):
            self._talking.purge_queue(QueueUrl=url)
        return Purged(count, _PURGING)

    @override
    def create(self) -> QueueSetup:
        """Make the queues of the job; those that are there are adopted, and returned with how they differ from ours."""
        if self._url is not None:
            find_queues(self._talking, self._job, self._url)
            return QueueSetup()
        return make_queues(self._talking, self._job, visibility=self._visibility)

    @override
    def check(self) -> QueueCondition:
        """Look for the queues, the IAM actions on them that a worker needs and we may not take, and differences."""
        urls = find_queues(self._talking, self._job, self._url)
        missing = missing_rights(self._talking, urls.tasks)
        if missing:
            return QueueCondition(missing)
        return QueueCondition(differences=compare_queues(self._talking, urls, visibility=self._visibility))

    @override
    def metric_name(self) -> str:
        return queue_names(self._job)[0]

    @override
    def left_over(self) -> str:
        tasks, dead = queue_names(self._job)
        return f"Its queues {tasks} and {dead} are still there: `aws sqs delete-queue` removes each."

    def _take(self, limit: int, wait: float, visibility: float) -> list[ReceivedMessage]:
        seconds = max(0, math.ceil(visibility))
        with queue_errors(f"receive from the queue of {self._job}"):
            answer = self._polling.receive_message(
                QueueUrl=self.urls.tasks,
                MaxNumberOfMessages=min(limit, BATCH),
                WaitTimeSeconds=min(math.ceil(max(wait, 0)), LONGEST_POLL),
                VisibilityTimeout=seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        return [
            received(
                message,
                self._deliveries.add(
                    message["MessageId"], message["ReceiptHandle"], message.get("Body", ""), seconds
                ).receipt,
            )
            for message in answer.get("Messages", [])
        ]

    def _hide(self, delivery: Delivery, seconds: float) -> None:
        whole = self._deliveries.hideable(delivery, seconds)
        with receipt_errors(f"hide a message of {self._job}"):
            self._talking.change_message_visibility(
                QueueUrl=self.urls.tasks, ReceiptHandle=delivery.handle, VisibilityTimeout=whole
            )
        self._deliveries.hidden(delivery, whole)

    def _delete(self, delivery: Delivery) -> None:
        with receipt_errors(f"delete a message of {self._job}"):
            self._talking.delete_message(QueueUrl=self.urls.tasks, ReceiptHandle=delivery.handle)
        self._deliveries.remove(delivery)

    def _counts(self, url: str) -> tuple[int, int, int]:
        found = attributes_of(self._talking, url)
        return (
            int(found["ApproximateNumberOfMessages"]),
            int(found["ApproximateNumberOfMessagesNotVisible"]),
            int(found["ApproximateNumberOfMessagesDelayed"]),
        )

    def _oldest_seconds(self) -> float | None:
        named = {"QueueName": self.urls.tasks.rpartition("/")[2]}
        try:
            with aws_faults("cloudwatch"):
                return newest_value(self._metrics, "AWS/SQS", OLDEST_MESSAGE, named)
        except AwsFault as fault:
            # The counts are worth reporting without it.
            logger.info("queue.age_unknown", extra={"code": fault.code, "why": fault.message})
            return None

    def _dead_letters(self, limit: int, wanted: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        with closing(Scan(self._talking, self.urls.dead, hidden=_PEEK_SECONDS)) as scan:
            for batch in scan.batches():
                found.extend(letter for letter in map(dead_letter_of, batch) if wanted(letter))
                if len(found) >= limit:
                    break
        return found[:limit]


class SqsQueues(QueueBackend):
    """Opens the queue of a job by the job's name, each once. May be used by all threads.

    Raises:
        ConfigError: no region is known, or the SDK is not installed.
    """

    def __init__(self, options: SqsOptions) -> None:
        self._options = options
        self._clients = SqsClients(
            aws_client("sqs", options.aws, _POLLING),
            aws_client("sqs", options.aws, _TALKING),
            aws_client("cloudwatch", options.metrics or options.aws, _ASIDE),
        )
        self._open: dict[str, SqsQueue] = {}
        self._lock = threading.Lock()

    @override
    def __call__(self, job: str) -> SqsQueue:
        with self._lock:
            if job not in self._open:
                url = self._options.urls.get(job)
                self._open[job] = SqsQueue(self._clients, job, visibility=self._options.visibility, url=url)
            return self._open[job]

    @override
    def admin(self, job: str) -> SqsQueue:
        return self(job)

    @override
    def check(self) -> str:
        with queue_errors("list the queues"):
            self._clients.talking.list_queues(QueueNamePrefix="bec_", MaxResults=1)
        return "SQS"

    @override
    def close(self) -> None:
        """Close the connections. May be called twice."""
        for client in (self._clients.polling, self._clients.talking, self._clients.metrics):
            client.close()


def _attributes(reason: Mapping[str, str]) -> "dict[str, MessageAttributeValueTypeDef]":
    # SQS takes neither empty texts nor characters that XML cannot hold.
    told = {name: _NOT_XML.sub(_escaped, text) for name, text in reason.items() if text}
    return {name: {"DataType": "String", "StringValue": text} for name, text in told.items()}


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "backslashreplace").decode()
