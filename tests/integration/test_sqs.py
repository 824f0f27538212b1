"""What is SQS's own: how queues are made and found, faults in words, limits, and messages in doubt."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.queues import QueueDifference, QueueSetup
from bec_orch.errors import ConfigError, NameUnsafeError, PartlySent, QueueError, ReceiptExpired, extra_hint
from bec_orch.io.aws.clients import AwsOptions, Patience, aws_client
from bec_orch.io.sqs.deliveries import Deliveries
from bec_orch.io.sqs.queues import SqsOptions, SqsQueue, SqsQueues
from bec_orch.io.sqs.setup import QueueUrls
from tests.support.servers.aws import REGION, Aws
from tests.support.servers.fake_sqs import FakeSqs, Refused, served

DAY = 24 * 3600
HOUR = 3600
MESSAGE = TaskMessage("W1", "I1", "lines", None)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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


@pytest.fixture
def queue(queues: SqsQueues) -> SqsQueue:
    return queues("lines")


@pytest.fixture
def on_moto(aws: Aws) -> Iterator[SqsQueues]:
    queues = SqsQueues(SqsOptions(AwsOptions(aws.region, aws.endpoint_url)))
    yield queues
    queues.close()


def attributes(aws: Aws, url: str) -> dict[str, str]:
    found: dict[str, str] = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def _made(queues: SqsQueues, job: str) -> QueueUrls:
    queues.admin(job).create()
    return queues(job).urls


class TestMaking:
    def test_makes_both_queues_as_they_should_be(self, aws: Aws, on_moto: SqsQueues) -> None:
        job = aws.fresh_name("ocr")
        setup = on_moto.admin(job).create()
        assert setup.made == (f"bec_{job}_dlq", f"bec_{job}_tasks")
        assert setup.differences == ()
        tasks, dead = attributes(aws, on_moto(job).urls.tasks), attributes(aws, on_moto(job).urls.dead)
        assert (tasks["VisibilityTimeout"], tasks["ReceiveMessageWaitTimeSeconds"]) == ("120", "20")
        assert tasks["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == str(14 * DAY)
        assert tasks["SqsManagedSseEnabled"] == dead["SqsManagedSseEnabled"] == "true"
        assert json.loads(tasks["RedrivePolicy"]) == {
            "deadLetterTargetArn": dead["QueueArn"],
            "maxReceiveCount": 1000,
        }
        tags = aws.client("sqs").list_queue_tags(QueueUrl=on_moto(job).urls.tasks)["Tags"]
        assert tags == {"application": "bec_orch", "job": job}

    def test_adopts_what_is_there_and_says_what_differs(self, aws: Aws, on_moto: SqsQueues) -> None:
        job, client = aws.fresh_name("ocr"), aws.client("sqs")
        url = client.create_queue(QueueName=f"bec_{job}_tasks", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
        setup = on_moto.admin(job).create()
        assert setup.made == (f"bec_{job}_dlq",)
        assert {difference.attribute for difference in setup.differences} == {
            "MessageRetentionPeriod",
            "VisibilityTimeout",
            "ReceiveMessageWaitTimeSeconds",
            "RedrivePolicy",
        }
        assert QueueDifference(f"bec_{job}_tasks", "VisibilityTimeout", "30", "120") in setup.differences
        assert attributes(aws, url)["VisibilityTimeout"] == "30"

    def test_made_twice_is_made_once(self, aws: Aws, on_moto: SqsQueues) -> None:
        job = aws.fresh_name("ocr")
        on_moto.admin(job).create()
        assert on_moto.admin(job).create() == QueueSetup()

    def test_a_key_of_ones_own_is_encryption_too(self, aws: Aws, on_moto: SqsQueues) -> None:
        job = aws.fresh_name("ocr")
        url = _made(on_moto, job).tasks
        own = {"SqsManagedSseEnabled": "false", "KmsMasterKeyId": "alias/ours"}
        aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=own)
        assert on_moto.admin(job).create().differences == ()

    def test_a_queue_by_url_brings_its_own_dead_letter_queue(self, aws: Aws, on_moto: SqsQueues) -> None:
        made = _made(on_moto, aws.fresh_name("old"))
        queues = SqsQueues(SqsOptions(AwsOptions(aws.region, aws.endpoint_url), {"lines": made.tasks}))
        assert queues("lines").urls == made
        assert queues.admin("lines").create().made == ()
        queues.close()

    def test_a_queue_by_url_without_a_dead_letter_queue_is_reported(self, aws: Aws) -> None:
        url = aws.client("sqs").create_queue(QueueName=aws.fresh_name("bare"))["QueueUrl"]
        queues = SqsQueues(SqsOptions(AwsOptions(aws.region, aws.endpoint_url), {"lines": url}))
        with pytest.raises(QueueError) as caught:
            queues("lines").stats()
        assert caught.value.code == "E_QUEUE_NO_DLQ"
        queues.close()

    def test_says_what_differs_without_making_anything(self, aws: Aws, on_moto: SqsQueues) -> None:
        job = aws.fresh_name("ocr")
        url = _made(on_moto, job).tasks
        assert on_moto.admin(job).check().differences == ()
        aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})
        visibility = QueueDifference(f"bec_{job}_tasks", "VisibilityTimeout", "30", "120")
        assert on_moto.admin(job).check().differences == (visibility,)
        with pytest.raises(QueueError):
            on_moto.admin(aws.fresh_name("other")).check()

    def test_a_name_that_cannot_be_is_refused(self, queues: SqsQueues) -> None:
        with pytest.raises(NameUnsafeError):
            queues.admin("../other").create()

    def test_a_fault_while_looking_makes_nothing(self, sqs: FakeSqs, queues: SqsQueues) -> None:
        sqs.faults["GetQueueUrl"].append(Refused("AccessDenied", status=403))
        with pytest.raises(QueueError) as caught:
            queues.admin("new").create()
        assert caught.value.code == "E_QUEUE_DENIED"
        assert sqs.calls["CreateQueue"] == 2

    def test_answers(self, queues: SqsQueues) -> None:
        queues.check()
        assert queues("lines") is queues("lines")


CALLS: dict[str, tuple[str, Callable[[SqsQueue], object]]] = {
    "SendMessageBatch": ("sqs:SendMessage", lambda queue: queue.send([MESSAGE])),
    "ReceiveMessage": ("sqs:ReceiveMessage", lambda queue: queue.receive(limit=1, wait=0, visibility=9)),
    "GetQueueAttributes": ("sqs:GetQueueAttributes", lambda queue: queue.stats()),
    "PurgeQueue": ("sqs:PurgeQueue", lambda queue: queue.purge()),
}


class TestFaults:
    @pytest.mark.parametrize("action", CALLS)
    def test_a_missing_permission_is_named(self, sqs: FakeSqs, queue: SqsQueue, action: str) -> None:
        permission, call = CALLS[action]
        sqs.faults[action].append(Refused("AccessDenied", status=403))
        with pytest.raises(QueueError) as caught:
            call(queue)
        assert caught.value.code == "E_QUEUE_DENIED"
        assert permission in caught.value.message
        assert caught.value.retryable

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ("OverLimit", "E_QUEUE_OVER_LIMIT"),
            ("QueueDoesNotExist", "E_QUEUE_MISSING"),
            ("AWS.SimpleQueueService.NonExistentQueue", "E_QUEUE_MISSING"),
            ("ExpiredToken", "E_QUEUE_CREDENTIALS"),
            ("InvalidClientTokenId", "E_QUEUE_CREDENTIALS"),
            ("InvalidParameterValue", "E_QUEUE_REFUSED"),
        ],
    )
    def test_faults_are_recognised_by_code(self, sqs: FakeSqs, queue: SqsQueue, given: str, code: str) -> None:
        sqs.faults["ReceiveMessage"].append(Refused(given))
        with pytest.raises(QueueError) as caught:
            queue.receive(limit=1, wait=0, visibility=9)
        assert caught.value.code == code
        assert caught.value.__cause__ is not None

    @pytest.mark.parametrize(("given", "status"), [("RequestThrottled", 400), ("ServiceUnavailable", 503)])
    def test_what_passes_is_tried_again(self, sqs: FakeSqs, queue: SqsQueue, given: str, status: int) -> None:
        sqs.faults["SendMessageBatch"].append(Refused(given, status=status))
        queue.send([MESSAGE])
        assert sqs.calls["SendMessageBatch"] == 2
        assert queue.stats().visible == 1

    def test_what_does_not_pass_ends_the_retries(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        sqs.faults["GetQueueAttributes"].extend(Refused("InternalError", status=500) for _ in range(9))
        with pytest.raises(QueueError) as caught:
            queue.stats()
        assert caught.value.code == "E_QUEUE_BUSY"
        assert sqs.calls["GetQueueAttributes"] < 9

    def test_a_second_purge_within_a_minute_is_reported(self, queue: SqsQueue) -> None:
        queue.purge()
        with pytest.raises(QueueError) as caught:
            queue.purge()
        assert caught.value.code == "E_QUEUE_PURGING"
        assert "60 seconds" in caught.value.hint

    def test_for_a_job_without_queues_it_says_what_to_do(self, queues: SqsQueues) -> None:
        with pytest.raises(QueueError) as caught:
            queues("unknown").stats()
        assert caught.value.code == "E_QUEUE_MISSING"
        assert "bec jobs create" in caught.value.hint

    def test_a_queue_that_is_deleted_and_made_again_works_on(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        queue.send([MESSAGE])
        gone = sqs.queues.pop("bec_lines_tasks")
        with pytest.raises(QueueError) as caught:
            queue.receive(limit=1, wait=0, visibility=9)
        assert caught.value.code == "E_QUEUE_MISSING"
        sqs.queues[gone.name] = gone
        assert len(queue.receive(limit=1, wait=0, visibility=9)) == 1

    @pytest.mark.usefixtures("aws_credentials")
    def test_nobody_there_is_reported(self) -> None:
        client = aws_client("sqs", AwsOptions(REGION, "http://127.0.0.1:1"), Patience(attempts=1))
        queues = SqsQueues(SqsOptions(AwsOptions(REGION, "http://127.0.0.1:1")))
        queues._clients = type(queues._clients)(client, client, client)
        with pytest.raises(QueueError) as caught:
            queues.check()
        assert caught.value.code == "E_QUEUE_AWAY"
        queues.close()

    def test_no_credentials_is_reported(self, sqs: FakeSqs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        queues = SqsQueues(SqsOptions(AwsOptions(REGION, sqs.url)))
        with pytest.raises(QueueError) as caught:
            queues.check()
        assert caught.value.code == "E_QUEUE_CREDENTIALS"
        queues.close()

    @pytest.mark.usefixtures("aws_credentials")
    def test_no_region_is_reported(self) -> None:
        with pytest.raises(ConfigError) as caught:
            SqsQueues(SqsOptions())
        assert caught.value.code == "E_AWS_REGION"

    def test_a_missing_sdk_is_reported_with_the_extra_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "boto3", None)
        with pytest.raises(ConfigError, match="not installed") as caught:
            aws_client("sqs", AwsOptions(REGION))
        assert caught.value.hint == extra_hint("aws")


class TestSending:
    def test_entries_that_sqs_failed_are_sent_again_and_no_others(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        sqs.failing_entries.extend([{0: False, 7: False}, {1: False}])
        queue.send([TaskMessage("W1", f"I{n}") for n in range(10)])
        assert sqs.calls["SendMessageBatch"] == 3
        assert sorted(json.loads(body)["i_id"] for body in sqs.bodies("bec_lines_tasks")) == [
            f"I{n}" for n in range(10)
        ]

    def test_a_refused_entry_ends_it_and_says_what_was_sent(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        sqs.failing_entries.append({2: True})
        with pytest.raises(PartlySent) as caught:
            queue.send([TaskMessage("W1", f"I{n}") for n in range(5)])
        assert caught.value.code == "E_QUEUE_REFUSED"
        assert caught.value.sent == (0, 1, 3, 4)

    def test_entries_that_keep_failing_end_it(
        self, sqs: FakeSqs, queue: SqsQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bec_orch.io.sqs.send.LONGEST_WAIT", 0.01)
        sqs.failing_entries.extend([{0: False}] * 20)
        with pytest.raises(PartlySent) as caught:
            queue.send([MESSAGE])
        assert (caught.value.code, caught.value.sent) == ("E_QUEUE_BUSY", ())

    def test_batches_are_of_ten_and_several_at_a_time(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        queue.send([TaskMessage("W1", f"I{n}") for n in range(95)])
        assert sqs.calls["SendMessageBatch"] == 10
        assert len(set(sqs.bodies("bec_lines_tasks"))) == 95

    def test_a_delay_is_no_longer_than_sqs_knows(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        queue.send([MESSAGE], delay=5000)
        [message] = sqs.queues["bec_lines_tasks"].messages
        assert message.visible_at - time.monotonic() == pytest.approx(900, abs=5)


class TestReceipts:
    def take(self, queue: SqsQueue, visibility: float = 60) -> str:
        [message] = queue.receive(limit=1, wait=0, visibility=visibility)
        return message.receipt

    def test_a_message_is_dead_lettered_before_it_is_deleted(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        queue.send([MESSAGE])
        receipt = self.take(queue)
        sqs.faults["DeleteMessage"].append(Refused("AccessDenied", status=403))
        with pytest.raises(QueueError):
            queue.dead_letter(receipt, {"code": "E"})
        assert (queue.stats().dead, queue.stats().in_flight) == (1, 1)

    def test_a_message_that_cannot_be_dead_lettered_stays(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        queue.send([MESSAGE])
        receipt = self.take(queue)
        sqs.faults["SendMessage"].append(Refused("AccessDenied", status=403))
        with pytest.raises(QueueError):
            queue.dead_letter(receipt, {"code": "E"})
        assert (queue.stats().dead, queue.stats().in_flight) == (0, 1)

    @pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"])
    def test_what_sqs_says_of_a_stale_receipt_is_expired(self, sqs: FakeSqs, queue: SqsQueue, code: str) -> None:
        queue.send([MESSAGE])
        receipt = self.take(queue)
        sqs.faults["ChangeMessageVisibility"].append(Refused(code))
        with pytest.raises(ReceiptExpired):
            queue.change_visibility(receipt, 30)

    def test_what_another_process_received_since_is_not_dead_lettered(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        queue.send([MESSAGE])
        receipt = self.take(queue)
        [message] = sqs.queues["bec_lines_tasks"].messages
        message.handle = "f" * 32
        with pytest.raises(ReceiptExpired):
            queue.dead_letter(receipt, {"code": "E"})
        assert queue.stats().dead == 0

    def test_a_message_is_never_asked_to_be_hidden_beyond_twelve_hours(self) -> None:
        clock = Clock()
        held = Deliveries(clock)
        delivery = held.add("m", "h", "body", 3600)
        for _ in range(11):
            clock.now += HOUR - 1
            assert held.hideable(held.held(delivery.receipt), HOUR) == HOUR
            held.hidden(delivery, HOUR)
        clock.now += HOUR - 1
        assert held.hideable(delivery, HOUR) == 12
        clock.now += 12
        with pytest.raises(ReceiptExpired):
            held.hideable(delivery, HOUR)

    def test_sqs_own_word_on_twelve_hours_ends_the_receipt(self, aws_credentials: None) -> None:
        clock = Clock()
        with served(FakeSqs(clock)) as sqs:
            queues = SqsQueues(SqsOptions(AwsOptions(REGION, sqs.url)))
            queues.admin("lines").create()
            queue = queues("lines")
            queue.send([MESSAGE])
            receipt = self.take(queue, visibility=43_000)
            clock.now += 42_500
            queue.change_visibility(receipt, 600)
            with pytest.raises(ReceiptExpired):
                queue.change_visibility(receipt, 3600)
            queues.close()

    def test_receipts_that_end_are_forgotten(self) -> None:
        clock = Clock()
        held = Deliveries(clock)
        for n in range(100):
            held.add(f"m{n}", "h", "body", 5)
            clock.now += 1
        assert len(held._by_message) <= 6

    def test_an_older_receipt_changes_nothing_of_a_newer_one(self) -> None:
        held = Deliveries()
        old = held.add("m", "h1", "body", 60)
        new = held.add("m", "h2", "body", 60)
        held.hidden(old, 0)
        held.remove(old)
        assert held.held(new.receipt) == new


class TestDeadLetters:
    def give_up(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        policy = sqs.queues["bec_lines_tasks"].attributes
        policy["RedrivePolicy"] = policy["RedrivePolicy"].replace("1000", "1")
        queue.send([MESSAGE])
        [message] = queue.receive(limit=1, wait=0, visibility=60)
        queue.change_visibility(message.receipt, 0)
        assert queue.receive(limit=1, wait=0, visibility=60) == []

    def test_dead_letters_of_sqs_are_distinguished_from_ours(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        self.give_up(sqs, queue)
        queue.send([TaskMessage("W1", "I2")])
        [message] = queue.receive(limit=1, wait=0, visibility=60)
        queue.dead_letter(message.receipt, {"code": "E"})
        [letter] = queue.undeclared_dead_letters(limit=10)
        assert json.loads(letter.body)["i_id"] == "I1"
        assert letter.reason == {}
        assert len(queue.peek(limit=10, dead=True)) == 2

    def test_dead_letters_of_moto_are_reported_too(self, aws: Aws, on_moto: SqsQueues) -> None:
        job = aws.fresh_name("ocr")
        urls = _made(on_moto, job)
        policy = {"deadLetterTargetArn": attributes(aws, urls.dead)["QueueArn"], "maxReceiveCount": 1}
        aws.client("sqs").set_queue_attributes(QueueUrl=urls.tasks, Attributes={"RedrivePolicy": json.dumps(policy)})
        queue = on_moto(job)
        queue.send([MESSAGE])
        [message] = queue.receive(limit=1, wait=5, visibility=60)
        queue.change_visibility(message.receipt, 0)
        assert queue.receive(limit=1, wait=1, visibility=60) == []
        assert len(queue.undeclared_dead_letters(limit=10)) == 1

    def test_reasons_that_sqs_cannot_hold_are_escaped_or_left_out(self, queue: SqsQueue) -> None:
        queue.send([MESSAGE])
        [message] = queue.receive(limit=1, wait=0, visibility=60)
        queue.dead_letter(message.receipt, {"code": "E", "message": "a\0b\ud800ཀ\n", "stage": ""})
        [letter] = queue.peek(limit=1, dead=True)
        assert letter.reason == {"code": "E", "message": "a\\x00b\\ud800ཀ\n"}  # type: ignore[union-attr]

    def test_a_body_by_hand_comes_as_it_is_and_goes_to_the_dead_letters(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        sqs.answer("SendMessage", {"QueueUrl": queue.urls.tasks, "MessageBody": "no JSON ཀ"})
        [message] = queue.receive(limit=1, wait=0, visibility=60)
        assert message.body == "no JSON ཀ"
        queue.dead_letter(message.receipt, {"code": "E_MESSAGE_NOT_JSON"})
        assert sqs.bodies("bec_lines_dlq") == ["no JSON ཀ"]

    def test_a_redrive_that_fails_gives_the_rest_back(self, sqs: FakeSqs, queue: SqsQueue) -> None:
        queue.send([TaskMessage("W1", f"I{n}") for n in range(3)])
        for message in queue.receive(limit=10, wait=0, visibility=60):
            queue.dead_letter(message.receipt, {"code": "E"})
        sqs.faults["SendMessageBatch"].append(Refused("AccessDenied", status=403))
        with pytest.raises(QueueError):
            queue.redrive(lambda _: True)
        assert len(queue.peek(limit=10, dead=True)) == 3
        assert queue.stats().visible == 0

    def test_peek_stops_at_its_limit(self, queue: SqsQueue) -> None:
        queue.send([TaskMessage("W1", f"I{n}") for n in range(30)])
        assert len(queue.peek(limit=12)) == 12
        assert queue.stats().visible == 30
        for message in queue.receive(limit=10, wait=0, visibility=60):
            queue.dead_letter(message.receipt, {"code": "E"})
        assert len(queue.peek(limit=3, dead=True)) == 3


def test_a_long_wait_is_several_long_polls(sqs: FakeSqs, queue: SqsQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bec_orch.io.sqs.queues.LONGEST_POLL", 1)
    with ThreadPoolExecutor(1) as pool:
        waiting: Any = pool.submit(queue.receive, limit=1, wait=8, visibility=60)
        while sqs.calls["ReceiveMessage"] < 2:
            time.sleep(0.01)
        queue.send([MESSAGE])
        assert len(waiting.result(5)) == 1
