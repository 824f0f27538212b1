"""Workers over SQS that doubles, forgets, throttles and gives up: every volume is done once all the same."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bec_orch.core.life.stop import StopReason
from bec_orch.core.records.backlog import RedriveFilter
from bec_orch.core.tasks import AttemptOutcome
from bec_orch.core.volumes import Page
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.sqs.queues import SqsOptions, SqsQueues
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver, RedriveReport
from tests.integration.test_worker_runtime import World, fail_times
from tests.support.policies import ACCOUNT, Policy
from tests.support.servers.aws import REGION
from tests.support.servers.fake_sqs import FakeSqs, Refused, served

TASKS = "bec_toy_tasks"


@pytest.fixture
def sqs(aws_credentials: None) -> Iterator[FakeSqs]:
    with served(FakeSqs()) as sqs:
        yield sqs


@pytest.fixture
def world(database: Database, worker_database: Database, tmp_path: Path, sqs: FakeSqs) -> Iterator[World]:
    queues = SqsQueues(SqsOptions(AwsOptions(REGION, sqs.url)))
    queues.admin("toy").create()
    world = World(tmp_path, database, worker_database, options={"poll_wait": 1.0})
    world.queues.close()
    world.queues = queues  # type: ignore[assignment]
    world.create_job()
    yield world
    queues.close()


def test_each_volume_is_done_once_though_each_message_comes_twice(world: World, sqs: FakeSqs) -> None:
    sqs.sent_twice = True
    volumes = [world.volume(f"I{n}", 2) for n in range(6)]
    world.send(*volumes)
    assert world.run(slots=2).outcomes == {AttemptOutcome.DONE: 6}
    assert world.attempts() == ["done"] * 6


def test_a_finished_task_has_no_message_left(world: World, sqs: FakeSqs) -> None:
    world.send(world.volume())
    world.run()
    assert sqs.bodies(TASKS) == []


class Ahead:
    """A clock that can be put forward."""

    seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.seconds


@pytest.fixture
def clock(sqs: FakeSqs) -> Ahead:
    sqs.clock = clock = Ahead()
    return clock


DAY = 86_400.0


def test_a_message_that_comes_again_while_its_task_runs_disturbs_nobody(
    world: World, sqs: FakeSqs, clock: Ahead
) -> None:
    """The first worker's receipt is stale from then on: what it hides or deletes with it must harm nobody."""
    others = SqsQueues(SqsOptions(AwsOptions(REGION, sqs.url)))
    seen: list[str] = []

    def meet(_context: object, page: Page) -> None:
        if page.index == 0:
            clock.seconds += 31
            first, world.queues = world.queues, others  # type: ignore[assignment]
            assert world.worker("another")._poll(0)
            world.queues = first
            seen.extend(sqs.bodies(TASKS))

    world.at_page = meet
    world.send(world.volume())
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert len(seen) == 1
    assert len(sqs.bodies(TASKS)) == 1, "a stale receipt deletes nothing"
    clock.seconds += 31
    assert world.run().outcomes == {}
    assert sqs.bodies(TASKS) == [], "whoever reads that the task is done deletes it"
    assert world.attempts() == ["done"]
    others.close()


def test_receives_that_never_arrive_dead_letter_no_message(world: World, sqs: FakeSqs, clock: Ahead) -> None:
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", [world.volume()])
    sqs.swallowing = True
    for _ in range(60):
        assert world.queues("toy").receive(limit=1, wait=0, visibility=60) == []
        clock.seconds += 61
    sqs.swallowing = False
    assert sqs.queues[TASKS].messages[0].receives == 60
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert sqs.bodies("bec_toy_dlq") == []


def test_messages_that_the_queue_kept_for_too_long_are_sent_again(world: World, sqs: FakeSqs, clock: Ahead) -> None:
    volumes = [world.volume(f"I{n}", 1) for n in range(3)]
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", volumes)
    clock.seconds += 15 * DAY
    assert world.queues("toy").receive(limit=10, wait=0, visibility=60) == []
    assert world.run(redispatch_after=0.0).outcomes == {AttemptOutcome.DONE: 3}


@pytest.mark.parametrize("befalls", ["forgotten by the queue", "held for twelve hours"])
def test_a_message_that_ends_while_its_task_runs_does_not_end_the_task(
    world: World, sqs: FakeSqs, clock: Ahead, befalls: str
) -> None:
    refused: list[Refused] = []
    real = sqs.answer

    def answer(action: str, given: dict[str, object]) -> dict[str, object]:
        try:
            return real(action, given)
        except Refused as error:
            refused.append(error)
            raise

    def befall(_context: object, page: Page) -> None:
        if page.index == 0:
            [message] = sqs.queues[TASKS].messages
            if befalls == "held for twelve hours":
                message.received_at -= DAY / 2
            else:
                clock.seconds += 15 * DAY
            while not refused:
                time.sleep(0.01)

    sqs.answer = answer  # type: ignore[method-assign]
    world.at_page = befall
    world.send(world.volume())
    assert world.run(lease=8.0).outcomes == {AttemptOutcome.DONE: 1}
    assert {error.code for error in refused} == {"InvalidParameterValue"}
    assert world.attempts() == ["done"]


def test_throttling_and_faults_of_sqs_end_no_worker(world: World, sqs: FakeSqs) -> None:
    world.send(world.volume())
    sqs.faults["ReceiveMessage"].extend([Refused("RequestThrottled"), Refused("InternalError", status=500)])
    sqs.faults["DeleteMessage"].append(Refused("ServiceUnavailable", status=503))
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}


def test_a_purge_in_the_middle_loses_nothing(world: World, sqs: FakeSqs) -> None:
    volumes = [world.volume(f"I{n}", 1) for n in range(3)]
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", volumes)
    sqs.queues[TASKS].messages.clear()
    assert world.run(redispatch_after=0.0).outcomes == {AttemptOutcome.DONE: 3}


def test_a_queue_that_goes_away_under_a_worker_is_waited_for(
    world: World, sqs: FakeSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bec_orch.core.life.worker_runtime._OUTAGE_PAUSE", 0.1)
    world.send(world.volume())
    queue = sqs.queues.pop(TASKS)
    worker = world.worker()
    thread = threading.Thread(target=worker.run)
    thread.start()
    while sqs.calls["ReceiveMessage"] + sqs.calls["GetQueueUrl"] < 4:
        time.sleep(0.01)
    sqs.queues[TASKS] = queue
    while not world.watching.ends:
        time.sleep(0.01)
    worker.stop(StopReason.SHUTDOWN)
    thread.join(10)
    assert world.watching.outcomes == [AttemptOutcome.DONE]


def test_malformed_messages_are_dead_lettered_with_a_reason(world: World, sqs: FakeSqs) -> None:
    url = world.queues("toy").urls.tasks  # type: ignore[attr-defined]
    for body in ("hello", "[]", '{"w_id": "../x", "i_id": "I1"}', '{"w_id": "W1"}', '"' + "x" * 200_000 + '"'):
        sqs.answer("SendMessage", {"QueueUrl": url, "MessageBody": body})
    world.send(world.volume())
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    codes = [letter.reason["code"] for letter in world.queues("toy").peek(limit=10, dead=True)]  # type: ignore[union-attr]
    assert sorted(codes) == [
        "E_MESSAGE_FIELDS",
        "E_MESSAGE_FIELDS",
        "E_MESSAGE_NOT_JSON",
        "E_MESSAGE_TOO_LARGE",
        "E_NAME_UNSAFE",
    ]


def test_the_workers_policy_allows_all_that_a_worker_asks_of_sqs(world: World, sqs: FakeSqs) -> None:
    """A job that another one waits for, with a message to be dead-lettered and dead letters to be looked at."""
    world.queues.admin("second").create()
    world.create_job(name="second")
    with world.database.transaction("depend") as connection:
        connection.execute(
            "INSERT INTO job_dependencies SELECT s.id, t.id FROM jobs s, jobs t"
            " WHERE s.name = 'second' AND t.name = 'toy'"
        )
    volumes = [world.volume()]
    for job in ("second", "toy"):
        Enqueuer(PgBacklog(world.database), world.queues).enqueue(job, volumes)
    url = world.queues("toy").urls.tasks  # type: ignore[attr-defined]
    sqs.answer("SendMessage", {"QueueUrl": url, "MessageBody": "hello"})
    world.queues.close()
    # A worker looks the queues up by itself.
    world.queues = SqsQueues(SqsOptions(AwsOptions(REGION, sqs.url)))  # type: ignore[assignment]
    sqs.rights.clear()

    assert world.run(maintenance_every=0.0).outcomes == {AttemptOutcome.DONE: 1}
    world.worker()._maintenance.record_dead_letters()

    policy, own = Policy("iam-worker.json", JOB="toy"), f"arn:aws:sqs:{REGION}:{ACCOUNT}"
    assert {("sqs:SendMessage", "bec_second_tasks"), ("sqs:ReceiveMessage", "bec_toy_dlq")} <= sqs.rights
    assert [right for right in sorted(sqs.rights) if not policy.allows(right[0], f"{own}:{right[1]}")] == []


def test_dead_letters_of_sqs_are_recorded_and_their_tasks_go_on(world: World, sqs: FakeSqs) -> None:
    volume = world.volume()
    Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", [volume])
    attributes = sqs.queues[TASKS].attributes
    attributes["RedrivePolicy"] = attributes["RedrivePolicy"].replace("1000", "1")
    queue = world.queues("toy")
    [message] = queue.receive(limit=1, wait=0, visibility=60)
    queue.change_visibility(message.receipt, 0)
    assert queue.receive(limit=1, wait=0, visibility=60) == []
    for _ in range(2):
        world.worker()._maintenance.record_dead_letters()
    with world.database.transaction("look") as connection:
        found = connection.execute(b"SELECT code, body FROM rejected_messages").fetchall()
    assert [(row["code"], json.loads(row["body"])["i_id"]) for row in found] == [("E_MESSAGE_GIVEN_UP", "I1")]
    attributes["RedrivePolicy"] = attributes["RedrivePolicy"].replace(": 1}", ": 1000}")
    assert world.run(redispatch_after=0.0).outcomes == {AttemptOutcome.DONE: 1}


class TestRedrive:
    def failed(self, world: World, count: int) -> None:
        volumes = [world.volume(f"I{n}") for n in range(count)]
        Enqueuer(PgBacklog(world.database), world.queues).enqueue("toy", volumes)
        for volume in volumes:
            (world.scans / volume.w_id / volume.i_id).rename(world.scans / volume.i_id)
        # What is missing is looked for once more.
        outcomes = {AttemptOutcome.RETRYABLE_FAILED: count, AttemptOutcome.TERMINAL_FAILED: count}
        assert world.run().outcomes == outcomes
        for volume in volumes:
            (world.scans / volume.i_id).rename(world.scans / volume.w_id / volume.i_id)

    def test_all_is_one_move_by_sqs_itself(self, world: World, sqs: FakeSqs) -> None:
        self.failed(world, 3)
        sent = sqs.calls["SendMessageBatch"]
        redriver = Redriver(PgBacklog(world.database), world.queues)
        assert redriver.redrive("toy") == RedriveReport(reset=3, moved=3, sent=0, refused=())
        assert (sqs.calls["StartMessageMoveTask"], sqs.calls["SendMessageBatch"]) == (1, sent)
        assert world.run().outcomes == {AttemptOutcome.DONE: 3}
        assert redriver.redrive("toy") == RedriveReport(reset=0, moved=0, sent=0, refused=())

    def test_some_are_moved_one_by_one(self, world: World, sqs: FakeSqs) -> None:
        self.failed(world, 3)
        wanted = RedriveFilter(volume=("W1", "I1"))
        assert Redriver(PgBacklog(world.database), world.queues).redrive("toy", wanted) == RedriveReport(1, 1, 0, ())
        assert sqs.calls["StartMessageMoveTask"] == 0
        assert len(sqs.bodies("bec_toy_dlq")) == 2
        assert world.run().outcomes == {AttemptOutcome.DONE: 1}


def test_a_message_that_cannot_be_hidden_longer_does_not_cost_the_lease(world: World, sqs: FakeSqs) -> None:
    seen: list[int] = []
    real = sqs.answer

    def failing(action: str, given: dict[str, object]) -> dict[str, object]:
        if action == "ChangeMessageVisibility":
            seen.append(1)
            raise Refused("ServiceUnavailable", status=503)
        return real(action, given)

    def wait_for_renewals(_context: object, page: object) -> None:
        while len(seen) < 4:
            time.sleep(0.01)

    sqs.answer = failing  # type: ignore[method-assign]
    world.at_page = wait_for_renewals
    world.send(world.volume(pages=1))
    assert world.run(lease=8.0).outcomes == {AttemptOutcome.DONE: 1}


def test_a_failure_that_is_tried_again_hides_its_message_until_then(world: World) -> None:
    world.at_page = fail_times(OSError("odd"), 1)
    world.send(world.volume())
    assert world.run().outcomes == {AttemptOutcome.RETRYABLE_FAILED: 1, AttemptOutcome.DONE: 1}


def test_missing_rights_are_named_and_nothing_is_done(world: World, sqs: FakeSqs) -> None:
    queues = world.queues
    world.send(world.volume())
    assert queues.admin("toy").check().missing_rights == ()
    for action in ("SendMessage", "DeleteMessage"):
        sqs.faults[action].append(Refused("AccessDenied"))
    assert queues.admin("toy").check().missing_rights == ("sqs:DeleteMessage", "sqs:SendMessage")
    assert len(sqs.bodies(TASKS)) == 1
