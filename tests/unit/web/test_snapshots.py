"""Figures that take a while: taken once, not waited for, taken anew when they are old."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from bec_orch.errors import DatabaseError
from bec_orch.web.kept.snapshots import Snapshots


@pytest.fixture
def snapshots() -> Iterator[Snapshots]:
    found = Snapshots()
    yield found
    found.close()
    found.close()


def test_a_figure_that_is_there_in_time_is_shown(snapshots: Snapshots) -> None:
    taken: list[int] = []

    def take() -> int:
        taken.append(1)
        return 7

    for _ in range(3):
        found = snapshots.get("key", take, 10.0)
        assert found is not None
        assert found.value == 7
        assert found.age < 1.0
    assert taken == [1]


def test_one_that_takes_long_is_not_waited_for_and_taken_once(snapshots: Snapshots) -> None:
    go, taken = threading.Event(), []

    def take() -> str:
        go.wait(10)
        taken.append(1)
        return "late"

    assert snapshots.get("key", take, 0.0) is None
    assert snapshots.get("key", take, 0.01) is None
    go.set()
    found = snapshots.get("key", take, 10.0)
    assert found is not None
    assert (found.value, taken) == ("late", [1])


def test_an_old_one_is_shown_while_the_next_is_taken(snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bec_orch.web.kept.snapshots._FRESH", 0.0)
    monkeypatch.setattr("bec_orch.web.kept.snapshots._REST", 0.0)
    go = threading.Event()
    assert snapshots.get("key", lambda: "old", 10.0)

    def take() -> str:
        go.wait(10)
        return "new"

    meanwhile = snapshots.get("key", take, 0.0)
    assert meanwhile is not None
    assert meanwhile.value == "old"
    go.set()
    found = snapshots.get("key", take, 10.0)
    assert found is not None
    assert found.value == "new"


def test_a_fault_is_raised_and_asked_for_again(snapshots: Snapshots) -> None:
    def fail() -> str:
        raise DatabaseError("away")

    with pytest.raises(DatabaseError):
        snapshots.get("key", fail, 10.0)
    found = snapshots.get("key", lambda: "there", 10.0)
    assert found is not None
    assert found.value == "there"


def test_figures_have_their_own_keys(snapshots: Snapshots) -> None:
    for key in ("a", "b", ("a", "b")):
        found = snapshots.get(key, partial(str, key), 10.0)
        assert found is not None
        assert found.value == str(key)
