"""Enqueues volumes for a job: the tasks first, a portion of the volumes in each transaction, and then their messages.

Killed at any moment and run again, it leaves the same set of tasks: a volume has at most one unfinished task of a job,
and a task whose message was not sent lacks its outbox mark (`dispatched_at`). A portion locks its own volumes and
nothing else, so that several may enqueue at the same time.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from graphlib import TopologicalSorter

from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.ports.queues import QueueFactory
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.records.backlog import Backlog, EnqueueOrder, EnqueueReport, VolumeFault
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import PartlySent, RetryableError, TerminalError, UsageError
from bec_orch.io.sources.sources import parse_source
from bec_orch.orch.ahead import batches

# HEAD requests wait for the network, not for a core; stores answer hundreds at a time.
_ETAG_THREADS = 64
_MISSING = "Bring it back, or leave it out; where many are missing, check the mount."
_MESSAGES_AT_ONCE = 5000
# A portion takes a tenth of a second, and its volumes are locked for as long: a commit that meets it hardly waits.
_VOLUMES_AT_ONCE = 2000
# The planner is told of new tasks from this number on, and again whenever they have doubled.
_MANY_TASKS = 1000


@dataclass(frozen=True, slots=True)
class Versions:
    """The manifest ETags that the sources know, and the volumes for which they know none."""

    etags: Mapping[VolumeRef, str] = field(default_factory=dict)
    faults: tuple[VolumeFault, ...] = ()


class Enqueuer:
    """Enqueues volumes in one database and its queues."""

    def __init__(self, backlog: Backlog, queues: QueueFactory) -> None:
        self._backlog = backlog
        self._queues = queues

    def enqueue(
        self,
        job_name: str,
        volumes: Sequence[VolumeRef],
        *,
        refresh: SourceFactory | None = None,
        force: bool = False,
        stale: bool = False,
        adopt_foreign: bool = False,
        replace_foreign: Mapping[VolumeRef, str] | None = None,
        intro_pages: int | None = None,
        dry_run: bool = False,
    ) -> EnqueueReport:
        """Add a task for each volume that needs one, and send the messages.

        Args:
            job_name: the job.
            volumes: the volumes; one that is named twice counts once.
            refresh: returns the sources that are first asked for the volumes' versions, so that changed ones are found.
            force: do again what is done, too.
            stale: do again what would not come out the same today (docs/concepts.md).
            adopt_foreign: take artefacts of others that are there as they are, where they are what the job would make.
            replace_foreign: by volume, the ETag of a `success.json` of others that was shown, and is to be replaced.
            intro_pages: how many pages at the volumes' beginning are forms of the scanning, to be skipped from now on;
                None leaves what is known.
            dry_run: count, and change nothing.

        Raises:
            ConfigError: there is no such job.
            UsageError: a volume's source cannot be one (E_SOURCE_NAME), or adopting is asked for with force.
            DatabaseError, QueueError: one is away; run it again later.
        """
        if adopt_foreign and force:
            raise UsageError("--adopt-foreign cannot be combined with --force: take what is there, or do it again.")
        for source in {volume.source for volume in volumes}:
            parse_source(source)
        versions = read_versions(volumes, refresh) if refresh else Versions()
        without = {fault.volume for fault in versions.faults}
        known = [volume for volume in dict.fromkeys(volumes) if volume not in without]
        order = EnqueueOrder(
            etags=versions.etags,
            force=force,
            stale=stale,
            adopt_foreign=adopt_foreign,
            replace_foreign=replace_foreign or {},
            intro_pages=intro_pages,
            dry_run=dry_run,
        )
        name = self._backlog.job(job_name).name
        report = self._record(name, known, order)
        # Read anew: the job may have been made again under its name meanwhile.
        sent = 0 if dry_run else self.dispatch(self._backlog.job(name))
        return replace(report, volumes=len(known) + len(without), faults=versions.faults, sent=sent)

    def enqueue_with_dependencies(
        self,
        job_name: str,
        volumes: Sequence[VolumeRef],
        *,
        refresh: SourceFactory | None = None,
        adopt_foreign: bool = False,
        intro_pages: int | None = None,
        dry_run: bool = False,
    ) -> dict[str, EnqueueReport]:
        """Enqueue the volumes for the job and for all that it needs, what is needed first; return each job's report.

        Only the dependencies' missing work is queued: force and stale redos are asked for job by job.

        Raises:
            ConfigError: there is no such job.
            DatabaseError, QueueError: one is away; run it again later.
        """
        enqueue = partial(
            self.enqueue, refresh=refresh, adopt_foreign=adopt_foreign, intro_pages=intro_pages, dry_run=dry_run
        )
        return {name: enqueue(name, volumes) for name in self._in_order(job_name)}

    def dispatch(self, job: Job) -> int:
        """Send the message of every queued task of the job that has none yet; return their number."""
        queue, sent, after = self._queues(job.name), 0, 0
        while batch := self._backlog.unsent(job, after=after, limit=_MESSAGES_AT_ONCE):
            ids = [task.id for task in batch]
            try:
                queue.send([task.message for task in batch])
            except PartlySent as error:
                self._backlog.mark_sent([ids[position] for position in error.sent])
                raise
            reached(FaultPoint.ENQUEUE_SENT)
            self._backlog.mark_sent(ids)
            sent, after = sent + len(batch), ids[-1]
        return sent

    def _record(self, job_name: str, volumes: Sequence[VolumeRef], order: EnqueueOrder) -> EnqueueReport:
        """Add the tasks of the volumes, a portion of them in each transaction."""
        report, many = EnqueueReport(), _MANY_TASKS
        for portion in batches(volumes, _VOLUMES_AT_ONCE):
            report += self._backlog.enqueue(job_name, portion, order)
            reached(FaultPoint.ENQUEUE_RECORDED)
            if report.queued + report.waiting >= many and not order.dry_run:
                many = 2 * (report.queued + report.waiting)
                self._backlog.renew_statistics()
        return report

    def _in_order(self, job_name: str) -> list[str]:
        needs: dict[str, tuple[str, ...]] = {}
        open_names = [job_name]
        while open_names:
            job = self._backlog.job(open_names.pop())
            needs[job.name] = job.depends_on
            open_names += [name for name in job.depends_on if name not in needs]
        return list(TopologicalSorter(needs).static_order())


def read_versions(volumes: Sequence[VolumeRef], sources: SourceFactory) -> Versions:
    """Ask the sources for the volumes' manifest ETags, many at a time. One that fails stops nothing."""

    def ask(volume: VolumeRef) -> str | VolumeFault:
        try:
            source = sources(volume.source)
            etag = source.manifest_etag(volume)
        except (RetryableError, TerminalError) as error:
            return VolumeFault(volume, error.code, error.message, error.hint)
        return etag or VolumeFault(volume, "E_MANIFEST_MISSING", source.missing(volume), _MISSING)

    asked = list(dict.fromkeys(volumes))
    with ThreadPoolExecutor(_ETAG_THREADS) as pool:
        answers = list(zip(asked, pool.map(ask, asked), strict=True))
    etags = {volume: answer for volume, answer in answers if isinstance(answer, str)}
    return Versions(etags, tuple(answer for _, answer in answers if isinstance(answer, VolumeFault)))
