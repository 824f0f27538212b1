"""What every `TaskQueue` must do. A back-end's test module derives from `QueueSuite` and has the fixture `queue`.

Times are short and real: each test waits for an event, and only for as long as the visibility that it asked for.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Protocol

import pytest

from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.queues import DeadLetter, QueueAdmin, QueueCondition, QueueSetup, ReceivedMessage, TaskQueue
from bec_orch.errors import ReceiptExpired


class JobQueue(TaskQueue, QueueAdmin, Protocol):
    """The queue of one job, for workers and for operators."""


def messages(count: int) -> list[TaskMessage]:
    return [TaskMessage("W1", f"I{n:04d}", "lines", "folder+file:///scans") for n in range(count)]


def drain(queue: TaskQueue, visibility: float = 60.0) -> list[ReceivedMessage]:
    taken: list[ReceivedMessage] = []
    while batch := queue.receive(limit=10, wait=0.2, visibility=visibility):
        taken.extend(batch)
    return taken


def volume_of(message: ReceivedMessage) -> str:
    return str(json.loads(message.body)["i_id"])


def take_one(queue: TaskQueue, visibility: float = 60.0) -> ReceivedMessage:
    [message] = queue.receive(limit=1, wait=5, visibility=visibility)
    return message


class QueueSuite:
    """The tests; `queue` is empty when each begins. `tells_age` is false where the age of messages is not told.

    `gives_once` is false where several who ask at the same moment may be given the same message.
    """

    tells_age: ClassVar[bool] = True
    moves_all: ClassVar[bool] = True
    gives_once: ClassVar[bool] = True

    def test_returns_what_was_sent(self, queue: JobQueue) -> None:
        queue.send([TaskMessage("W1 ཀ", "I'1", "lines", None)])
        message = take_one(queue)
        assert json.loads(message.body) == {"job": "lines", "w_id": "W1 ཀ", "i_id": "I'1"}
        assert message.receive_count == 1

    def test_lists_every_body_without_taking_it_or_not_at_all(self, queue: JobQueue) -> None:
        queue.send(messages(3))
        take_one(queue)
        queue.dead_letter(take_one(queue).receipt, {"code": "E_TEST"})
        bodies = queue.bodies()
        assert bodies is None or len({json.loads(body)["i_id"] for body in bodies}) == 2

    def test_delivers_each_message_once_while_hidden(self, queue: JobQueue) -> None:
        queue.send(messages(25))
        assert sorted(volume_of(m) for m in drain(queue)) == [f"I{n:04d}" for n in range(25)]

    def test_takes_no_more_than_asked(self, queue: JobQueue) -> None:
        queue.send(messages(5))
        assert 1 <= len(queue.receive(limit=3, wait=1, visibility=60)) <= 3

    def test_sends_nothing_for_nothing(self, queue: JobQueue) -> None:
        queue.send([])
        assert queue.receive(limit=1, wait=0, visibility=60) == []

    def test_deleted_message_is_gone(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        queue.delete(take_one(queue, visibility=1).receipt)
        assert queue.receive(limit=1, wait=1.5, visibility=60) == []

    def test_message_comes_again_when_its_visibility_ends(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        first = take_one(queue, visibility=1)
        second = take_one(queue)
        assert second.message_id == first.message_id
        assert second.receive_count == 2
        assert second.receipt != first.receipt

    def test_stale_receipt_cannot_delete(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        stale = take_one(queue, visibility=1)
        fresh = take_one(queue)
        with pytest.raises(ReceiptExpired):
            queue.delete(stale.receipt)
        queue.delete(fresh.receipt)

    def test_stale_receipt_cannot_hide(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        stale = take_one(queue, visibility=1)
        take_one(queue)
        with pytest.raises(ReceiptExpired):
            queue.change_visibility(stale.receipt, 0)
        assert queue.receive(limit=1, wait=0, visibility=60) == []

    def test_receipt_of_deleted_message_is_worth_nothing(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        receipt = take_one(queue).receipt
        queue.delete(receipt)
        with pytest.raises(ReceiptExpired):
            queue.delete(receipt)
        with pytest.raises(ReceiptExpired):
            queue.change_visibility(receipt, 5)
        with pytest.raises(ReceiptExpired):
            queue.dead_letter(receipt, {"code": "E"})

    def test_foreign_receipt_is_refused(self, queue: JobQueue) -> None:
        with pytest.raises(ReceiptExpired):
            queue.delete("no receipt at all")

    def test_given_back_message_is_there_at_once(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        first = take_one(queue)
        queue.change_visibility(first.receipt, 0)
        assert take_one(queue).message_id == first.message_id

    def test_hiding_longer_keeps_the_message_away(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        queue.change_visibility(take_one(queue, visibility=1).receipt, 30)
        assert queue.receive(limit=1, wait=1.5, visibility=60) == []

    def test_delayed_message_comes_after_its_delay(self, queue: JobQueue) -> None:
        queue.send(messages(1), delay=1)
        begun = time.monotonic()
        assert queue.receive(limit=1, wait=0, visibility=60) == []
        take_one(queue)
        assert time.monotonic() - begun > 0.5

    def test_long_poll_wakes_when_a_message_is_sent(self, queue: JobQueue) -> None:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(queue.receive, limit=1, wait=8, visibility=60)
            time.sleep(0.3)
            sent = time.monotonic()
            queue.send(messages(1))
            assert len(waiting.result()) == 1
        assert time.monotonic() - sent < 3

    def test_long_poll_ends_in_time(self, queue: JobQueue) -> None:
        begun = time.monotonic()
        assert queue.receive(limit=1, wait=1, visibility=60) == []
        assert 0.8 < time.monotonic() - begun < 4

    def test_two_receivers_share_the_messages(self, queue: JobQueue) -> None:
        queue.send(messages(40))
        barrier = threading.Barrier(4)

        def work() -> list[str]:
            barrier.wait()
            return [volume_of(message) for message in drain(queue)]

        with ThreadPoolExecutor(4) as pool:
            taken = [name for part in [pool.submit(work) for _ in range(4)] for name in part.result()]
        assert set(taken) == {f"I{n:04d}" for n in range(40)}, "none is lost"
        assert len(taken) == 40 or not self.gives_once

    def test_dead_letter_keeps_body_and_reason(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        message = take_one(queue)
        queue.dead_letter(message.receipt, {"code": "E_MANIFEST", "message": "no list of pages: 'ཀ'"})
        [dead] = queue.peek(limit=10, dead=True)
        assert isinstance(dead, DeadLetter)
        assert json.loads(dead.body) == json.loads(message.body)
        assert dead.reason == {"code": "E_MANIFEST", "message": "no list of pages: 'ཀ'"}
        assert queue.stats().visible == queue.stats().in_flight == 0

    def test_stale_receipt_cannot_dead_letter(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        stale = take_one(queue, visibility=1)
        take_one(queue)
        with pytest.raises(ReceiptExpired):
            queue.dead_letter(stale.receipt, {"code": "E"})
        assert queue.stats().dead == 0

    def test_redrive_moves_only_what_is_accepted(self, queue: JobQueue) -> None:
        queue.send(messages(3))
        for message in drain(queue):
            code = "E_KEEP" if volume_of(message) == "I0001" else "E_AGAIN"
            queue.dead_letter(message.receipt, {"code": code})
        assert queue.redrive(lambda letter: letter.reason["code"] == "E_AGAIN") == 2
        assert sorted(volume_of(m) for m in drain(queue)) == ["I0000", "I0002"]
        assert queue.stats().dead == 1

    def test_redrive_of_nothing_is_nothing(self, queue: JobQueue) -> None:
        assert queue.redrive(bool) == 0

    def test_redrive_of_all_moves_all(self, queue: JobQueue) -> None:
        if not self.moves_all:
            pytest.skip("what plays this back-end here cannot move all")
        queue.send(messages(2))
        for message in drain(queue):
            queue.dead_letter(message.receipt, {"code": "E"})
        assert queue.redrive_all() == 2
        assert queue.redrive_all() == 0
        assert len(drain(queue)) == 2

    def test_a_dead_letter_of_ours_is_declared(self, queue: JobQueue) -> None:
        queue.send(messages(1))
        queue.dead_letter(take_one(queue).receipt, {"code": "E"})
        assert queue.undeclared_dead_letters(limit=10) == []
        assert len(queue.peek(limit=10, dead=True)) == 1

    def test_counts_what_waits_is_out_is_delayed_and_is_dead(self, queue: JobQueue) -> None:
        queue.send(messages(4))
        queue.send(messages(2), delay=60)
        queue.dead_letter(take_one(queue).receipt, {"code": "E"})
        take_one(queue)
        stats = queue.stats()
        assert (stats.visible, stats.in_flight, stats.delayed, stats.dead) == (2, 1, 2, 1)
        if self.tells_age:
            assert stats.oldest_seconds is not None
            assert 0 <= stats.oldest_seconds < 60

    def test_counts_of_an_empty_queue(self, queue: JobQueue) -> None:
        stats = queue.stats()
        assert (stats.visible, stats.in_flight, stats.delayed, stats.dead) == (0, 0, 0, 0)
        assert stats.oldest_seconds is None

    def test_peek_takes_nothing(self, queue: JobQueue) -> None:
        queue.send(messages(2))
        assert len(queue.peek(limit=10)) == 2
        assert len(drain(queue)) == 2

    def test_purge_leaves_the_dead_letters(self, queue: JobQueue) -> None:
        queue.send(messages(3))
        queue.dead_letter(take_one(queue).receipt, {"code": "E"})
        assert queue.purge().count == 2
        assert queue.stats().dead == 1
        assert queue.purge(dead=True).count == 1
        assert queue.stats().dead == 0

    def test_made_once_it_is_whole(self, queue: JobQueue) -> None:
        assert queue.create() == QueueSetup()
        assert queue.check() == QueueCondition()
