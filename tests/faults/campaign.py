"""Runs faults in lanes side by side, singly and in random pairs, and judges what they leave."""

import queue
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import psycopg

from bec_orch.errors import BecError
from tests.faults import away, database, machines, network, points, poison, world
from tests.faults.checks import NOTHING_WRONG, Verdict, judge
from tests.faults.fault import FAULTS, Fault
from tests.faults.lane import FLEET, Lane, Lanes
from tests.faults.processes import NotInjectedError
from tests.faults.scene import Scene

MODULES = (points, database, network, machines, poison, world, away)
"""Each puts its faults on the list when it is imported."""

_SAMPLE = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one scene: `error` when the fault could not be injected or the campaign itself failed.

    `log` is all that the processes of a scene that did not survive said.
    """

    backend: str
    faults: tuple[Fault, ...]
    seconds: float = 0.0
    verdict: Verdict = NOTHING_WRONG
    error: str = ""
    log: str = ""

    @property
    def survived(self) -> bool:
        """Whether every promise held."""
        return not self.error and self.verdict.held

    @property
    def name(self) -> str:
        """What befell, in words."""
        return " + ".join(fault.name for fault in self.faults)


Plan = Iterable[tuple[Fault, ...]]


def singles(backend: str, wanted: str = "") -> list[tuple[Fault, ...]]:
    """Return every fault of a back-end by itself, or those whose name or row has a word in it."""
    mine = (fault for fault in FAULTS if backend in fault.backends)
    return [(fault,) for fault in mine if wanted in f"{fault.row} {fault.name}"]


def short(backend: str, seed: int) -> list[tuple[Fault, ...]]:
    """Return what the short campaign runs: the faults that show most, and a sample of the rest that the seed picks."""
    every = singles(backend)
    telling = [plan for plan in every if plan[0].short and (backend != FLEET or plan[0].backends == {FLEET})]
    others = [plan for plan in every if plan not in telling]
    return telling + random.Random(seed).sample(others, _SAMPLE)


def pairs(backend: str, seed: int, minutes: float) -> Iterator[tuple[Fault, ...]]:
    """Return random pairs of faults until the time is up."""
    may_meet = [fault for fault in FAULTS if backend in fault.backends and not fault.alone]
    chance = random.Random(seed)
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        yield tuple(chance.sample(may_meet, 2))


def run(lanes: Lanes, plans: Plan, at_once: int, tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Play all plans.

    Args:
        lanes: opens what scenes play on.
        plans: which faults, one or two to a scene.
        at_once: how many scenes play side by side.
        tell: called with each outcome, from the lanes' threads.
    """
    todo, lock = iter(plans), threading.Lock()
    outcomes: list[Outcome] = []

    def next_plan() -> tuple[Fault, ...] | None:
        with lock:
            return next(todo, None)

    def play_all(_number: int) -> None:
        while (plan := next_plan()) is not None:
            with lanes.open() as lane:
                _play_on(lane, plan, next_plan, outcomes, tell)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(play_all, range(at_once)))
    return outcomes


def _play_on(
    lane: Lane,
    plan: tuple[Fault, ...] | None,
    next_plan: Callable[[], tuple[Fault, ...] | None],
    outcomes: list[Outcome],
    tell: Callable[[Outcome], None],
) -> None:
    """Play on one lane until nothing is left, or until a scene spoiled it."""
    while plan is not None:
        outcome = play(lane, plan)
        outcomes.append(outcome)
        tell(outcome)
        if outcome.error:
            return
        plan = next_plan()


def play(lane: Lane, faults: tuple[Fault, ...]) -> Outcome:
    """Play one scene: strike, let fresh workers finish, and judge."""
    scene = Scene(lane, migrated=all(fault.migrated for fault in faults))
    try:
        outcome = _played(scene, faults)
    except (NotInjectedError, BecError, psycopg.Error, OSError) as error:
        outcome = Outcome(lane.backend, faults, error=f"{type(error).__name__}: {error}")
    finally:
        scene.close()
    return outcome if outcome.survived else replace(outcome, log=scene.log())


def _played(scene: Scene, faults: Sequence[Fault]) -> Outcome:
    if len(faults) == 1:
        faults[0].strike(scene)
    else:
        _strike_together(scene, faults)
    scene.lane.calm()
    scene.finish()
    for process, code in scene.end_processes(lambda process: process.send_signal(signal.SIGTERM)):
        scene.promise(process.ended_well(code), f"a process ended with {code}: {process.log()[-300:]}")
    for fault in faults:
        if fault.after:
            fault.after(scene)
    return Outcome(scene.lane.backend, tuple(faults), scene.seconds, judge(scene))


def _strike_together(scene: Scene, faults: Sequence[Fault]) -> None:
    """Let all befall the scene at the same time; one may come too late, when the work is done.

    What a fault promises of its own worker, and whom it charges, holds only where nothing else befalls.
    """
    scene.enqueue()
    late: queue.SimpleQueue[NotInjectedError] = queue.SimpleQueue()

    def strike(fault: Fault) -> None:
        try:
            fault.strike(scene)
        except NotInjectedError as error:
            late.put(error)

    with ThreadPoolExecutor(len(faults)) as pool:
        list(pool.map(strike, faults))
    if late.qsize() == len(faults):
        raise late.get()
    scene.uncharged = False
    scene.broken.clear()
