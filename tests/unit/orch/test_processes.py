"""Workers of this machine whose process is gone."""

import datetime as dt
import os
import subprocess
import sys

import pytest

from bec_orch.core.records.overview import WorkerCondition, WorkerView
from bec_orch.orch.overview.processes import seen_from

LONG_AGO = dt.timedelta(days=400)


def worker(
    pid: int,
    condition: WorkerCondition = WorkerCondition.WORKING,
    host: str = "desk",
    before: dt.timedelta = dt.timedelta(),
) -> WorkerView:
    """A worker that began now, or so long ago."""
    now = dt.datetime.now(dt.UTC)
    return WorkerView("w", "toy", host, pid, "1", condition, 1.0, (), now - before, now, None, None)


def conditions(host: str | None, *workers: WorkerView) -> list[WorkerCondition]:
    return [one.condition for one in seen_from(host, workers)]


@pytest.fixture
def ended() -> int:
    """The number of a process that ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("condition", [WorkerCondition.WORKING, WorkerCondition.IDLE])
def test_a_worker_whose_process_is_gone_is_lost(ended: int, condition: WorkerCondition) -> None:
    assert conditions("desk", worker(ended, condition)) == [WorkerCondition.LOST]


def test_one_that_was_killed_and_is_not_waited_for_is_lost() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert conditions("desk", worker(process.pid)) == [WorkerCondition.WORKING]
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert conditions("desk", worker(process.pid)) == [WorkerCondition.LOST]


def test_a_later_process_of_the_number_is_another() -> None:
    assert conditions("desk", worker(os.getpid()), worker(os.getpid(), before=LONG_AGO)) == [
        WorkerCondition.WORKING,
        WorkerCondition.LOST,
    ]


def test_workers_of_others_and_those_that_ended_are_left_as_they_are(ended: int) -> None:
    stopped = worker(ended, WorkerCondition.STOPPED)
    assert conditions("desk", worker(ended, host="elsewhere"), stopped) == ["working", "stopped"]
    assert conditions(None, worker(ended)) == ["working"]
