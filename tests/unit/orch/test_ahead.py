"""Working ahead: in order, bounded, and failures in their turn."""

import threading
from collections.abc import Iterator

import pytest

from bec_orch.orch.ahead import ahead, batches


def test_results_come_in_order_and_never_many_at_once() -> None:
    begun: list[int] = []

    def things() -> Iterator[int]:
        for number in range(100):
            begun.append(number)
            yield number

    results = ahead(lambda number: number * 2, things(), threads=3)
    assert next(results) == 0
    assert len(begun) == 7, "twice the threads wait, and one was taken"
    assert list(results) == [number * 2 for number in range(1, 100)]


def test_a_failure_is_raised_in_its_turn_and_ends_the_rest() -> None:
    gate = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            raise ZeroDivisionError
        gate.wait(0 if number == 0 else 10)
        return number

    results = ahead(work, range(1000), threads=2)
    assert next(results) == 0
    gate.set()
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_batches_hold_everything_once() -> None:
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
