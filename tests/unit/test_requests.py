"""A page job whose model is behind a real HTTP server: slow, busy, hanging, failing, dead."""

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bec_orch.errors import Interrupted, RetryableError
from bec_orch.jobs.pipeline import requests
from tests.support.servers.served_model import ModelServer, ServedLengths, serving
from tests.unit.fakes import FlagStop, MemoryRows, context, resources

WAIT = 20.0


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_FIRST_PAUSE", 0.05)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(ModelServer()) as server:
        yield server


def worker(server: ModelServer, **config: Any) -> ServedLengths:
    return ServedLengths.create({"url": server.url, **config}, resources())


def volume(count: int) -> dict[str, bytes | Exception]:
    return {f"p{index}": b"x" * index for index in range(1, count + 1)}


def lengths(rows: MemoryRows) -> list[int]:
    return [rows.flushed[index].row["length"] for index in sorted(rows.flushed)]


def until(condition: Any) -> None:
    give_up = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_every_page_gets_its_answer(server: ModelServer) -> None:
    server.seconds = 0.02
    rows = MemoryRows()
    metrics = worker(server).run(context(volume(30), rows))
    assert lengths(rows) == list(range(1, 31))
    assert metrics.stages["infer"].count == 30
    assert server.most_at_once > 1, "many are in flight at once"


def test_no_more_are_in_flight_than_allowed(server: ModelServer) -> None:
    server.seconds = 0.02
    worker(server, requests_at_once=3).run(context(volume(20), MemoryRows()))
    assert server.most_at_once == 3


def share_busy(server: ModelServer, pages: int) -> float:
    server.work.clear()
    rows = MemoryRows()
    worker(server, requests_at_once=32).run(context(volume(pages), rows))
    assert lengths(rows) == list(range(1, pages + 1))
    return server.share_busy()


@pytest.mark.parametrize("refusal", [(429, "0.2"), (503, None)])
def test_a_server_of_known_capacity_is_kept_busy(server: ModelServer, refusal: tuple[int, str | None]) -> None:
    server.capacity, server.seconds, server.refusal = 4, 1.0, refusal
    # A machine that has other work may be late for once; who waits too long himself is so each time.
    assert any(share_busy(server, 12) >= 0.95 for _ in range(10))
    assert server.most_at_once == 4
    assert server.refused < 100, "it is not asked in vain for ever"


def test_the_pause_that_the_server_asks_for_is_kept(server: ModelServer) -> None:
    server.capacity, server.refusal = 0, (503, "0.3")
    rows, asked = MemoryRows(), list[float]()
    job = worker(server, requests_at_once=1)

    def note(_item: bytes) -> None:
        asked.append(time.monotonic())
        if len(asked) == 3:
            server.capacity = 1

    job.on_ask = note
    job.run(context(volume(1), rows))
    assert lengths(rows) == [1]
    assert all(later - earlier >= 0.3 for earlier, later in itertools.pairwise(asked))


def test_a_server_that_fails_now_and_then_is_asked_again(server: ModelServer) -> None:
    server.failing = 2
    rows = MemoryRows()
    worker(server, requests_at_once=1).run(context(volume(5), rows))
    assert lengths(rows) == [1, 2, 3, 4, 5]


def test_a_server_that_only_fails_stops_the_volume(server: ModelServer) -> None:
    server.failing = 1_000_000
    with pytest.raises(RetryableError) as caught:
        worker(server).run(context(volume(5), MemoryRows()))
    assert caught.value.code == "E_SERVER_FAILED"


def test_a_request_that_hangs_is_the_pages_error_and_leaves_no_thread(server: ModelServer) -> None:
    server.hanging = frozenset({b"xx"})
    rows = MemoryRows()
    before = threading.active_count()
    worker(server, request_timeout=0.5).run(context(volume(30), rows))
    assert (rows.flushed[1].error_type, rows.flushed[1].error_stage) == ("E_PAGE_TIMEOUT", "infer")
    assert [rows.flushed[index].row["length"] for index in (0, *range(2, 30))] == [1, *range(3, 31)]
    until(lambda: server.cut_off >= 3)
    until(lambda: threading.active_count() <= before + 1)


def test_a_server_that_answers_nobody_is_no_fault_of_the_pages(server: ModelServer) -> None:
    rows, pages = MemoryRows(), volume(5)
    server.hanging = frozenset(b"x" * length for length in range(1, 6))
    job = worker(server, request_timeout=0.2)
    with pytest.raises(RetryableError, match="and nobody else in that time") as caught:
        job.run(context(pages, rows))
    assert (caught.value.code, caught.value.charged, rows.flushed) == ("E_SERVER_SILENT", False, {})
    server.hanging = frozenset()
    job.run(context(pages, rows))
    assert lengths(rows) == [1, 2, 3, 4, 5]


def test_what_the_server_answered_before_does_not_count(server: ModelServer) -> None:
    job = worker(server, request_timeout=0.2)
    job.run(context(volume(3), MemoryRows()))
    server.hanging = frozenset({b"xx"})
    with pytest.raises(RetryableError) as caught:
        job.run(context({"p2": b"xx"}, MemoryRows()))
    assert caught.value.code == "E_SERVER_SILENT"


def test_a_server_that_dies_and_comes_back_costs_nothing(server: ModelServer) -> None:
    server.seconds = 0.05
    rows = MemoryRows()
    job = worker(server, requests_at_once=2)
    died = threading.Event()

    def restart() -> None:
        until(lambda: server.served >= 4)
        server.die()
        died.set()
        server.live()

    thread = threading.Thread(target=restart)
    thread.start()
    job.run(context(volume(30), rows))
    thread.join()
    assert died.is_set()
    assert lengths(rows) == list(range(1, 31))


def test_a_server_that_is_away_stops_the_volume(server: ModelServer) -> None:
    server.die()
    with pytest.raises(RetryableError) as caught:
        worker(server).run(context(volume(3), MemoryRows()))
    assert caught.value.code == "E_SERVER_AWAY"


def test_a_stop_cancels_what_is_in_flight_and_keeps_what_is_done(server: ModelServer) -> None:
    server.hanging = frozenset(b"x" * length for length in range(4, 12))
    stop, rows = FlagStop(), MemoryRows()
    # As many as there are pages: those that hang, and may be asked first, keep no other out.
    job = worker(server, requests_at_once=11)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            job.run(context(volume(11), rows, stop=stop))
        except Interrupted as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: server.served == 3 and server.at_once == 8)
    stop.why = "shutdown"
    thread.join(WAIT)
    assert not thread.is_alive()
    assert len(ended) == 1
    assert lengths(rows) == [1, 2, 3]
    until(lambda: server.cut_off >= 8)
