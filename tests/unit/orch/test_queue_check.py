"""What a job's queue beside its tasks tells."""

from bec_orch.core.ports.queues import QueueStats
from bec_orch.core.records.overview import ExpectedMessages
from bec_orch.orch.overview.standing import MOST_IN_FLIGHT, QueueCheck


def check(in_flight: int, dispatched: int) -> QueueCheck:
    return QueueCheck(QueueStats(0, in_flight, 0, 0, None), ExpectedMessages(dispatched, 0, 0, 0))


def test_a_queue_that_hands_out_no_more_is_reported() -> None:
    assert check(MOST_IN_FLIGHT, MOST_IN_FLIGHT).is_full
    assert not check(MOST_IN_FLIGHT - 1, MOST_IN_FLIGHT).is_full


def test_messages_in_flight_are_not_missing() -> None:
    assert check(3, 3).missing_messages == 0
    assert check(3, 5).disagreements == ("2 tasks without a message: workers send what is missing in time",)
