"""The volumes of one `bec run`: a job made or changed for them, their tasks, and how they stand in the end."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.job_types.registry import job_worker_class
from bec_orch.core.ports.job_worker import BlobReader
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.records.backlog import Backlog, EnqueueReport, RedriveFilter
from bec_orch.core.records.jobs import Jobs
from bec_orch.core.records.overview import Overview, TaskView
from bec_orch.core.tasks import DoneTask, Job, TaskState
from bec_orch.core.volumes import PageCounts, VolumeRef, version_of
from bec_orch.errors import NOT_THERE, ConfigError
from bec_orch.orch.backlog.enqueue import Enqueuer, read_versions
from bec_orch.orch.backlog.redrive import Redriver
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.orch.overview.references import References

# All tasks of a workspace; the database's listing needs a limit.
_EVERY = 10_000_000
_MOVED = "the volume lies there no more, and was asked for elsewhere, or others of its folder were"
# A source whose folder or bucket is not there. An empty one, as of a disk that is not mounted, answers another code.
_NO_ROOT = "E_STORAGE_MISSING"


_TO_DO = frozenset({TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYABLE_FAILED})


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How the volumes of a run stand: the newest task of each, and the sums over those that are done."""

    tasks: tuple[TaskView, ...]
    left_out: tuple[str, ...] = ()

    def count(self, state: TaskState) -> int:
        """Count the volumes in a state."""
        return sum(task.state is state for task in self.tasks)

    @property
    def failed(self) -> list[TaskView]:
        """The volumes that failed for good, or failed and were not tried again any more."""
        return [task for task in self.tasks if task.state in {TaskState.TERMINAL_FAILED, TaskState.RETRYABLE_FAILED}]

    @property
    def waiting(self) -> list[TaskView]:
        """The volumes that wait for a job which failed for them; their reason names it."""
        return [task for task in self.tasks if task.state is TaskState.WAITING]

    @property
    def is_done(self) -> bool:
        """Whether every volume is done."""
        return not self.left_out and self.count(TaskState.DONE) == len(self.tasks)

    @property
    def pages(self) -> PageCounts:
        """The page ledger of the volumes that are done."""
        return sum((task.pages for task in self.tasks if task.pages), PageCounts())

    @property
    def counters(self) -> Mapping[str, float]:
        """The job's own sums over the volumes that are done, such as lines."""
        names = dict.fromkeys(name for task in self.tasks for name in task.counters)
        return {name: sum(task.counters.get(name, 0) for task in self.tasks) for name in names}


class LocalRun:
    """Administers one run in one database. `open_store` opens a store by its URL."""

    def __init__(
        self,
        jobs: Jobs,
        backlog: Backlog,
        overview: Overview,
        queues: QueueBackend,
        open_store: Callable[[str], BlobReader],
    ) -> None:
        self._admin = JobAdmin(jobs)
        self._backlog = backlog
        self._overview = overview
        self._enqueuer = Enqueuer(backlog, queues)
        self._redriver = Redriver(backlog, queues)
        self._references = References(overview, open_store)

    def prepare_jobs(
        self,
        job_type: str,
        config: Mapping[str, Any],
        max_page_error_rate: float,
        check: Callable[[str, Mapping[str, Any]], None],
    ) -> list[Job]:
        """Return the job that is named like its type, last, and before it those that it needs, in their order.

        The job is made at the first run, and set to what this run asks for: what an earlier run in the workspace asked
        for does not linger, so the same command means the same each time. Those that it needs keep the config that the
        workspace has for them, but for what the config says of the whole chain; they are made with their defaults where
        it has none.

        Args:
            job_type: the type of the job.
            config: its config, as far as it is not the default.
            max_page_error_rate: the share of a volume's pages that may be errors.
            check: raises `ConfigError` where a job of a type cannot work with a config; asked before one that is new
                here is stored, because later runs in the workspace would go by it.

        Raises:
            ConfigError: a type is unknown, the schema does not allow the config, or `check` says so.
        """
        chain = local_chain(job_type)
        parsed = job_worker_class(job_type).config_type.parse(config)
        shared = {name: config[name] for name in parsed.of_the_chain() if name in config}
        configs = {name: _fitting(name, shared) or None for name in chain}
        configs[job_type] = asked = parsed.model_dump(mode="json")
        if config and asked not in [job.config for job in self._admin.list() if job.name == job_type]:
            check(job_type, asked)
        return [self._prepare(name, needs, configs[name], max_page_error_rate) for name, needs in chain.items()]

    def _prepare(
        self, name: str, needs: Sequence[str], config: Mapping[str, Any] | None, max_page_error_rate: float
    ) -> Job:
        if name in {job.name for job in self._admin.list()}:
            return self._admin.update(name, config=config, depends_on=needs, max_page_error_rate=max_page_error_rate)
        return self._admin.create(name, name, config or {}, depends_on=needs, max_page_error_rate=max_page_error_rate)

    def enqueue(
        self,
        job: Job,
        volumes: Sequence[VolumeRef],
        sources: SourceFactory,
        *,
        force: bool,
        adopt_foreign: bool = False,
    ) -> EnqueueReport:
        """Add a task for each volume that is not done as it is now under the job's config; try failed ones again.

        Raises:
            DatabaseError, StorageError: the database, or a store of reference folders, is away.
        """
        self._references.look(job.name, frozenset(volumes))
        report = self._enqueuer.enqueue(
            job.name, volumes, refresh=sources, force=force, stale=True, adopt_foreign=adopt_foreign
        )
        if report.skipped_failed:
            self._try_again(job, volumes)
        return report

    def cancel_moved(self, job: Job, volumes: Collection[VolumeRef], sources: SourceFactory) -> Counter[str]:
        """Cancel what is still to be done of the volumes at places where they lie no more; count that by source.

        Without it each of these tasks would be tried where nothing is, as often as the job allows. Where the whole
        source is gone, that holds for all volumes of it. Where it is only away, or has a volume of the name, they stay.

        Raises:
            DatabaseError: the database is away.
        """
        asked, names = frozenset(volumes), {str(volume) for volume in volumes}
        tasks = self._overview.tasks(job.name, limit=_EVERY)
        others = {task.volume: task.id for task in tasks if not task.state.is_final and task.volume not in asked}
        faults = read_versions([volume for volume in others if str(volume) in names], sources).faults
        gone = {fault.volume for fault in faults if fault.code in NOT_THERE}
        sources_gone = {fault.volume.source for fault in faults if fault.code == _NO_ROOT}
        gone |= {volume for volume in others if volume.source in sources_gone}
        if gone:
            self._backlog.cancel(job, [others[volume] for volume in gone], _MOVED)
        return Counter(volume.source for volume in gone)

    def to_do(self, job: Job, volumes: Collection[VolumeRef]) -> list[VolumeRef]:
        """Return those of the volumes that have a task of the job which a worker could do now."""
        tasks = self._overview.tasks(job.name, limit=_EVERY)
        open_volumes = {task.volume for task in tasks if task.state in _TO_DO}
        return [volume for volume in volumes if volume in open_volumes]

    def references_alone(self, job: Job, volumes: Collection[VolumeRef]) -> list[str]:
        """List the reference folders, such as those of ground truth, that belong to none of the volumes.

        Raises:
            DatabaseError, StorageError: the database, or a store of reference folders, is away.
        """
        return self._references.of_no_volume(job.name, volumes)

    def outcome(self, job: Job, volumes: Sequence[VolumeRef], report: EnqueueReport) -> RunOutcome:
        """Return how the volumes stand now."""
        newest = self._newest(job)
        left_out = tuple(f"{fault.volume}: {fault.message}" for fault in report.faults)
        return RunOutcome(tuple(newest[volume] for volume in volumes if volume in newest), left_out)

    def done_tasks(self, job: Job, volumes: Iterable[VolumeRef]) -> list[DoneTask]:
        """Return the tasks of the volumes that the database calls done."""
        newest = self._newest(job)
        found = (newest[volume] for volume in volumes if volume in newest)
        return [_done(task) for task in found if task.state is TaskState.DONE]

    def _try_again(self, job: Job, volumes: Iterable[VolumeRef]) -> None:
        newest = self._newest(job)
        for volume in volumes:
            if volume in newest and newest[volume].state is TaskState.TERMINAL_FAILED:
                self._redriver.redrive(job.name, RedriveFilter(volume=(volume.w_id, volume.i_id)))

    def _newest(self, job: Job) -> dict[VolumeRef, TaskView]:
        tasks = self._overview.tasks(job.name, limit=_EVERY)
        return {task.volume: task for task in sorted(tasks, key=lambda task: task.id)}


def _done(task: TaskView) -> DoneTask:
    etag = task.manifest_etag or ""
    location = ArtefactLocation(task.root, task.volume, version_of(etag))
    return DoneTask(task.id, location, etag, task.pages.total if task.pages else 0)


def _fitting(job_type: str, shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some keys that the config of a job type has, too."""
    keys = job_worker_class(job_type).config_type.model_fields
    return {name: value for name, value in shared.items() if name in keys}


def local_chain(job_type: str) -> Mapping[str, tuple[str, ...]]:
    """Return the job types that a job type needs, directly or through others, and itself, each with what it needs.

    Each comes after those that it needs, and so the one that was asked for is the last.

    Raises:
        ConfigError: a type is not installed, or needs itself.
    """
    needs: dict[str, tuple[str, ...]] = {}
    open_types = [job_type]
    while open_types:
        current = open_types.pop()
        needs[current] = job_worker_class(current).needs
        open_types += [needed for needed in needs[current] if needed not in needs]
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise ConfigError(f"The job type '{job_type}' needs itself.", code="E_JOB_CIRCLE") from error
    return {name: needs[name] for name in order}
