"""Metrics for CloudWatch as log events in the embedded metric format: CloudWatch makes metrics of them as they arrive.

Format: "Specification: Embedded metric format" of the Amazon CloudWatch User Guide. Such an event is a line of the
worker's JSON log like any other, so what brings the log to CloudWatch brings the metrics.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from typing_extensions import override

from bec_orch.core.life.observing import WorkerObserver
from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.tasks import AttemptOutcome, Claim
from bec_orch.core.volumes import Manifest

logger = logging.getLogger(__name__)

NAMESPACE = "BEC"
EVENT = "metrics"

PAGES = "Pages"
PAGE_ERRORS = "PageErrors"
TASK_SECONDS = "TaskSeconds"
_BY_OUTCOME = {
    AttemptOutcome.DONE: "TasksDone",
    AttemptOutcome.ADOPTED: "TasksDone",
    AttemptOutcome.RETRYABLE_FAILED: "TasksRetried",
    AttemptOutcome.TERMINAL_FAILED: "TasksFailed",
    AttemptOutcome.INTERRUPTED: "TasksGivenBack",
    AttemptOutcome.LEASE_LOST: "TasksGivenBack",
}
_UNITS = {TASK_SECONDS: "Seconds"}

# CloudWatch counts by the minute: more often would cost more lines and show no more.
_EVERY = 60.0


def emf_fields(job: str, values: Mapping[str, float], timestamp: float) -> dict[str, Any]:
    """Return the fields of an event that carries metrics of a job.

    Args:
        job: the job; the metrics' one dimension, `Job`.
        values: metric name -> value; names without a known unit are counts.
        timestamp: seconds since the epoch.
    """
    metrics = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [["Job"]], "Metrics": metrics}
    return {
        "_aws": {"Timestamp": int(timestamp * 1000), "CloudWatchMetrics": [directive]},
        "Job": job,
        **values,
    }


class EmfObserver(WorkerObserver):
    """A `WorkerObserver` that logs metrics of what it observes, and passes everything on to another one. Thread-safe.

    Pages are counted as they are done, tasks and page errors when their attempt ends. At most one event a minute goes
    out while pages are done, and one at the end of each attempt.

    Args:
        inner: the observer that everything is passed on to.
        clock: seconds since the epoch.
    """

    def __init__(self, inner: WorkerObserver, clock: Callable[[], float] = time.time) -> None:
        self._inner = inner
        self._clock = clock
        self._lock = threading.Lock()
        self._sent_at = clock()
        self._counted: Counter[str] = Counter()
        self._begun: dict[int, float] = {}
        self._pages: dict[int, int] = {}
        # A log level that hides what the worker does must not hide the fleet's metrics.
        logger.setLevel(logging.INFO)

    @override
    def task_started(self, claim: Claim, manifest: Manifest) -> None:
        with self._lock:
            self._begun[claim.task_id] = self._clock()
        self._inner.task_started(claim, manifest)

    @override
    def pages_done(self, claim: Claim, done: int, total: int) -> None:
        with self._lock:
            # The first note of an attempt tells what earlier attempts had done.
            self._counted[PAGES] += done - self._pages.get(claim.task_id, done)
            self._pages[claim.task_id] = done
            if self._clock() - self._sent_at >= _EVERY:
                self._send(claim.job.name, {})
        self._inner.pages_done(claim, done, total)

    @override
    def task_ended(self, end: TaskEnd) -> None:
        with self._lock:
            begun = self._begun.pop(end.claim.task_id, None)
            self._pages.pop(end.claim.task_id, None)
            if end.outcome in _BY_OUTCOME:
                self._counted[_BY_OUTCOME[end.outcome]] += 1
            if end.result and not end.result.adopted:
                self._counted[PAGE_ERRORS] += end.result.pages.error
            self._send(end.claim.job.name, {} if begun is None else {TASK_SECONDS: self._clock() - begun})
        self._inner.task_ended(end)

    def _send(self, job: str, values: Mapping[str, float]) -> None:
        now = self._clock()
        metrics = {**self._counted, **values}
        if metrics:
            logger.info(EVENT, extra=emf_fields(job, metrics, now))
        self._counted.clear()
        self._sent_at = now
