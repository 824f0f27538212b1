"""What a worker learns from the instance metadata service, and what it does elsewhere than on EC2."""

import logging
import queue
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bec_orch.errors import RetryableError
from bec_orch.io.aws.imds import Ec2Machine, InstanceMetadata, NoticeWatcher, known_machine, metadata_of_this_machine
from tests.support.servers.fake_imds import FakeImds, fake_imds

SPOT = "meta-data/spot/instance-action"
REBALANCE = "meta-data/events/recommendations/rebalance"
TARGET_STATE = "meta-data/autoscaling/target-lifecycle-state"
OFTEN = 0.01


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    with fake_imds() as server:
        yield server


@pytest.fixture
def unheard() -> Iterator[str]:
    """The URL of a port that nobody listens at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_the_machine_is_found_with_one_token(imds: FakeImds) -> None:
    machine = InstanceMetadata(imds.url).machine()

    assert machine == Ec2Machine("i-0123456789abcdef0", "g6.xlarge", "spot", "us-east-1b")
    assert imds.tokens == 1


def test_a_token_that_ran_out_is_renewed(imds: FakeImds) -> None:
    metadata = InstanceMetadata(imds.url)
    metadata.machine()
    imds.tokens += 1

    assert metadata.machine().lifecycle == "spot"
    assert imds.tokens == 3


def test_what_is_not_there_is_none_and_not_an_error(imds: FakeImds) -> None:
    assert InstanceMetadata(imds.url).read("meta-data/no-such-thing") is None


def test_elsewhere_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / "sys_vendor").write_text("QEMU\n")

    assert metadata_of_this_machine(firmware=tmp_path) is None
    assert metadata_of_this_machine(firmware=tmp_path / "nowhere") is None
    assert known_machine(None) is None


@pytest.mark.parametrize(("file", "text"), [("sys_vendor", "Amazon EC2\n"), ("bios_version", "4.11.amazon\n")])
def test_ec2_is_known_by_its_firmware(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)

    assert metadata_of_this_machine(firmware=tmp_path)


def test_another_address_is_taken_whatever_the_firmware(imds: FakeImds, tmp_path: Path) -> None:
    metadata = metadata_of_this_machine(imds.url, firmware=tmp_path)

    assert metadata
    assert metadata.machine().instance_id == "i-0123456789abcdef0"


def test_a_service_that_does_not_answer_is_logged_and_the_machine_unknown(
    unheard: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert known_machine(InstanceMetadata(unheard)) is None
    told = [record.getMessage() for record in caplog.records if record.name != "stamina"]
    assert told == ["machine.unknown"]


@pytest.mark.parametrize("gone", ["meta-data/instance-type", "meta-data/instance-life-cycle"])
def test_half_an_answer_is_an_error(imds: FakeImds, gone: str) -> None:
    del imds.told[gone]

    with pytest.raises(RetryableError) as raised:
        InstanceMetadata(imds.url).machine()

    assert raised.value.code == "E_IMDS"
    assert gone in raised.value.message


def test_a_fault_of_the_service_is_an_error(imds: FakeImds) -> None:
    metadata = InstanceMetadata(imds.url)
    metadata.machine()
    imds.broken = True

    with pytest.raises(RetryableError):
        metadata.read(SPOT)
    with pytest.raises(RetryableError):
        InstanceMetadata(imds.url).read(SPOT)


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        (SPOT, '{"action": "terminate", "time": "2026-01-01T00:00:00Z"}', "spot"),
        (REBALANCE, '{"noticeTime": "2026-01-01T00:00:00Z"}', "rebalance"),
        (TARGET_STATE, "Terminated", "scale_in"),
    ],
)
def test_a_notice_is_handed_on_once(imds: FakeImds, path: str, body: str, reason: str) -> None:
    notices: queue.Queue[str] = queue.Queue()
    imds.told[TARGET_STATE] = "InService"

    with NoticeWatcher(InstanceMetadata(imds.url), notices.put, every=OFTEN):
        assert imds.asked.wait(5)
        assert notices.empty()
        imds.told[path] = body
        assert notices.get(timeout=5) == reason

    assert notices.empty()


def test_the_two_minutes_of_a_spot_machine_come_before_other_notices(imds: FakeImds) -> None:
    imds.told |= {REBALANCE: "{}", TARGET_STATE: "Terminated", SPOT: "{}"}

    assert InstanceMetadata(imds.url).notice() == "spot"


def test_the_watch_outlives_faults_of_the_service(imds: FakeImds, caplog: pytest.LogCaptureFixture) -> None:
    notices: queue.Queue[str] = queue.Queue()
    imds.broken = True

    with caplog.at_level(logging.WARNING), NoticeWatcher(InstanceMetadata(imds.url), notices.put, every=OFTEN):
        assert imds.asked.wait(5)
        imds.told[SPOT] = "{}"
        imds.broken = False
        assert notices.get(timeout=5) == "spot"

    events = [record.getMessage() for record in caplog.records]
    assert events[-1] == "machine.notice"
    assert "machine.notices_unknown" in events


def test_a_watch_ends_at_once_without_a_notice_and_elsewhere_than_on_ec2(imds: FakeImds) -> None:
    notices: queue.Queue[str] = queue.Queue()

    with NoticeWatcher(InstanceMetadata(imds.url), notices.put, every=3600):
        assert imds.asked.wait(5)
    with NoticeWatcher(None, notices.put):
        pass

    assert notices.empty()


def test_a_service_that_answers_late_once_is_asked_again() -> None:
    class Late(InstanceMetadata):
        asked = 0

        def machine(self) -> Ec2Machine:
            self.asked += 1
            if self.asked < 3:
                raise RetryableError("It answers nothing.", code="E_IMDS")
            return Ec2Machine("i-1", "g6.xlarge", "spot", "us-east-1a")

    late = Late()
    found = known_machine(late)
    assert found
    assert (found.instance_type, late.asked) == ("g6.xlarge", 3)
