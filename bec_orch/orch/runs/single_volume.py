"""One volume, run by hand on this machine, past the queue of its job."""

from dataclasses import replace
from uuid import uuid4

from bec_orch.core.housekeeping import Housekeeper, Maintenance
from bec_orch.core.models import TaskMessage, VolumeRef, WorkerInfo
from bec_orch.core.queue_ports import QueueBackend
from bec_orch.core.runtime_parts import TaskEnd, WorkerParts
from bec_orch.core.stop import WorkerStop
from bec_orch.core.task_run import TaskRunner
from bec_orch.core.worker_runtime import STALLED

_RECEIVE_WAIT = 5.0


class SingleVolume:
    """Takes one volume through the life of a task, with a queue of its own that lives as long.

    So the volume does not wait behind the others; the message that the job's queue has for it stays a hint like any.

    Args:
        parts: what a worker is built of.
        info: who works.
        queues: make a queue by being asked for it, as those in the database do; closed by whoever opened them.
    """

    def __init__(self, parts: WorkerParts, info: WorkerInfo, queues: QueueBackend) -> None:
        self._parts = parts
        self._info = info
        name = f"by-hand-{uuid4().hex}"
        self._queue = queues(name)
        self._queue_admin = queues.admin(name)
        self._stop = WorkerStop(parts.options.grace)

    def stop(self, reason: str) -> None:
        """Ask for a stop at the next page boundary."""
        self._stop.request(reason)

    def run(self, volume: VolumeRef) -> TaskEnd | None:
        """Make one attempt at the volume's task; None when there was nothing to attempt (it is done, or taken).

        Raises:
            ConfigError: the job's type, config or model cannot be loaded on this machine.
            RetryableError: database or queue are away, or the destination lacks all that was finished.
        """
        with self._parts.job_workers(self._parts.job) as job_worker:
            info = replace(self._info, models=job_worker.models, code_version=job_worker.code_version)
            maintenance = Maintenance(self._parts)
            maintenance.check_destination()
            self._parts.store.register_worker(info)
            try:
                with Housekeeper(self._parts, maintenance, lambda _stalled: self.stop(STALLED)):
                    return self._attempt(volume)
            finally:
                self._queue_admin.purge()
                self._parts.store.stop_worker(self._info.id, self._stop.reason or "by hand")

    def _attempt(self, volume: VolumeRef) -> TaskEnd | None:
        self._queue.send([TaskMessage(volume.w_id, volume.i_id, self._parts.job.name, volume.source)])
        received = self._queue.receive(limit=1, wait=_RECEIVE_WAIT, visibility=self._parts.options.lease)
        return TaskRunner(self._parts, self._queue, self._stop).handle(received[0])
