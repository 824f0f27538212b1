"""What Prometheus reads (https://prometheus.io/docs/instrumenting/exposition_formats/): counts, rates, ages."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from bec_orch.core.records.listings import MOST_ROWS
from bec_orch.core.records.overview import GraphNode, WorkerView
from bec_orch.orch.overview.standing import JobStats, QueueCheck, graph, job_stats, queue_check
from bec_orch.web.sight.sight import Sight

# Seconds for which the counts by state are waited for.
_LONG = 8.0
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its name, what it tells, and its values by labels."""

    name: str
    tells: str
    values: Iterable[tuple[dict[str, str], float]]

    def lines(self) -> Iterator[str]:
        """Write it; one without values is left out."""
        values = list(self.values)
        if values:
            yield f"# HELP {self.name} {self.tells}"
            yield f"# TYPE {self.name} gauge"
        for labels, value in values:
            named = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            yield f"{self.name}{{{named}}} {value:g}" if named else f"{self.name} {value:g}"


def metrics(request: Request) -> Response:
    """Tell the figures of all jobs; one that the database is still counting is left out of this answer."""
    sight: Sight = request.app.state.sight
    nodes = sight.figure("graph", lambda: graph(sight.overview), seconds=_LONG) or []
    stats = [_stats(sight, node.name) for node in nodes]
    queues = {node.name: _queue(sight, node.name) for node in nodes}
    every = (
        *_of_jobs(nodes, [one for one in stats if one]),
        *_of_queues({job: check for job, check in queues.items() if check}),
        *_of_workers(sight.workers(stopped=False)[:MOST_ROWS]),
    )
    lines = [line for metric in every for line in metric.lines()]
    return Response("\n".join([*lines, ""]), media_type=_TYPE)


def _stats(sight: Sight, job: str) -> JobStats | None:
    return sight.figure(("stats", job), lambda: job_stats(sight.overview, job), patient=False)


def _queue(sight: Sight, job: str) -> QueueCheck | None:
    return sight.figure(("queue", job), lambda: queue_check(sight.overview, sight.queues, job), patient=False)


def _of_jobs(nodes: Sequence[GraphNode], stats: Sequence[JobStats]) -> Iterator[Metric]:
    yield Metric(
        "bec_tasks",
        "Tasks by state.",
        [({"job": node.name, "state": state.value}, count) for node in nodes for state, count in node.tasks.items()],
    )
    yield Metric(
        "bec_pages",
        "Pages of finished volumes by state.",
        [
            ({"job": one.job.name, "state": state}, count)
            for one in stats
            for state, count in (("ok", one.pages.ok), ("skipped", one.pages.skipped), ("error", one.pages.error))
        ],
    )
    yield Metric(
        "bec_page_errors",
        "Pages that are errors by code.",
        [({"job": one.job.name, "code": code}, count) for one in stats for code, count in one.page_errors.items()],
    )
    yield Metric(
        "bec_pages_per_second",
        "Pages that were done in the last five minutes, not counting skipped ones.",
        [({"job": one.job.name}, one.pages_per_second_5min) for one in stats if one.pages_per_second_5min is not None],
    )
    yield Metric(
        "bec_stale_volumes", "Finished volumes that are stale.", [({"job": one.job.name}, one.stale) for one in stats]
    )
    yield Metric(
        "bec_eta_seconds",
        "Seconds until the rest is done at the pace of the last hour.",
        [({"job": one.job.name}, one.eta_seconds) for one in stats if one.eta_seconds is not None],
    )


def _of_queues(checks: Mapping[str, QueueCheck]) -> Iterator[Metric]:
    yield Metric(
        "bec_oldest_queued_task_seconds",
        "Age of the oldest queued task.",
        [
            ({"job": job}, check.expected.oldest_task_seconds)
            for job, check in checks.items()
            if check.expected.oldest_task_seconds is not None
        ],
    )
    yield Metric(
        "bec_queue_messages",
        "Messages of a job's queue.",
        [
            ({"job": job, "state": state}, count)
            for job, check in checks.items()
            for state, count in (
                ("visible", check.queue.visible),
                ("in_flight", check.queue.in_flight),
                ("delayed", check.queue.delayed),
                ("dead", check.queue.dead),
            )
        ],
    )


def _of_workers(workers: Sequence[WorkerView]) -> Iterator[Metric]:
    conditions = Counter((one.job, one.condition.value) for one in workers)
    yield Metric(
        "bec_workers",
        "Workers by condition, without those that stopped.",
        [({"job": job, "condition": condition}, count) for (job, condition), count in conditions.items()],
    )
    yield Metric(
        "bec_worker_silent_seconds",
        "Seconds since the worker that was silent for the longest was heard of.",
        [({}, max(one.silent_seconds for one in workers))] if workers else [],
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
