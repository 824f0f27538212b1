"""The page pipeline, the same for all page jobs: fetch -> decode -> infer -> finish -> write.

One `Pipeline` serves all volumes of a process, each from a thread of its own; their work meets in one event loop, and
shares the cores and the memory budget. Every page is one task that reads straight down (`VolumeRun`). Backpressure is
by bytes: a page is fetched when there is room for its file, and decoded when there is room for its pixels.
"""

from dataclasses import dataclass
from typing import Generic

import cv2
from anyio.from_thread import BlockingPortalProvider

from bec_orch.core.metrics import Metrics, Stopwatch
from bec_orch.core.ports.job_worker import JobContext
from bec_orch.jobs.pipeline.budget import Budget
from bec_orch.jobs.pipeline.page_input import VolumeT
from bec_orch.jobs.pipeline.page_job import PageJob, StateT
from bec_orch.jobs.pipeline.requests import Throttle
from bec_orch.jobs.pipeline.seats import ItemT, OutputT, Requests
from bec_orch.jobs.pipeline.threads import HungThreads
from bec_orch.jobs.pipeline.volume_run import Shared, VolumeRun

ENCODED_SHARE = 4
"""One part in this many of the memory budget is for files as they were fetched; the rest is for what they become."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pipeline may use.

    Attributes:
        threads: pages at work at a time, from decoding to finishing; each takes one core at most.
        memory_budget: bytes of pages in flight: files, decoded images and items. A page that is larger than the whole
            budget gets through, alone.
        page_timeout: seconds that the work on a page may take, from decoding to its row; with batches, each step of it.
    """

    threads: int
    memory_budget: int
    page_timeout: float


class Pipeline(Generic[ItemT, OutputT, StateT, VolumeT]):
    """Runs a page job over volumes.

    Args:
        job: the job's functions.
        limits: what all volumes together may use.
    """

    def __init__(self, job: PageJob[ItemT, OutputT, StateT, VolumeT], limits: Limits) -> None:
        self._job = job
        self._shared = Shared(
            cores=Budget(limits.threads),
            encoded=Budget(limits.memory_budget // ENCODED_SHARE),
            decoded=Budget(limits.memory_budget - limits.memory_budget // ENCODED_SHARE),
            hung=HungThreads(),
            threads=limits.threads,
            page_timeout=limits.page_timeout,
            throttle=Throttle(job.seat.at_once if isinstance(job.seat, Requests) else 1),
        )
        self._loop = BlockingPortalProvider()
        # Every core has a page of its own: OpenCV's threads would only take turns with them, at 2 % of all time.
        cv2.setNumThreads(1)

    def run(self, context: JobContext) -> Metrics:
        """Do every page of a volume that is not finished. Blocks; may be called from several threads at once.

        Counters of the metrics: `pages` that got a row, and `peak_bytes_in_flight`, of the process so far.

        Raises:
            BecError: as `PageJob.open_volume` raises it; nothing was begun.
            RetryableError: a fault of network, model, memory or disk; E_WORKER_STUCK when too many threads hang.
            Interrupted, LeaseLost: as `context.stop.check` raises them. In each case the pages that were begun are
                finished and flushed first, and the others left for the next attempt.
        """
        watch = Stopwatch()
        with watch.stage("open"):
            inputs = self._job.open_volume(context)
        with self._loop as portal:
            return portal.call(VolumeRun(self._job, context, inputs, self._shared).run) + watch.metrics()
