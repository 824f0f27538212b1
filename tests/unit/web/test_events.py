"""Events: the database is asked once for all who listen, seldom, and not at all while somebody asks already."""

import threading
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from bec_orch.errors import DatabaseError
from bec_orch.web.html.rendering import STATIC
from bec_orch.web.live import events
from bec_orch.web.live.events import Pulse


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_EVERY", 0.0)
    monkeypatch.setattr(events, "_REST", 0.0)
    monkeypatch.setattr(events, "_SLICE", 0.001)


def test_a_beat_is_that_of_the_database() -> None:
    beats = iter("aab")
    pulse = Pulse(lambda: next(beats))
    assert [pulse.beat() for _ in range(3)] == ["a", "a", "b"]


def test_the_database_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_EVERY", 60.0)
    beats = iter("ab")
    pulse = Pulse(lambda: next(beats))
    assert [pulse.beat() for _ in range(5)] == ["a"] * 5


def test_the_last_beat_holds_while_the_database_is_away() -> None:
    answers: list[Any] = ["a", DatabaseError("away"), "b"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    pulse = Pulse(ask)
    assert [pulse.beat() for _ in range(3)] == ["a", "a", "b"]


def test_nobody_waits_for_another_who_asks() -> None:
    asking, go = threading.Event(), threading.Event()

    def ask() -> str:
        asking.set()
        go.wait(10)
        return "late"

    pulse = Pulse(ask)
    first = threading.Thread(target=pulse.beat)
    first.start()
    assert asking.wait(10)
    assert pulse.beat() == ""
    go.set()
    first.join(10)


def heard(beats: list[str], most: int, listeners: int = 1, *, taken: int = 0) -> list[str]:
    """Return what a page hears while the beats come."""
    closing = threading.Event()
    left = iter(beats)

    def beat() -> str:
        found = next(left, None)
        if found is None:
            closing.set()
        return found or beats[-1]

    async def listen() -> list[str]:
        limiter = anyio.CapacityLimiter(listeners)
        for other in range(taken):
            limiter.acquire_on_behalf_of_nowait(other)
        sight: Any = SimpleNamespace(closing=closing)
        found = []
        async for event in events._events(sight, SimpleNamespace(beat=beat), limiter):  # type: ignore[arg-type]
            found.append(event)
            if len(found) == most:
                break
        assert limiter.borrowed_tokens == taken
        return found

    return anyio.run(listen)


def test_a_page_hears_of_changes_alone() -> None:
    found = heard(["a", "a", "b", "b", "c"], 100)
    assert [event.split("\n")[0] for event in found] == ["retry: 3000", ": alive", "event: change", "event: change"]


def test_more_pages_than_can_listen_are_told_to_come_again() -> None:
    assert heard(["a"], 100, taken=1) == ["retry: 60000\n\n"]


def test_templates_and_files_are_packed() -> None:
    assert {file.suffix for file in (STATIC.parent / "templates").iterdir()} == {".html"}
    assert (STATIC / "app.css").is_file()
