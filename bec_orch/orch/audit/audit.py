"""Proves for whole jobs that database, queue and artefacts agree, and finds every place where they do not.

The store is listed once, and each `success.json` read; with files and manifests opened too (`deep`), still no image is.
All of it runs beside workers: what looks wrong is looked at again, afresh, before it is reported, and a volume whose
task is not finished is left alone. Nothing is held in memory but the number of each task that was seen.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.records.ledger import DoneEntry, Ledger, TaskRow
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.holdings import Holding
from bec_orch.orch.ahead import ahead, batches
from bec_orch.orch.audit.messages import MessageCheck
from bec_orch.orch.audit.places import Place, PlaceCheck, Seen
from bec_orch.orch.audit.tables import of_tables
from bec_orch.orch.audit.values import Report, Violation, unaccounted

READERS = 32
"""Artefacts that are looked at at once: looking at one takes a few requests to a distant store, and little work."""
_ROWS_AT_ONCE = 1000

Progress = Callable[[str, int], None]


class Repairs(Protocol):
    """Mends what an audit finds, as it finds it."""

    def begin(self, violation: Violation) -> bool:
        """Begin the repair of one violation; False when nothing can be done, or nothing was left to do."""
        ...

    def end(self, job: Job) -> None:
        """End the repairs of one job."""
        ...


def silent(_job: str, _looked_at: int) -> None:
    """Show no progress."""


class Auditor:
    """Audits jobs of one database, their queues, and their artefacts.

    Args:
        ledger: the truth about tasks.
        queues: opens the queue of a job.
        artefacts: the destination store.
        default_source: the source of volumes for which none is known.
        manifests: opens the sources whose manifests the opened files are held against; None opens no file.
    """

    def __init__(
        self,
        ledger: Ledger,
        queues: QueueBackend,
        artefacts: StoredArtefacts,
        default_source: str,
        manifests: SourceFactory | None = None,
    ) -> None:
        self._ledger = ledger
        self._queues = queues
        self._artefacts = artefacts
        self._default_source = default_source
        self._deep = manifests is not None
        self._check = PlaceCheck(artefacts, default_source, manifests)

    def audit(self, jobs: Sequence[Job], repairs: Repairs | None = None, progress: Progress = silent) -> Report:
        """Audit some jobs.

        Args:
            jobs: the jobs.
            repairs: mends what is found; None changes nothing.
            progress: called with how many artefacts of a job were looked at so far.

        Raises:
            DatabaseError, QueueError, StorageError: one is away; what was found so far is lost.
        """
        names = {job.name for job in jobs}
        report = Report(self._deep, tuple(states for states in self._ledger.states() if states.job in names))
        for violation in unaccounted(report.states):
            report.add(violation, repaired=False)
        for job in jobs:
            for violation in self._violations(job, report, progress):
                report.add(violation, repaired=repairs is not None and repairs.begin(violation))
            if repairs:
                repairs.end(job)
        return report

    def _violations(self, job: Job, report: Report, progress: Progress) -> Iterator[Violation]:
        yield from of_tables(job, self._ledger)
        yield from MessageCheck(job, self._ledger, self._queues.admin(job.name), self._default_source).violations()
        looked = report.looked.artefacts
        for seen in ahead(self._look, self._places(job), threads=READERS):
            report.looked += seen.looked
            progress(job.name, report.looked.artefacts - looked)
            yield from seen.violations

    def _look(self, place: Place) -> Seen:
        """Look at a place, and again afresh when something seems wrong: a worker may have been at it just then."""
        seen = self._check.look(place)
        if not seen.violations:
            return seen
        [fresh] = self._beside_tasks(place.job, [self._artefacts.holding(place.location)])
        return self._check.look(fresh)

    def _places(self, job: Job) -> Iterator[Place]:
        """Yield every place where something lies or should lie: first what is listed, then the done tasks left over."""
        seen: set[int] = set()
        for batch in batches(self._artefacts.holdings(job.root), _ROWS_AT_ONCE):
            for place in self._beside_tasks(job, batch):
                seen.update(task.id for task in place.tasks if task.is_of(place.location.version))
                yield place
        for left in batches((one for one in self._ledger.done(job) if one.task_id not in seen), _ROWS_AT_ONCE):
            yield from self._beside_tasks(job, [Holding(_location(job, one)) for one in left])

    def _beside_tasks(self, job: Job, holdings: Sequence[Holding]) -> Iterator[Place]:
        """Put the tasks of their volumes beside what lies in some places."""
        by_names = _grouped(self._ledger.tasks_of(job, [holding.location.volume for holding in holdings]))
        for holding in holdings:
            volume = holding.location.volume
            yield Place(job, holding, tuple(by_names.get((volume.w_id, volume.i_id), ())))


def _location(job: Job, done: DoneEntry) -> ArtefactLocation:
    return ArtefactLocation(job.root, VolumeRef(done.w_id, done.i_id, ""), version_of(done.manifest_etag))


def _grouped(tasks: Iterable[TaskRow]) -> dict[tuple[str, str], list[TaskRow]]:
    found: dict[tuple[str, str], list[TaskRow]] = {}
    for task in tasks:
        found.setdefault((task.volume.w_id, task.volume.i_id), []).append(task)
    return found
