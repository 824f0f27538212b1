"""Fault points: off unless armed, once each, and every one of them stands in the code."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bec_orch
from bec_orch.core.fault_points import FaultPoint, Injected, arm, reached
from bec_orch.errors import ConfigError


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm("")


def test_nothing_happens_where_nothing_is_armed() -> None:
    for point in FaultPoint:
        reached(point)


def test_a_fault_happens_once_at_the_visit_that_is_named() -> None:
    arm("page.done:raise:3, task.claimed:raise")
    reached(FaultPoint.PAGE_DONE)
    reached(FaultPoint.PAGE_DONE)
    with pytest.raises(Injected, match=r"page\.done"):
        reached(FaultPoint.PAGE_DONE)
    reached(FaultPoint.PAGE_DONE)
    with pytest.raises(Injected):
        reached(FaultPoint.TASK_CLAIMED)


def test_another_plan_takes_the_place_of_the_first() -> None:
    arm("page.done:raise")
    arm("task.claimed:raise")
    reached(FaultPoint.PAGE_DONE)


@pytest.mark.parametrize("action", ["kill9", "gone", "term", "stop"])
def test_signals_go_to_the_process_itself(action: str) -> None:
    code = f"from bec_orch.core.fault_points import *; arm('page.done:{action}'); reached(FaultPoint.PAGE_DONE)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    if action == "stop":
        # A stopped process would never end by itself; WUNTRACED would tell, and so does the wait for its end.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.send_signal(signal.SIGCONT)
    killed = -signal.SIGKILL
    assert process.wait(30) == {"kill9": killed, "gone": killed, "term": -signal.SIGTERM, "stop": 0}[action]


@pytest.mark.parametrize(
    "plan", ["page.done", "page.done:explode", "nowhere:kill9", "page.done:kill9:0", "page.done:raise:x"]
)
def test_a_plan_that_names_nothing_known_is_refused(plan: str) -> None:
    with pytest.raises(ConfigError) as refused:
        arm(plan)
    assert refused.value.code == "E_FAILPOINT"
    assert "kill9" in refused.value.hint


def test_every_point_stands_at_one_place_of_the_code() -> None:
    package = Path(bec_orch.__file__).parent
    code = "".join(file.read_text("utf-8") for file in package.rglob("*.py"))
    visited = re.findall(r"reached\(FaultPoint\.(\w+)\)", code)
    assert sorted(visited) == sorted(point.name for point in FaultPoint)
