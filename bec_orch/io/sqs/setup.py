"""The two queues that a job has on SQS: their names, how they are made, found and, where they exist, compared.

deploy/ makes queues by the same names and attributes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bec_orch.core.names import check_name
from bec_orch.core.ports.queues import QueueDifference, QueueSetup
from bec_orch.errors import QueueError, QueueRefused
from bec_orch.io.sqs.errors import queue_errors

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# The most that SQS takes of each. A message is received again at each look at a task that waits or runs elsewhere, and
# at each interruption: that is no reason to dead-letter it, so SQS does that last. What a task may cost is counted in
# the database.
RETENTION_SECONDS = 14 * 24 * 3600
MOST_RECEIVES = 1000
LONGEST_POLL = 20

_ENCRYPTED = "SqsManagedSseEnabled"


@dataclass(frozen=True, slots=True)
class QueueUrls:
    """Where the queue of a job and its dead-letter queue are."""

    tasks: str
    dead: str


def queue_names(job: str) -> tuple[str, str]:
    """Return the names of a job's queue and dead-letter queue.

    Raises:
        NameUnsafeError: the job's name cannot be part of them.
    """
    return f"bec_{check_name('job', job)}_tasks", f"bec_{job}_dlq"


def find_queues(client: "SQSClient", job: str, url: str | None) -> QueueUrls:
    """Look up the queues of a job: by their names, or by the URL of the first, whose redrive policy names the second.

    Raises:
        QueueError: they are not there (E_QUEUE_MISSING), or the queue has no dead-letter queue (E_QUEUE_NO_DLQ).
    """
    if url is None:
        tasks, dead = queue_names(job)
        return QueueUrls(_require(client, tasks), _require(client, dead))
    return QueueUrls(url, _dead_letter_url(client, url))


def make_queues(client: "SQSClient", job: str, *, visibility: int) -> QueueSetup:
    """Make the queues of a job, as far as they are not there; those that are there are left as they are."""
    name, dead_name = queue_names(job)
    tags = {"application": "bec_orch", "job": job}
    made: list[str] = []
    dead = _ensure(client, dead_name, _common(), tags, made)
    tasks = _ensure(client, name, _wanted(client, dead, visibility), tags, made)
    urls = QueueUrls(tasks, dead)
    differences = compare_queues(client, urls, visibility=visibility)
    return QueueSetup(tuple(made), tuple(one for one in differences if one.queue not in made))


def compare_queues(client: "SQSClient", urls: QueueUrls, *, visibility: int) -> tuple[QueueDifference, ...]:
    """Return where the queues of a job are not as we would make them; nothing is changed."""
    wanted = _wanted(client, urls.dead, visibility)
    return (*_compare(client, urls.tasks, wanted), *_compare(client, urls.dead, _common()))


def attributes_of(client: "SQSClient", url: str) -> Mapping[str, str]:
    """Ask for all attributes of a queue, its counts of messages among them."""
    with queue_errors(f"ask for the attributes of the queue {url.rpartition('/')[2]}"):
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return {str(name): value for name, value in answer.get("Attributes", {}).items()}


def _common() -> dict[str, str]:
    return {"MessageRetentionPeriod": str(RETENTION_SECONDS), _ENCRYPTED: "true"}


def _wanted(client: "SQSClient", dead: str, visibility: int) -> dict[str, str]:
    policy = {"deadLetterTargetArn": attributes_of(client, dead)["QueueArn"], "maxReceiveCount": MOST_RECEIVES}
    return {
        **_common(),
        "VisibilityTimeout": str(visibility),
        "ReceiveMessageWaitTimeSeconds": str(LONGEST_POLL),
        "RedrivePolicy": json.dumps(policy),
    }


def _require(client: "SQSClient", name: str) -> str:
    with queue_errors(f"find the queue {name}"):
        return client.get_queue_url(QueueName=name)["QueueUrl"]


def _ensure(
    client: "SQSClient", name: str, attributes: Mapping[str, str], tags: Mapping[str, str], made: list[str]
) -> str:
    try:
        return _require(client, name)
    except QueueError as error:
        if error.code != "E_QUEUE_MISSING":
            raise
    arguments: dict[str, Any] = {"Attributes": attributes, "tags": tags}
    with queue_errors(f"make the queue {name}"):
        url = client.create_queue(QueueName=name, **arguments)["QueueUrl"]
    made.append(name)
    return url


def _dead_letter_url(client: "SQSClient", url: str) -> str:
    policy = _json(attributes_of(client, url).get("RedrivePolicy", ""))
    arn = str(policy.get("deadLetterTargetArn", "")) if isinstance(policy, dict) else ""
    if not arn:
        raise QueueRefused(
            f"The queue {url} has no dead-letter queue.",
            code="E_QUEUE_NO_DLQ",
            hint=f"Give it a redrive policy with a maxReceiveCount of {MOST_RECEIVES}.",
        )
    account, name = arn.split(":")[-2:]
    with queue_errors(f"find the queue {name}"):
        return client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]


def _compare(client: "SQSClient", url: str, wanted: Mapping[str, str]) -> list[QueueDifference]:
    found = dict(attributes_of(client, url))
    if found.get("KmsMasterKeyId"):
        # Encrypted with a key of one's own: as good.
        found[_ENCRYPTED] = "true"
    return [
        QueueDifference(url.rpartition("/")[2], name, found.get(name, ""), value)
        for name, value in wanted.items()
        if _comparable(found.get(name, "")) != _comparable(value)
    ]


def _comparable(value: str) -> Any:
    content = _json(value)
    return {key: str(entry) for key, entry in content.items()} if isinstance(content, dict) else value


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None
