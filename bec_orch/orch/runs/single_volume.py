"""One volume, run by hand on this machine, past the queue of its job."""

from dataclasses import replace
from uuid import uuid4

from bec_orch.core.life.housekeeping import Housekeeper, maintenance
from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.life.stop import StopReason, WorkerStop
from bec_orch.core.life.task_run import task_runner
from bec_orch.core.life.worker_options import Workplace
from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.volumes import VolumeRef

_RECEIVE_WAIT = 5.0


class SingleVolume:
    """Takes one volume through the life of a task, with a queue of its own that lives as long.

    So the volume does not wait behind the others; the message that the job's queue has for it stays there like any
    other.

    Args:
        workplace: the job of the volume, who works for it, and with what.
        queues: make a queue by being asked for it, as those in the database do; closed by whoever opened them.
    """

    def __init__(self, workplace: Workplace, queues: QueueBackend) -> None:
        self._job, self._info, self._options = workplace.job, workplace.info, workplace.options
        self._store = workplace.outside.store
        self._job_workers = workplace.job_workers
        name = f"by-hand-{uuid4().hex}"
        self._queue = queues(name)
        self._queue_admin = queues.admin(name)
        self._stop = WorkerStop(self._options.grace)
        self._runner = task_runner(workplace, self._queue, self._stop)
        self._maintenance = maintenance(self._job, workplace.outside, self._options)
        self._housekeeper = Housekeeper(
            workplace,
            self._maintenance,
            on_stall=lambda _stalled: self.stop(StopReason.STALLED),
            on_deleted=lambda: self.stop(StopReason.REFUSED),
        )

    def stop(self, reason: StopReason) -> None:
        """Ask for a stop at the next page boundary."""
        self._stop.request(reason)

    def run(self, volume: VolumeRef) -> TaskEnd | None:
        """Make one attempt at the volume's task; None when there was nothing to attempt (it is done, or taken).

        Raises:
            ConfigError: the job's type, config or model cannot be loaded on this machine.
            RetryableError: database or queue are away, or the destination lacks all that was finished.
        """
        with self._job_workers(self._job) as job_worker:
            info = replace(self._info, models=job_worker.models, code_version=job_worker.code_version)
            self._maintenance.check_destination()
            self._store.register_worker(info)
            try:
                with self._housekeeper:
                    return self._attempt(volume)
            finally:
                self._queue_admin.purge()
                self._store.stop_worker(self._info.id, self._stop.words or "by hand")

    def _attempt(self, volume: VolumeRef) -> TaskEnd | None:
        self._queue.send([TaskMessage(volume.w_id, volume.i_id, self._job.name, volume.source)])
        received = self._queue.receive(limit=1, wait=_RECEIVE_WAIT, visibility=self._options.lease)
        return self._runner.handle(received[0])
