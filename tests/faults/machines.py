"""What befalls the machines that workers run on: they are taken back, switched off, full, or wrong about the time."""

import signal
import time
from functools import partial
from pathlib import Path

from bec_orch.core.fault_points import FaultPoint
from tests.faults.fault import Fault, add
from tests.faults.scene import LEASE, Scene
from tests.support.servers.fake_imds import fake_imds

_SKEWED = str(Path(__file__).parent / "skewed")
_SMALL_FILES = ("prlimit", "--fsize=600")
_HANGING = "I0002"
_NOTICE = "meta-data/spot/instance-action"
# Seconds stopped and running, by turns, for longer than two leases.
_STARVED = (0.45, 0.05)
_STARVED_FOR = 8.0


def _stopped_twice(scene: Scene) -> None:
    """The second SIGTERM takes the grace away: the task is given back at the next page."""
    scene.slow(0.5)
    scene.enqueue()
    worker = scene.hit(f"{FaultPoint.PAGE_DONE}:pause", BEC_GRACE_SECONDS="60")
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    worker.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    scene.promise(worker.wait() == 0, "a worker that was told twice to stop did not end well")
    scene.promise(time.monotonic() - begun < 5, "a worker that was told twice to stop took its time")
    scene.uncharged = True
    scene.slow(0.03)


def _spot_notice(scene: Scene, point: FaultPoint) -> None:
    """EC2 takes the machine back: the worker gives its task back, and says why it went."""
    scene.slow(1.0)
    scene.enqueue()
    with fake_imds() as imds:
        worker = scene.hit(f"{point}:pause", BEC_IMDS_URL=imds.url, BEC_GRACE_SECONDS="1")
        imds.told[_NOTICE] = '{"action": "terminate"}'
        scene.promise(worker.wait() == 0, "a worker whose machine was taken back did not end well")
    reasons = {row["stop_reason"] for row in scene.sql("SELECT stop_reason FROM workers")}
    scene.promise(reasons == {"spot"}, f"the database says {reasons} for a spot notice")
    scene.uncharged = True
    scene.slow(0.03)


def _switched_off(scene: Scene) -> None:
    """Two worker processes and what started them are gone at once."""
    scene.slow(0.3)
    scene.enqueue()
    machine = scene.worker("--processes", "2")
    machine.wait_for("task.claimed")
    time.sleep(0.5)
    machine.kill_group()
    scene.slow(0.03)


def _one_of_two_stopped(scene: Scene) -> None:
    """Two workers on one host are two workers."""
    scene.slow(0.3)
    scene.enqueue()
    stopped, other = scene.worker(), scene.worker()
    for worker in (stopped, other):
        worker.wait_for("task.claimed")
    stopped.send_signal(signal.SIGTERM)
    scene.promise(stopped.wait() == 0, "the worker that was stopped did not end well")
    scene.promise(other.running, "stopping one worker ended the other on the same host")
    scene.uncharged = True
    scene.slow(0.03)


def _skewed(scene: Scene, seconds: int) -> None:
    """One worker's clock is wrong; others work beside it."""
    scene.slow(0.3)
    scene.enqueue()
    path = f"{_SKEWED}:{scene.environment['PYTHONPATH']}"
    wrong = scene.worker(PYTHONPATH=path, BEC_TEST_CLOCK_SKEW=str(seconds))
    right = scene.worker()
    for worker in (wrong, right):
        worker.wait_for("task.claimed")
    scene.uncharged = True


def _starved(scene: Scene) -> None:
    """One worker gets a tenth of the CPU, and keeps its task: a slow worker is no dead one."""
    scene.slow(0.3)
    scene.enqueue()
    starved = scene.worker()
    starved.wait_for("task.claimed")
    scene.worker()
    until = time.monotonic() + _STARVED_FOR
    while time.monotonic() < until:
        for number, seconds in zip((signal.SIGSTOP, signal.SIGCONT), _STARVED, strict=True):
            starved.signal_group(number)
            time.sleep(seconds)
    scene.promise(starved.running, "a worker did not outlive the lack of CPU")
    scene.uncharged = True


def _suspended(scene: Scene) -> None:
    """A worker and its processes are stopped for two leases, and go on: nobody else was there, and nothing is lost."""
    scene.slow(0.3)
    scene.enqueue()
    worker = scene.worker("--until-empty")
    worker.wait_for("task.claimed")
    worker.signal_group(signal.SIGSTOP)
    time.sleep(2 * LEASE)
    worker.signal_group(signal.SIGCONT)
    scene.promise(worker.wait() == 0, "a worker that was suspended did not end well")
    scene.uncharged = True


def _hangs_at_the_stop(scene: Scene) -> None:
    """A call into a library hangs when the worker is told to stop: its process is killed, and nobody is charged."""
    key, length = scene.page_key(_HANGING, 0), scene.expected[_HANGING].lengths[0]
    scene.put(key, b"this page never ends")
    scene.enqueue()
    worker = scene.worker(BEC_GRACE_SECONDS="1")
    scene.until(lambda: any(_HANGING in event.get("volume", "") for event in worker.events), "the page was reached")
    time.sleep(0.5)
    worker.send_signal(signal.SIGTERM)
    scene.promise(worker.wait() == 1, "a worker whose process hung did not end with 1")
    codes = {row["code"] for row in scene.sql("SELECT code FROM task_attempts WHERE outcome = 'died'")}
    scene.promise(codes == {"E_WORKER_LATE"}, f"the attempt that hung was recorded as {codes}")
    scene.uncharged = True
    scene.put(key, b"x" * (length or 0))


def _full_disk(scene: Scene) -> None:
    """No file may become larger than some bytes: what happens on a full disk, without a disk of one's own."""
    scene.enqueue()
    worker = scene.worker(before=_SMALL_FILES)
    worker.wait_for("task.failed", code="E_DISK_FULL")
    worker.send_signal(signal.SIGTERM)
    worker.wait()
    scene.uncharged = True


def _add_all() -> None:
    add(Fault("F05", "SIGTERM twice in mid-run", _stopped_twice, short=True))
    for point in (FaultPoint.TASK_RECEIVED, FaultPoint.PAGE_DONE, FaultPoint.PARQUET_UPLOADED):
        strike = partial(_spot_notice, point=point)
        add(Fault("F06", f"spot notice at {point}", strike, alone=True, short=point is FaultPoint.PAGE_DONE))
    add(Fault("F07", "machine switched off under two workers", _switched_off, short=True))
    add(Fault("F11", "one of two workers on a host stopped", _one_of_two_stopped, short=True))
    add(Fault("F09", "one worker gets a tenth of the CPU", _starved))
    add(Fault("F04", "worker suspended for two leases", _suspended, alone=True, short=True))
    add(Fault("F10", "page hangs when the worker is to stop", _hangs_at_the_stop, alone=True, short=True))
    for seconds in (600, 10800, -10800):
        add(Fault("F37", f"clock of one worker {seconds:+} s", partial(_skewed, seconds=seconds), short=seconds == 600))
    add(Fault("F38", "disk full", _full_disk, short=True))


_add_all()
