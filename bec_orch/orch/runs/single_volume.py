"""One volume, run by hand on this machine, past the queue of its job."""

from dataclasses import replace
from uuid import uuid4

from bec_orch.core.life.housekeeping import housekeeper, maintenance
from bec_orch.core.life.standings import Standings, TaskEnd
from bec_orch.core.life.stop import StopReason, WorkerStop
from bec_orch.core.life.task_run import task_runner
from bec_orch.core.life.worker_options import JobWorkers, Outside, WorkerOptions
from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.tasks import Job, WorkerInfo
from bec_orch.core.volumes import VolumeRef

_RECEIVE_WAIT = 5.0


class SingleVolume:
    """Takes one volume through the life of a task, with a queue of its own that lives as long.

    So the volume does not wait behind the others; the message that the job's queue has for it stays there like any
    other.

    Args:
        job: the job of the volume.
        info: who works.
        outside: the database, queues, sources and stores.
        job_workers: opens the job's worker.
        standings: where each task of this process stands.
        options: how a worker is set.
        queues: make a queue by being asked for it, as those in the database do; closed by whoever opened them.
    """

    def __init__(
        self,
        job: Job,
        info: WorkerInfo,
        outside: Outside,
        job_workers: JobWorkers,
        standings: Standings,
        options: WorkerOptions,
        queues: QueueBackend,
    ) -> None:
        self._job = job
        self._info = info
        self._store = outside.store
        self._job_workers = job_workers
        self._lease = options.lease
        name = f"by-hand-{uuid4().hex}"
        self._queue = queues(name)
        self._queue_admin = queues.admin(name)
        self._stop = WorkerStop(options.grace)
        self._runner = task_runner(job, info.id, self._queue, outside, job_workers, standings, self._stop, options)
        self._maintenance = maintenance(job, outside, options)
        self._housekeeper = housekeeper(
            info.id, outside, standings, self._maintenance, options, lambda _stalled: self.stop(StopReason.STALLED)
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
        received = self._queue.receive(limit=1, wait=_RECEIVE_WAIT, visibility=self._lease)
        return self._runner.handle(received[0])
