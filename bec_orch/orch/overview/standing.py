"""Where things stand: a job's figures, the graph of jobs, and whether queue and database agree. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from bec_orch.core.ports.queues import QueueBackend, QueueStats
from bec_orch.core.records.overview import ExpectedMessages, GraphNode, Overview, Pace, VolumeFigures
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import PageCounts
from bec_orch.core.wording import counted

_FIVE_MINUTES = 300.0
_HOUR = 3600.0
# Of a standard queue: "Amazon SQS message quotas" of the SQS Developer Guide.
MOST_IN_FLIGHT = 120_000


@dataclass(frozen=True, slots=True)
class JobStats:
    """Where one job stands.

    `tasks` counts every task by state; `volumes` each volume once, by its newest task. `pages` are the ledger of the
    volumes that are done, `failed_pages` that of those that failed because of their pages, `page_errors` the errors of
    both by code, and `stale` the volumes that would not come out the same today. `pages_left` is an estimate where page
    counts are not known yet, None when nothing is known; what waits for a job that failed for its volume, `stuck`, is
    not in it.
    `pages_per_second` counts pages that are not skipped, over the last 5 minutes and the last hour; None when no volume
    was done in that time.
    """

    job: Job
    tasks: Mapping[TaskState, int]
    volumes: Mapping[TaskState, int]
    pages: PageCounts
    page_errors: Mapping[str, int]
    stale: int
    pages_left: int | None
    pages_per_second_5min: float | None
    pages_per_second_1h: float | None
    failed_pages: PageCounts = field(default_factory=PageCounts)
    stuck: int = 0

    @property
    def pages_with_errors(self) -> int:
        """How many pages are errors, those of volumes that failed too."""
        return self.pages.error + self.failed_pages.error

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the rest is done at the pace of the last hour; 0 when nothing is left, None if unknown."""
        return self.seconds_for(self.pages_left)

    def seconds_for(self, pages: int | None) -> float | None:
        """Return the seconds that pages take at the pace of the last hour; 0 for none, None if unknown."""
        if pages == 0:
            return 0.0
        rate = self.pages_per_second_1h
        return pages / rate if rate and pages is not None else None


def job_stats(overview: Overview, job_name: str) -> JobStats:
    """Return where a job stands.

    Raises:
        ConfigError: there is no such job.
    """
    found = overview.figures(job_name, (_FIVE_MINUTES, _HOUR))
    done = found.volumes.get(TaskState.DONE, VolumeFigures())
    return JobStats(
        job=found.job,
        tasks=found.tasks,
        volumes={state: figures.volumes for state, figures in found.volumes.items()},
        pages=done.pages,
        page_errors=found.page_errors,
        stale=done.stale,
        pages_left=_pages_left(found.volumes),
        pages_per_second_5min=_rate(found.paces[_FIVE_MINUTES]),
        pages_per_second_1h=_rate(found.paces[_HOUR]),
        failed_pages=found.volumes.get(TaskState.TERMINAL_FAILED, VolumeFigures()).pages,
        stuck=found.volumes.get(TaskState.WAITING, VolumeFigures()).stuck,
    )


def graph(overview: Overview) -> list[GraphNode]:
    """Return every job with what it needs and its tasks by state, each job after those that it needs."""
    found = {node.name: node for node in overview.jobs_with_tasks()}
    order = TopologicalSorter({name: node.depends_on for name, node in found.items()}).static_order()
    return [found[name] for name in order if name in found]


@dataclass(frozen=True, slots=True)
class QueueCheck:
    """A job's queue beside what its tasks say of it. Maintenance heals what disagrees: the database is the truth."""

    queue: QueueStats
    expected: ExpectedMessages

    @property
    def missing_messages(self) -> int:
        """How many dispatched tasks must be without a message."""
        there = self.queue.visible + self.queue.in_flight + self.queue.delayed
        return max(0, self.expected.dispatched - there)

    @property
    def is_full(self) -> bool:
        """Whether this many messages are in flight that SQS hands out no more, which it tells no worker."""
        return self.queue.in_flight >= MOST_IN_FLIGHT

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Where queue and tasks disagree, each with what becomes of it."""
        dead = self.queue.dead - self.expected.terminal
        found = (
            (self.missing_messages, "task", "without a message: workers send what is missing in time"),
            (self.expected.undispatched, "task", "never sent: workers do that within a minute"),
            (self.expected.expired, "task", "left by a dead worker: another one takes over"),
            (dead, "dead letter", "without a failed task: `bec queue peek --dead` shows more"),
        )
        return tuple(f"{counted(count, thing)} {what}" for count, thing, what in found if count > 0)


def queue_check(overview: Overview, queues: QueueBackend, job_name: str) -> QueueCheck:
    """Put a job's queue beside its tasks.

    Raises:
        ConfigError: there is no such job.
        QueueError: the queue is away.
    """
    job = overview.job(job_name)
    expected = overview.expected_messages(job)
    return QueueCheck(queues.admin(job.name).stats(), expected)


def _rate(pace: Pace | None) -> float | None:
    return None if pace is None else pace.pages / max(pace.seconds, 1.0)


def _pages_left(volumes: Mapping[TaskState, VolumeFigures]) -> int | None:
    """Add up the pages of unfinished volumes; one that is not known counts as the average of those that are.

    Those that wait for a job which failed for them are not among them: they are not done in any time.
    """
    unfinished = [figures for state, figures in volumes.items() if not state.is_final]
    unknown = sum(figures.without_pages for figures in unfinished)
    known = sum(figures.volumes - figures.without_pages - figures.stuck for figures in volumes.values())
    if unknown and not known:
        return None
    average = sum(figures.known_pages for figures in volumes.values()) / known if known else 0.0
    left: float = sum(figures.known_pages for figures in unfinished) + unknown * average
    return round(left)
