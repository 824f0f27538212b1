import threading

import anyio
import pytest

from bec_orch.jobs.pipeline import threads
from bec_orch.jobs.pipeline.budget import Budget, Share
from bec_orch.jobs.pipeline.threads import HungThreads

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def granted(budget: Budget, units: int, rank: int, log: list[tuple[int, int]]) -> Share:
    share = await budget.take(units, rank=rank)
    log.append((units, rank))
    return share


async def test_shares_go_by_rank_then_by_coming() -> None:
    budget, log = Budget(10), list[tuple[int, int]]()
    first = await budget.take(10)
    async with anyio.create_task_group() as group:
        for units, rank in ((1, 2), (2, 1), (3, 1), (4, 0)):
            group.start_soon(granted, budget, units, rank, log)
        await anyio.wait_all_tasks_blocked()
        assert log == []
        first.release()
    assert log == [(4, 0), (2, 1), (3, 1), (1, 2)]
    assert (budget.used, budget.peak) == (10, 10)


async def test_nobody_passes_one_who_waits_for_much() -> None:
    budget, log = Budget(10), list[tuple[int, int]]()
    first = await budget.take(5)
    async with anyio.create_task_group() as group:
        group.start_soon(granted, budget, 100, 0, log)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(granted, budget, 1, 0, log)
        await anyio.wait_all_tasks_blocked()
        assert log == []
        first.release()
        await anyio.wait_all_tasks_blocked()
        assert log == [(100, 0)]
        group.cancel_scope.cancel()


async def test_who_stops_waiting_takes_nothing_and_lets_others_by() -> None:
    budget, log = Budget(10), list[tuple[int, int]]()
    first = await budget.take(8)
    with anyio.move_on_after(0.01):
        await budget.take(9)
    await granted(budget, 2, 0, log)
    assert budget.used == 10
    first.release()
    first.release()
    assert budget.used == 2


async def test_a_share_changes_its_size_without_waiting() -> None:
    budget = Budget(10)
    with await budget.take(3) as share:
        share.resize(30)
        assert (budget.used, budget.peak) == (30, 30)
        share.resize(2)
        assert budget.used == 2
    assert budget.used == 0


async def test_calls_end_in_results_and_errors() -> None:
    hung = HungThreads()
    assert await hung.call(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        await hung.call(lambda: 1 // 0, 5)
    assert hung.count == 0


async def test_hung_calls_are_counted_until_they_come_back() -> None:
    hung, gate, back = HungThreads(), threading.Event(), threading.Event()

    def hang() -> None:
        gate.wait(5)
        back.set()

    with pytest.raises(TimeoutError):
        await hung.call(hang, 0.01)
    assert hung.count == 1
    gate.set()
    assert back.wait(5)
    with anyio.fail_after(5):
        while hung.count:  # noqa: ASYNC110  (the thread ends by itself)
            await anyio.sleep(0.001)


def test_a_thread_that_outlives_its_loop_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.01)
    gate, seen = threading.Event(), list[threading.Thread]()

    def hang() -> None:
        seen.append(threading.current_thread())
        gate.wait(5)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await HungThreads().call(hang, 0.05)

    monkeypatch.setattr(threads, "_idle", [])
    anyio.run(main)
    assert seen[0].daemon
    gate.set()
    seen[0].join(5)
    assert not seen[0].is_alive()


async def test_threads_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_idle", [])
    hung = HungThreads()
    used = {await hung.call(threading.get_ident, 5) for _ in range(20)}
    assert len(used) == 1


async def test_a_thread_that_is_taken_as_it_leaves_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.001)
    hung = HungThreads()
    for _ in range(100):
        assert await hung.call(lambda: 7, 5) == 7
        await anyio.sleep(0.001)
