"""Faults at every step of a task's life: killed, stopped, told to stop, and failing right there."""

import signal
import time
from functools import partial

from bec_orch.core.fault_points import FaultPoint
from tests.faults.fault import Fault, add
from tests.faults.processes import Process
from tests.faults.scene import LEASE, Scene

_ROWS = {"kill9": "F01", "gone": "F07", "term": "F02", "raise": "F03"}
_WORDS = {"kill9": "kill -9", "gone": "machine gone", "term": "SIGTERM", "raise": "exception"}
_ENQUEUEING = (FaultPoint.ENQUEUE_RECORDED, FaultPoint.ENQUEUE_SENT)
_ZOMBIES = (
    FaultPoint.TASK_RECEIVED,
    FaultPoint.TASK_CLAIMED,
    FaultPoint.PAGE_DONE,
    FaultPoint.PARQUET_CLOSED,
    FaultPoint.PARQUET_UPLOADED,
    FaultPoint.TASK_FENCED,
    FaultPoint.SUCCESS_PUT,
)
# A worker that is told to stop ends within its grace period and what the start of a stop takes.
_STOPS_WITHIN = 10.0


def _strike(scene: Scene, point: FaultPoint, action: str) -> None:
    plan = f"{point}:{action}"
    if point is FaultPoint.MIGRATION_APPLIED:
        _migrate(scene, plan)
    elif point in _ENQUEUEING:
        _enqueue(scene, plan)
    else:
        worker = _hit_worker(scene, point, action)
        if action == "term":
            _check_stop(scene, worker)


def _migrate(scene: Scene, plan: str) -> None:
    broken = scene.bec("db", "init", failpoint=plan)
    broken.wait_for("fault.injected")
    scene.promise(broken.wait() != 0, "a migration that was cut off said that it was done")
    scene.run("db", "init")
    scene.create_job()
    scene.enqueue()


def _enqueue(scene: Scene, plan: str) -> None:
    arguments = ("queue", "enqueue", scene.name, "--file", str(scene.volumes_file()))
    broken = scene.bec(*arguments, failpoint=plan)
    broken.wait_for("fault.injected")
    scene.promise(broken.wait() != 0, "an enqueueing that was cut off said that it was done")
    scene.run(*arguments)


def _hit_worker(scene: Scene, point: FaultPoint, action: str) -> Process:
    scene.enqueue()
    if point is FaultPoint.MAINTENANCE_FOUND:
        scene.purge()
        scene.sql("UPDATE tasks SET dispatched_at = NULL")
    elif point is FaultPoint.SUCCESS_REPLACING:
        scene.finish()
        scene.generations = 2
        scene.enqueue(force=True)
    elif point is FaultPoint.TASK_RELEASING:
        return scene.hit(f"{FaultPoint.PAGE_DONE}:term:2,{point}:{action}", BEC_GRACE_SECONDS="0.01")
    return scene.hit(f"{point}:{action}:{2 if point is FaultPoint.PAGE_DONE else 1}")


def _check_stop(scene: Scene, worker: Process) -> None:
    begun = time.monotonic()
    code = worker.wait(_STOPS_WITHIN + 10)
    scene.promise(code == 0, f"a worker that was told to stop ended with {code}")
    scene.promise(time.monotonic() - begun < _STOPS_WITHIN, "a worker that was told to stop outlived its grace period")
    scene.uncharged = True


def _zombie(scene: Scene, point: FaultPoint) -> None:
    """A worker sleeps for longer than its lease, wakes up when others have done its work, and changes nothing."""
    scene.enqueue()
    worker = scene.hit(f"{point}:stop:{2 if point is FaultPoint.PAGE_DONE else 1}")
    time.sleep(LEASE * 1.2)
    scene.finish()
    before = _published(scene)
    worker.signal_group(signal.SIGCONT)
    time.sleep(2 * LEASE / 4)
    worker.send_signal(signal.SIGTERM)
    scene.promise(worker.wait() == 0, "a worker that woke up did not end well")
    scene.promise(_published(scene) == before, "a worker that woke up changed what others had published")


def _published(scene: Scene) -> dict[str, bytes]:
    store = scene.destination()
    tasks = scene.sql(
        "SELECT v.w_id, v.i_id, v.source, t.manifest_etag FROM tasks t JOIN volumes v ON v.id = t.volume_id "
        "WHERE t.state = 'done'"
    )
    found = {}
    for task in tasks:
        success = scene.success(task)
        if success:
            blobs = [store.read(key) for key in (f"{success.location.prefix}/success.json", success.files[0].key)]
            found[task["i_id"]] = b"".join(blob.data for blob in blobs if blob)
    return found


def _add_all() -> None:
    for action, row in _ROWS.items():
        for point in FaultPoint:
            name = f"{_WORDS[action]} at {point}"
            strike = partial(_strike, point=point, action=action)
            migrated = point is not FaultPoint.MIGRATION_APPLIED
            alone = not migrated or point in {*_ENQUEUEING, FaultPoint.SUCCESS_REPLACING}
            add(Fault(row, name, strike, migrated=migrated, alone=alone, short=action == "gone"))
    for point in _ZOMBIES:
        short = point in {FaultPoint.PAGE_DONE, FaultPoint.TASK_FENCED}
        add(Fault("F04", f"zombie at {point}", partial(_zombie, point=point), alone=True, short=short))


_add_all()
