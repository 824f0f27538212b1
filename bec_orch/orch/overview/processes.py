"""Workers that run on this machine: one whose process is gone is lost at once, not only once it was silent for long."""

from collections.abc import Iterable
from dataclasses import replace

import psutil

from bec_orch.core.records.overview import WorkerCondition, WorkerView

# Seconds by which the clocks of the database and of the system's table of processes may differ.
_SLACK = 60.0
_RUNNING = frozenset({WorkerCondition.WORKING, WorkerCondition.IDLE})


def seen_from(host: str | None, workers: Iterable[WorkerView]) -> list[WorkerView]:
    """Return workers as they are seen from a machine: those of it whose process is gone are lost.

    Args:
        host: the machine that this process runs on; None where others may have its name, and so nothing can be told.
        workers: what the database knows of them.
    """
    return [replace(one, condition=WorkerCondition.LOST) if _is_gone(one, host) else one for one in workers]


def _is_gone(worker: WorkerView, host: str | None) -> bool:
    if worker.host != host or worker.condition not in _RUNNING:
        return False
    try:
        process = psutil.Process(worker.pid)
        # A process that began later has the number of one that is gone.
        is_another = process.create_time() > worker.started_at.timestamp() + _SLACK
        return bool(is_another or process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
