"""Pages that kill, crash, hang or starve whoever works on them: one is left out, and costs the others nothing."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import stamina

from tests.faults.fault import Fault, add
from tests.faults.lane import EMBEDDED
from tests.faults.scene import Expected, Scene

_POISONED, _PAGE = "I0002", 1
_ATTEMPTS = 2
# What a pipe held of failed tasks, and more.
_HUNDREDS = 250
_LONG = 600.0
_CGROUP = Path("/sys/fs/cgroup/memory")
_LIMIT = 700 * 2**20


def _poison(scene: Scene, data: bytes) -> None:
    """Poison one page of one volume, of a job that tries twice."""
    scene.update_job(max_attempts=_ATTEMPTS)
    scene.put(scene.page_key(_POISONED, _PAGE), data)
    lengths = scene.expected[_POISONED].lengths
    scene.expected[_POISONED] = Expected("done", (*lengths[:_PAGE], None, *lengths[_PAGE + 1 :]))
    scene.enqueue()


def _deadly(scene: Scene, data: bytes, code: str, start: Callable[[Scene], None]) -> None:
    """A page takes its worker with it, each time; it is left out after as many attempts as the job allows."""
    _poison(scene, data)
    start(scene)
    scene.until(lambda: scene.unfinished() == 0, "all was done by workers that die and are replaced")
    found = scene.sql("SELECT code, died_at FROM task_attempts WHERE outcome = 'died'")
    deaths = [(row["code"], row["died_at"]) for row in found]
    scene.promise(deaths == [(code, [_PAGE])] * _ATTEMPTS, f"the deaths were recorded as {deaths}")


def _failing(scene: Scene, data: bytes) -> None:
    """A task that fails each time is given up after as many attempts as the job allows; the others are done."""
    _poison(scene, data)
    scene.expected[_POISONED] = Expected("terminal_failed", code="E_ATTEMPTS_EXHAUSTED")
    scene.worker()
    scene.until(lambda: scene.unfinished() == 0, "all was done but the volume that fails")


def _hundreds(scene: Scene) -> None:
    """Hundreds of volumes that are not there fail for good: the worker counts them, and ends."""
    gone = Expected("terminal_failed", code="E_MANIFEST_MISSING")
    scene.expected.update({f"I1{number:03}": gone for number in range(_HUNDREDS)})
    scene.enqueue()
    worker = scene.worker("--until-empty", "--json", BEC_BLACK_HOLE_GUARD="1000")
    scene.promise(worker.wait(_LONG) == 1, "a worker did not end after hundreds of failed tasks")
    scene.promise(f'"failed": {_HUNDREDS}' in worker.log(), "a worker does not tell how many tasks failed")


def _plain(scene: Scene) -> None:
    scene.worker()


def _group(scene: Scene) -> Path:
    return _CGROUP / f"bec-{os.getpid()}-{scene.name}"


def _starved(scene: Scene) -> None:
    """In a control group of little memory, so that the system kills for real."""
    group = _group(scene)
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(_LIMIT))
    scene.worker(before=("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"))


def _remove_group(scene: Scene) -> None:
    """Its processes have ended, but the system may still be at their memory."""
    for attempt in stamina.retry_context(on=OSError, attempts=None, timeout=20):
        with attempt:
            _group(scene).rmdir()


def _stalling(scene: Scene) -> None:
    scene.worker(BEC_STALL_SECONDS="2")


def _add_all() -> None:
    add(_fault("F42", "page that kills each worker", b"this page kills whoever reads it", "E_WORKER_KILLED", _plain))
    add(_fault("F42", "page that crashes a library", b"this page crashes a library", "E_WORKER_CRASHED", _plain))
    add(_fault("F10", "page that never ends", b"this page never ends", "E_VOLUME_STALLED", _stalling))
    failing = partial(_failing, data=b"this page makes the whole task fail")
    add(Fault("F42", "volume that fails each time", failing, alone=True, short=True))
    # The embedded back-end alone: the other one is played by a server that takes a minute for so many messages.
    add(Fault("F42", "hundreds of volumes that are gone", _hundreds, frozenset({EMBEDDED}), alone=True, short=True))
    # Only root can make a control group, and only where the system has the first version of them.
    if os.access(_CGROUP, os.W_OK) and (_CGROUP / "memory.limit_in_bytes").exists():
        starved = _fault("F08", "memory runs out at a page", b"this page eats the memory", "E_WORKER_OOM", _starved)
        add(replace(starved, after=_remove_group))


def _fault(row: str, name: str, data: bytes, code: str, start: Callable[[Scene], None]) -> Fault:
    return Fault(row, name, partial(_deadly, data=data, code=code, start=start), alone=True, short=True)


_add_all()
