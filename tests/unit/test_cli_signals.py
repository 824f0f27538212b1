"""A signal is obeyed whenever it comes."""

import signal
from collections.abc import Iterator

import pytest

from bec_orch.cli import signals
from bec_orch.cli.signals import interrupt_on_sigterm, stopping


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    signals._interrupted.clear()


def test_an_interrupt_that_was_lost_still_stops_what_comes_after() -> None:
    interrupt_on_sigterm()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    asked: list[str] = []
    with stopping(asked.append, "Stopping.") as request:
        assert (asked, request.asked) == (["shutdown"], True)


def test_a_signal_within_the_block_stops_and_one_after_it_is_none_of_its_business() -> None:
    asked: list[str] = []
    with stopping(asked.append, "Stopping.") as request:
        assert not request.asked
        signal.raise_signal(signal.SIGTERM)
    assert asked == ["shutdown"]
