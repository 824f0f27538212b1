"""SQS as strict as the real one where moto is not, over real HTTP (its JSON protocol), with faults on demand.

A handle that is not the newest is refused where a message is to be hidden, and passed over in silence where it is to be
deleted. What was received too often goes to the dead-letter queue, what is older than the queue keeps messages is gone.
All messages can be moved back.
"""

import hashlib
import json
import threading
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
ARN = "arn:aws:sqs:us-east-1:123456789012:"
# Seconds that a queue keeps messages when it is not told: four days.
RETENTION = "345600"


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, message: str = "no", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass
class Message:
    body: str
    attributes: Json = field(default_factory=dict)
    visible_at: float = 0.0
    entered_at: float = 0.0
    sent: float = field(default_factory=time.time)
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    handle: str = ""
    received_at: float = 0.0
    receives: int = 0
    source: str | None = None


@dataclass
class Queue:
    name: str
    attributes: Json
    messages: list[Message] = field(default_factory=list)
    purged_at: float = -60.0

    @property
    def arn(self) -> str:
        return f"{ARN}{self.name}"


class FakeSqs:
    """The service. `faults[action]` are answers that are given before any real one; `clock` may be a test's own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.calls: Counter[str] = Counter()
        # The rights that each call takes: IAM's action, and the queue.
        self.rights: set[tuple[str, str]] = set()
        self.faults: defaultdict[str, deque[Refused]] = defaultdict(deque)
        # Positions in a batch that fail, with whether the sender is to blame: one set of them for each call to come.
        self.failing_entries: deque[dict[int, bool]] = deque()
        self.sent_twice = False
        # Whether the answers to receives are lost on their way.
        self.swallowing = False
        self.queues: dict[str, Queue] = {}
        self.url = "http://fake"
        self._changed = threading.Condition()

    def answer(self, action: str, given: Json) -> Json:
        with self._changed:
            self.calls[action] += 1
            named = given.get("QueueName") or given.get("QueueUrl", "").rpartition("/")[2]
            self.rights.add((f"sqs:{action.removesuffix('Batch')}", named))
            if self.faults[action]:
                raise self.faults[action].popleft()
            answered: Json = getattr(self, f"_{action}")(given) or {}
            self._changed.notify_all()
            return answered

    def bodies(self, name: str) -> list[str]:
        with self._changed:
            return [message.body for message in self.queues[name].messages]

    def _queue(self, given: Json) -> Queue:
        name = given["QueueUrl"].rpartition("/")[2]
        if name not in self.queues:
            raise Refused("QueueDoesNotExist", "The specified queue does not exist.")
        queue = self.queues[name]
        oldest = self.clock() - int(queue.attributes.get("MessageRetentionPeriod", RETENTION))
        queue.messages = [message for message in queue.messages if message.entered_at >= oldest]
        return queue

    def _url_of(self, name: str) -> Json:
        return {"QueueUrl": f"{self.url}/123456789012/{name}"}

    def _GetQueueUrl(self, given: Json) -> Json:
        self._queue({"QueueUrl": given["QueueName"]})
        return self._url_of(given["QueueName"])

    def _CreateQueue(self, given: Json) -> Json:
        self.queues[given["QueueName"]] = Queue(given["QueueName"], given.get("Attributes", {}))
        return self._url_of(given["QueueName"])

    def _ListQueues(self, _: Json) -> Json:
        return {"QueueUrls": [self._url_of(name)["QueueUrl"] for name in self.queues]}

    def _GetQueueAttributes(self, given: Json) -> Json:
        queue, now = self._queue(given), self.clock()
        hidden = [message for message in queue.messages if message.visible_at > now]
        taken = sum(1 for message in hidden if message.handle)
        counts = {
            "ApproximateNumberOfMessages": len(queue.messages) - len(hidden),
            "ApproximateNumberOfMessagesNotVisible": taken,
            "ApproximateNumberOfMessagesDelayed": len(hidden) - taken,
        }
        told = {name: str(value) for name, value in counts.items()}
        return {"Attributes": {**queue.attributes, "QueueArn": queue.arn, **told}}

    def _SendMessage(self, given: Json) -> Json:
        if given.get("DelaySeconds", 0) > 900:
            raise Refused("InvalidParameterValue", "DelaySeconds must be >= 0 and <= 900.")
        return self._sent(self._queue(given), given)

    def _sent(self, queue: Queue, entry: Json) -> Json:
        visible_at = self.clock() + entry.get("DelaySeconds", 0)
        for _ in range(1 + self.sent_twice):
            message = Message(entry["MessageBody"], entry.get("MessageAttributes", {}), visible_at, self.clock())
            queue.messages.append(message)
        return {"MessageId": message.message_id, "MD5OfMessageBody": _md5(message.body)}

    def _SendMessageBatch(self, given: Json) -> Json:
        queue, failing = self._queue(given), self.failing_entries.popleft() if self.failing_entries else {}
        entries = list(enumerate(given["Entries"]))
        return {
            "Successful": [{"Id": e["Id"], **self._sent(queue, e)} for n, e in entries if n not in failing],
            "Failed": [
                {"Id": e["Id"], "SenderFault": failing[n], "Code": "InternalError", "Message": "entry failed"}
                for n, e in entries
                if n in failing
            ],
        }

    def _ReceiveMessage(self, given: Json) -> Json:
        if not 1 <= given["MaxNumberOfMessages"] <= 10:
            raise Refused("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10.")
        queue = self._queue(given)
        until = time.monotonic() + given["WaitTimeSeconds"]
        taken = self._taken(queue, given)
        while not taken and (left := until - time.monotonic()) > 0:
            self._changed.wait(min(left, 0.02))
            taken = self._taken(self._queue(given), given)
        return {"Messages": [_shown(message) for message in taken]} if taken and not self.swallowing else {}

    def _taken(self, queue: Queue, given: Json) -> list[Message]:
        now = self.clock()
        free = [message for message in queue.messages if message.visible_at <= now]
        healthy = [message for message in free if not self._gave_up(queue, message)]
        taken = healthy[: given["MaxNumberOfMessages"]]
        for message in taken:
            message.handle, message.received_at = uuid.uuid4().hex, now
            message.receives += 1
            message.visible_at = now + given["VisibilityTimeout"]
        return taken

    def _gave_up(self, queue: Queue, message: Message) -> bool:
        policy = json.loads(queue.attributes.get("RedrivePolicy", "null"))
        if not policy or message.receives < int(policy["maxReceiveCount"]):
            return False
        queue.messages.remove(message)
        message.source = queue.arn
        message.receives = 0
        self.queues[policy["deadLetterTargetArn"].rpartition(":")[2]].messages.append(message)
        return True

    def _ChangeMessageVisibility(self, given: Json) -> None:
        now = self.clock()
        found = [m for m in self._queue(given).messages if m.handle == given["ReceiptHandle"]]
        if not found:
            raise Refused("InvalidParameterValue", "Message does not exist or is not available.")
        if found[0].visible_at <= now:
            raise Refused("MessageNotInflight", "The message is not in flight.")
        if now + given["VisibilityTimeout"] > found[0].received_at + 43_200:
            raise Refused("InvalidParameterValue", "Total VisibilityTimeout is beyond the limit [43200 seconds].")
        found[0].visible_at = now + given["VisibilityTimeout"]

    def _ChangeMessageVisibilityBatch(self, given: Json) -> Json:
        for entry in given["Entries"]:
            self._ChangeMessageVisibility({**entry, "QueueUrl": given["QueueUrl"]})
        return {"Successful": [{"Id": entry["Id"]} for entry in given["Entries"]], "Failed": []}

    def _DeleteMessage(self, given: Json) -> None:
        queue = self._queue(given)
        if len(given["ReceiptHandle"]) != len(uuid.uuid4().hex):
            raise Refused("ReceiptHandleIsInvalid", "The receipt handle is not valid.")
        queue.messages = [m for m in queue.messages if m.handle != given["ReceiptHandle"]]

    def _DeleteMessageBatch(self, given: Json) -> Json:
        for entry in given["Entries"]:
            self._DeleteMessage({**entry, "QueueUrl": given["QueueUrl"]})
        return {"Successful": [{"Id": entry["Id"]} for entry in given["Entries"]], "Failed": []}

    def _PurgeQueue(self, given: Json) -> None:
        queue, now = self._queue(given), time.monotonic()
        if now - queue.purged_at < 60:
            raise Refused("PurgeQueueInProgress", "Only one PurgeQueue operation is allowed every 60 seconds.")
        queue.purged_at, queue.messages = now, []

    def _StartMessageMoveTask(self, given: Json) -> Json:
        source, target = (self.queues[given[key].rpartition(":")[2]] for key in ("SourceArn", "DestinationArn"))
        for message in source.messages:
            message.visible_at, message.handle, message.receives = self.clock(), "", 0
        target.messages.extend(source.messages)
        source.messages = []
        return {"TaskHandle": "x"}


def _shown(message: Message) -> Json:
    attributes = {"SentTimestamp": str(int(message.sent * 1000)), "ApproximateReceiveCount": str(message.receives)}
    if message.source:
        attributes["DeadLetterQueueSourceArn"] = message.source
    return {
        "MessageId": message.message_id,
        "ReceiptHandle": message.handle,
        "Body": message.body,
        "MD5OfBody": _md5(message.body),
        "Attributes": attributes,
        "MessageAttributes": message.attributes,
    }


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sqs: FakeSqs) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sqs = sqs


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        action = self.headers["X-Amz-Target"].rpartition(".")[2]
        try:
            self._answer(200, self.server.sqs.answer(action, given))
        except Refused as refused:
            self._answer(refused.status, {"__type": f"com.amazonaws.sqs#{refused.code}", "message": str(refused)})

    def _answer(self, status: int, content: Json) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(sqs: FakeSqs) -> Iterator[FakeSqs]:
    """Serve it for a block, under `sqs.url`."""
    server = _Server(sqs)
    sqs.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield sqs
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
