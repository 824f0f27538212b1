"""Enqueueing into SQS: in how many calls, and that being cut short half-way neither loses nor doubles a volume."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import QueueError
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.sqs.queues import SqsOptions, SqsQueues
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.volume_lists import parse_volume_list
from tests.integration.conftest import SOURCE, Sql
from tests.support.servers.aws import REGION, Aws
from tests.support.servers.fake_sqs import FakeSqs, Refused, served

VOLUMES = tuple(VolumeRef("W1", f"I{n:04d}", SOURCE) for n in range(200))


@pytest.fixture
def sqs(aws_credentials: None) -> Iterator[FakeSqs]:
    with served(FakeSqs()) as sqs:
        yield sqs


@pytest.fixture
def queues(sqs: FakeSqs) -> Iterator[SqsQueues]:
    queues = SqsQueues(SqsOptions(AwsOptions(REGION, sqs.url)))
    queues.admin("lines").create()
    yield queues
    queues.close()


def sent(sqs: FakeSqs) -> Counter[str]:
    return Counter(json.loads(body)["i_id"] for body in sqs.bodies("bec_lines_tasks"))


def test_sends_in_tens_and_marks_what_was_sent(
    database: Database, sqs: FakeSqs, queues: SqsQueues, job: Job, sql: Sql
) -> None:
    report = Enqueuer(PgBacklog(database), queues).enqueue("lines", VOLUMES)
    assert (report.queued, report.sent) == (200, 200)
    assert sqs.calls["SendMessageBatch"] == 20
    assert sent(sqs) == Counter(volume.i_id for volume in VOLUMES)
    assert sql("SELECT count(*) AS n FROM tasks WHERE dispatched_at IS NULL") == [{"n": 0}]


def test_cut_short_it_goes_on_where_it_was_and_sends_no_volume_twice(
    database: Database, sqs: FakeSqs, queues: SqsQueues, job: Job, sql: Sql
) -> None:
    answered, real = threading.Event(), sqs.answer

    def deny_after_five(action: str, given: Any) -> Any:
        if action == "SendMessageBatch" and sqs.calls[action] >= 5 and not answered.is_set():
            raise Refused("AccessDenied", status=403)
        return real(action, given)

    sqs.answer = deny_after_five  # type: ignore[method-assign]
    with pytest.raises(QueueError) as caught:
        Enqueuer(PgBacklog(database), queues).enqueue("lines", VOLUMES)
    assert caught.value.code == "E_QUEUE_DENIED"
    before = len(sent(sqs))
    assert 0 < before < 200
    assert sql("SELECT count(*) AS n FROM tasks WHERE dispatched_at IS NOT NULL") == [{"n": before}]
    answered.set()
    report = Enqueuer(PgBacklog(database), queues).enqueue("lines", VOLUMES)
    assert (report.already_unfinished, report.sent) == (200, 200 - before)
    assert sent(sqs) == Counter(volume.i_id for volume in VOLUMES)


def test_into_moto(aws: Aws, database: Database, add_job: Any) -> None:
    name = aws.fresh_name("lines")
    job = add_job(name)
    queues = SqsQueues(SqsOptions(AwsOptions(aws.region, aws.endpoint_url)))
    queues.admin(name).create()
    enqueuer = Enqueuer(PgBacklog(database), queues)
    assert enqueuer.enqueue(job.name, VOLUMES[:100]).sent == 100
    assert enqueuer.enqueue(job.name, VOLUMES[:100]).sent == 0
    assert queues(name).stats().visible == 100
    queues.close()


class StubTransport:
    """Stands in for the network below the SDK: takes every batch, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.volumes: Counter[tuple[str, str]] = Counter()
        self.most_at_a_time = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, request: Any, **_: Any) -> Any:
        with self._lock:
            self.calls += 1
            self._now += 1
            self.most_at_a_time = max(self.most_at_a_time, self._now)
        time.sleep(0.002)
        entries = json.loads(request.body)["Entries"]
        with self._lock:
            self._now -= 1
            bodies = [json.loads(entry["MessageBody"]) for entry in entries]
            self.volumes.update((body["w_id"], body["i_id"]) for body in bodies)
        answer = {"Successful": [{"Id": e["Id"], "MessageId": "m", "MD5OfMessageBody": ""} for e in entries]}
        headers: Any = {"Content-Type": "application/x-amz-json-1.0"}
        response: Any = AWSResponse(request.url, 200, headers, None)
        response._content = json.dumps(answer).encode()
        return response


def test_the_whole_library(database: Database, queues: SqsQueues, job: Job, shared_data: Path) -> None:
    volumes = parse_volume_list((shared_data / "volumes.csv").read_text("utf-8").splitlines(), SOURCE).volumes
    transport = StubTransport()
    events: Any = queues._clients.talking.meta.events
    events.register("before-send.sqs.SendMessageBatch", transport)
    begun = time.monotonic()
    report = Enqueuer(PgBacklog(database), queues).enqueue("lines", volumes)
    seconds = time.monotonic() - begun
    assert (report.queued, report.sent) == (38_836, 38_836)
    assert transport.calls == 3884
    assert transport.volumes == Counter((volume.w_id, volume.i_id) for volume in volumes)
    assert transport.most_at_a_time > 8
    assert seconds < 60, "the SDK takes 0.2 ms of CPU for each message"
