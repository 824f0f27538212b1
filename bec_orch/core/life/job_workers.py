"""The job worker of a process: loaded once for a config, and replaced when the job's config is edited."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bec_orch.core.job_types.registry import create_job_worker
from bec_orch.core.ports.job_worker import JobWorker, WorkerResources
from bec_orch.core.tasks import Job


class JobWorkerCache:
    """Lends the job worker for a job's config of now, and closes those that no task uses any more.

    Models are heavy: all tasks of a config share one instance, and at most the newest one is kept while idle.
    """

    def __init__(self, resources: WorkerResources) -> None:
        self._resources = resources
        self._lock = threading.Lock()
        self._workers: dict[str, JobWorker] = {}
        self._users: dict[str, int] = {}
        self._newest = ""

    @contextmanager
    def __call__(self, job: Job) -> Iterator[JobWorker]:
        """Lend the job worker for the block.

        Raises:
            ConfigError: the job's type is not installed, or its config or model is wrong.
        """
        key = f"{job.type} {sorted(job.config.items())!r}"
        worker = self._take(key, job)
        try:
            yield worker
        finally:
            self._give_back(key)

    def close(self) -> None:
        """Close every instance. May be called twice."""
        with self._lock:
            while self._workers:
                self._workers.popitem()[1].close()

    def _take(self, key: str, job: Job) -> JobWorker:
        with self._lock:
            if key not in self._workers:
                self._workers[key] = create_job_worker(job.type, job.config, self._resources)
                self._users[key] = 0
            self._newest = key
            self._users[key] += 1
            self._close_unused()
            return self._workers[key]

    def _give_back(self, key: str) -> None:
        with self._lock:
            self._users[key] -= 1
            self._close_unused()

    def _close_unused(self) -> None:
        for key in [key for key in self._workers if key != self._newest and self._users[key] == 0]:
            self._workers.pop(key).close()
