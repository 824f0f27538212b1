"""Worker processes on this machine: started detached, found again, stopped."""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bec_orch.core.locks import open_lock, try_lock
from bec_orch.errors import ConfigError, RetryableError, UsageError
from bec_orch.orch.machines import local as local_module
from bec_orch.orch.machines.local import LocalScaling
from bec_orch.orch.machines.plans import Plan, apply
from tests.integration.test_scaling import worker

# Says that it can be told to stop, and then ends only when it is.
OBEDIENT = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('ready', flush=True)"
STUBBORN = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True)"
WAITS = "; signal.pause()"


def scaling(home: Path, code: str = OBEDIENT + WAITS, job: str = "ldv1", patience: float = 10) -> LocalScaling:
    return LocalScaling(job, home, [sys.executable, "-c", code], patience=patience)


def do(plan: Plan) -> list[str]:
    return list(apply(plan))


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.01)


def ready(home: Path, *names: str) -> None:
    """Wait until the workers with these logs listen to signals."""
    until(lambda: all("ready" in (home / "logs" / f"{name}.log").read_text() for name in names))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for file in (tmp_path / "workers").glob("*.json"):
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)


def test_up_starts_what_is_missing_and_down_stops_what_is_too_much(home: Path) -> None:
    local = scaling(home)
    plan = local.plan_up(2)
    assert [said.split(";")[0] for said in plan.words] == ["start a worker", "start a worker"]
    assert local.status() == ()

    do(plan)
    ready(home, "ldv1.1", "ldv1.2")
    first, second = local.status()
    assert first.running
    assert second.running
    assert first.log.read_text() == "ready\n"
    assert os.getsid(first.pid) != os.getsid(0)
    assert psutil.Process(first.pid).ppid() != os.getpid()
    assert local.plan_up(2).words == ()

    # Another process finds them by their files.
    again = scaling(home)
    stopped = do(again.plan_down(1))
    assert stopped == [f"tell worker 2 (process {second.pid}) to stop", "wait until they have ended"]
    assert [one.number for one in again.status()] == [1]
    until(lambda: not psutil.pid_exists(second.pid) or psutil.Process(second.pid).status() == psutil.STATUS_ZOMBIE)

    do(again.plan_down())
    assert again.status() == ()
    nothing = again.plan_down()
    assert nothing.words == ()
    assert nothing.remarks


def test_jobs_are_kept_apart(home: Path) -> None:
    do(scaling(home).plan_up(1))
    do(scaling(home, job="ocr").plan_up(1))
    ready(home, "ldv1.1", "ocr.1")

    do(scaling(home, job="ocr").plan_down())

    assert [one.running for one in scaling(home).status()] == [True]


def test_a_worker_that_died_is_reported_and_replaced(home: Path) -> None:
    local = scaling(home, code="raise SystemExit('no model')")
    do(local.plan_up(1))
    until(lambda: not local.status()[0].running)

    assert "no model" in local.status()[0].log.read_text()
    assert len(local.plan_up(1).words) == 1


def test_a_pid_that_came_back_is_somebody_else(home: Path) -> None:
    local = scaling(home)
    do(local.plan_up(1))
    ready(home, "ldv1.1")
    pid = local.status()[0].pid
    file = home / "workers" / "ldv1.1.json"
    file.write_text(json.dumps({"pid": pid, "began": 12.5}))

    assert not local.status()[0].running
    assert local.plan_down().words == ()
    os.kill(pid, signal.SIGKILL)


def test_a_worker_that_takes_too_long_is_not_killed(home: Path) -> None:
    local = scaling(home, STUBBORN + WAITS, patience=0.2)
    do(local.plan_up(1))
    ready(home, "ldv1.1")

    with pytest.raises(RetryableError) as raised:
        do(local.plan_down())

    assert raised.value.code == "E_SCALE_DRAINING"
    assert local.status()[0].running


def test_a_worker_that_ended_before_it_was_told_to_is_no_fault(home: Path) -> None:
    local = scaling(home)
    do(local.plan_up(1))
    ready(home, "ldv1.1")
    plan = local.plan_down()
    pid = local.status()[0].pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not local.status()[0].running)

    do(plan)

    assert local.status() == ()


def test_what_the_database_knows_stands_beside_the_process(home: Path) -> None:
    local = scaling(home)
    do(local.plan_up(1))
    pid = local.status()[0].pid
    elsewhere = worker("i-1.ec2.internal")
    here = replace(elsewhere, pid=pid, host=socket.gethostname())

    [found] = local.status([elsewhere, here])

    assert found.view == here


@pytest.mark.parametrize("count", [0, 65])
def test_a_number_that_makes_no_sense_is_refused(home: Path, count: int) -> None:
    with pytest.raises(UsageError) as raised:
        scaling(home).plan_up(count)

    assert raised.value.code == "E_SCALE_BOUNDS"


def test_up_does_not_stop_workers(home: Path) -> None:
    do(scaling(home).plan_up(2))

    with pytest.raises(UsageError) as raised:
        scaling(home).plan_up(1)

    assert raised.value.code == "E_SCALE_SMALLER"


def test_a_home_that_cannot_be_written_is_reported(home: Path) -> None:
    (home / "workers").write_text("a file")

    with pytest.raises(ConfigError) as raised:
        do(scaling(home).plan_up(1))

    assert raised.value.code == "E_SCALE_START"


def test_a_broken_pid_file_is_no_worker(home: Path) -> None:
    (home / "workers").mkdir()
    (home / "workers" / "ldv1.1.json").write_text("{")

    assert scaling(home).status() == ()


def test_two_that_plan_at_once_start_what_was_asked_for(home: Path) -> None:
    first, second = scaling(home), scaling(home)
    plans = [first.plan_up(2), second.plan_up(2)]
    for plan in plans:
        do(plan)
    ready(home, "ldv1.1", "ldv1.2")
    pids = {one.pid for one in first.status()}
    assert len(pids) == 2
    assert [(home / "logs" / f"ldv1.{number}.log").read_text() for number in (1, 2)] == ["ready\n", "ready\n"]


def test_who_starts_workers_is_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "_LOCK_WAIT", 0.0)
    plan = scaling(home).plan_up(1)
    (home / "workers").mkdir()
    with open_lock(home / "workers" / "ldv1.lock") as file:
        assert try_lock(file)
        with pytest.raises(RetryableError) as caught:
            do(plan)
    assert caught.value.code == "E_SCALE_BUSY"
    assert scaling(home).status() == ()


def test_a_worker_that_took_over_a_number_is_not_forgotten(home: Path) -> None:
    local = scaling(home)
    do(local.plan_up(1))
    ready(home, "ldv1.1")
    stop, wait = local.plan_down().actions
    stop.do()
    (gone,) = local.status()
    until(lambda: not local.status()[0].running)
    do(scaling(home).plan_up(1))
    wait.do()
    (there,) = local.status()
    assert there.running
    assert there.pid != gone.pid


def test_what_is_known_of_a_worker_is_that_of_the_process_that_works_for_it(home: Path) -> None:
    started = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    local = LocalScaling("ldv1", home, [sys.executable, "-c", started, OBEDIENT + WAITS], patience=10)
    do(local.plan_up(1))
    ready(home, "ldv1.1")
    (child,) = psutil.Process(local.status()[0].pid).children()
    known = replace(worker("w"), pid=child.pid, host=socket.gethostname())
    assert local.status([known])[0].view == known
    child.kill()
