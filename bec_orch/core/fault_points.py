"""Named points in the life of a task at which a fault can be injected, to prove that nothing is lost there.

A point stands right after (or, where the name says so, in the middle of) one step. Nothing happens at it unless
`BEC_FAILPOINT` arms it: `point:action[:nth]`, several with commas apart; `nth` is the visit at which it happens, 1 if
not said. It happens once in a process. `kill9` kills that process, `gone` its whole group, as a machine does that is
switched off. `make faults` arms every point with every action in real workers.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bec_orch.errors import ConfigError, TaskFault

logger = logging.getLogger(__name__)

_PAUSE = 1.5


class FaultPoint(StrEnum):
    """Where a fault can be injected, in the order of a task's life."""

    MIGRATION_APPLIED = "migration.applied"
    """A migration's statements ran; its transaction is open."""
    ENQUEUE_RECORDED = "enqueue.recorded"
    """The tasks are in the database, their messages are not sent."""
    ENQUEUE_SENT = "enqueue.sent"
    """A batch of messages is sent, and not marked so."""
    MAINTENANCE_FOUND = "maintenance.found"
    """Maintenance knows which tasks lack a message, and has sent none."""
    TASK_RECEIVED = "task.received"
    """A message was received, its task is not claimed."""
    TASK_CLAIMING = "task.claiming"
    """The claim is written, its transaction is open."""
    TASK_CLAIMED = "task.claimed"
    """The task is claimed, nothing is read."""
    MANIFEST_READ = "manifest.read"
    """The manifest is read, and not stamped on the task."""
    PAGE_DONE = "page.done"
    """A page has its row."""
    SIDECAR_UPLOADED = "sidecar.uploaded"
    """A sidecar file is in the store, the row of its page is not kept."""
    PARQUET_WRITING = "parquet.writing"
    """The rows of the Parquet file are written, its footer is not."""
    PARQUET_CLOSED = "parquet.closed"
    """The Parquet file is whole on this machine, and not in the store."""
    PARQUET_UPLOADED = "parquet.uploaded"
    """The Parquet file is in the store."""
    TASK_FENCED = "task.fenced"
    """The database holds the task for this attempt, `success.json` is not put."""
    SUCCESS_REPLACING = "success.replacing"
    """An older `success.json` is about to be replaced."""
    SUCCESS_PUT = "success.put"
    """`success.json` is in the store, the database does not know."""
    TASK_COMMITTED = "task.committed"
    """The task is done in the database, its message is not deleted."""
    TASK_ACKNOWLEDGED = "task.acknowledged"
    """The message is deleted, the end is not logged."""
    TASK_RELEASING = "task.releasing"
    """A stop was asked for, and the task is not given back."""


class Injected(TaskFault):
    """The fault that the action `raise` puts into a task."""

    default_code = "E_INJECTED"


def _raise(point: FaultPoint) -> None:
    raise Injected(f"A fault was injected at {point}.", hint="Unset BEC_FAILPOINT.")


def _signal(number: signal.Signals) -> Callable[[FaultPoint], None]:
    return lambda _point: os.kill(os.getpid(), number)


_ACTIONS: Mapping[str, Callable[[FaultPoint], None]] = {
    "kill9": _signal(signal.SIGKILL),
    "gone": lambda _point: os.killpg(os.getpgrp(), signal.SIGKILL),
    "term": _signal(signal.SIGTERM),
    "stop": _signal(signal.SIGSTOP),
    "raise": _raise,
    "pause": lambda _point: time.sleep(_PAUSE),
}


@dataclass
class _Trap:
    """What happens at the nth visit of a point."""

    action: str
    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def visit(self, point: FaultPoint) -> None:
        with self.lock:
            self.left -= 1
            due = self.left == 0
        if due:
            logger.warning("fault.injected", extra={"point": point.value, "action": self.action})
            _ACTIONS[self.action](point)


_armed: dict[FaultPoint, _Trap] = {}


def reached(point: FaultPoint) -> None:
    """Say that a point is reached. Costs one look into an empty dict when nothing is armed.

    Raises:
        Injected: the point is armed with `raise`.
    """
    trap = _armed.get(point)
    if trap:
        trap.visit(point)


def arm(plan: str) -> None:
    """Arm the points that a plan names, in place of what was armed before; an empty plan disarms all.

    Raises:
        ConfigError: the plan names an unknown point or action (E_FAILPOINT).
    """
    traps = dict(map(_parsed, filter(None, plan.split(","))))
    _armed.clear()
    _armed.update(traps)


def _parsed(entry: str) -> tuple[FaultPoint, _Trap]:
    name, _, rest = entry.strip().partition(":")
    action, _, nth = rest.partition(":")
    if name not in set(FaultPoint) or action not in _ACTIONS or not (nth or "1").isdecimal() or nth == "0":
        raise ConfigError(
            f"BEC_FAILPOINT has '{entry}', which is not point:action[:nth].",
            code="E_FAILPOINT",
            hint=f"Actions are {', '.join(_ACTIONS)}; points are {', '.join(FaultPoint)}.",
        )
    return FaultPoint(name), _Trap(action, int(nth or 1))
