"""Takes over the jobs, volumes and finished work of the earlier system, a portion at a time.

That system's database is only read. Work counts as done here only where its artefact is seen to lie in the destination.
Killed at any moment and run again, it goes on where it was; run twice, it changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.names import escaped, printable
from bec_orch.core.ownership import FORMAT
from bec_orch.core.records.earlier import (
    DoneWork,
    EarlierRecords,
    EarlierSystem,
    EarlierTask,
    EarlierVolume,
    Intake,
    KnownVolume,
    TakingOver,
    UndoneTasks,
)
from bec_orch.core.success import adopted_result
from bec_orch.core.tasks import TaskResult
from bec_orch.core.volumes import VolumeRef, same_etag, version_of
from bec_orch.errors import TerminalError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.orch.ahead import ahead
from bec_orch.orch.earlier.jobs import JobIntake
from bec_orch.orch.earlier.report import (
    MOST_EXAMPLES,
    ImportReport,
    JobReport,
    JobVerdict,
    LeftOut,
    Tally,
    Verdict,
)
from bec_orch.orch.job_admin import JobAdmin

READERS = 32
"""Artefacts that are looked for at once: each takes a few requests to a distant store, and little work."""
_MOST_PAGES = 2**31 - 1
"""As many as a column of ours can count."""


class EarlierImport:
    """Takes over what the earlier system has.

    Args:
        earlier: its database.
        admin: looks after our jobs.
        ours: takes over volumes and finished work.
        artefacts: the destination, where its artefacts lie.
        source: the source that its volumes are in.
        dry_run: look, and take over nothing.
    """

    def __init__(
        self,
        earlier: EarlierSystem,
        admin: JobAdmin,
        ours: TakingOver,
        artefacts: StoredArtefacts,
        source: str,
        *,
        dry_run: bool = False,
    ) -> None:
        self._earlier = earlier
        self._admin = admin
        self._ours = ours
        self._artefacts = artefacts
        self._source = source
        self._dry_run = dry_run
        self._there = {job.name for job in admin.list()}
        self._examples: dict[str, list[LeftOut]] = {}

    def run(self) -> ImportReport:
        """Take over all that there is.

        Raises:
            ConfigError: the other database is not the earlier system's.
            DatabaseError, StorageError: something is away; the same call goes on later.
        """
        with self._earlier.reading() as records:
            verdicts = JobIntake(self._admin, dry_run=self._dry_run).take(records.jobs())
            volumes = self._take_volumes(records)
            done, of_no_job = self._take_done(records, verdicts)
            undone = _by_job(records.undone())
        if not self._dry_run:
            self._ours.renew_statistics()
        reports = tuple(JobReport(verdicts[job], done[job], undone.get(job, {})) for job in verdicts)
        examples = tuple(one for some in self._examples.values() for one in some)
        return ImportReport(reports, volumes, of_no_job, examples, self._dry_run)

    def _take_volumes(self, records: EarlierRecords) -> Tally:
        tally = Tally()
        for portion in records.volumes():
            volumes: list[KnownVolume] = []
            for known in map(self._known, portion):
                if isinstance(known, LeftOut):
                    self._leave_out(known, tally)
                else:
                    volumes.append(known)
            tally.intake += self._ours.add_volumes(volumes, dry_run=self._dry_run)
        return tally

    def _take_done(self, records: EarlierRecords, verdicts: Mapping[int, JobVerdict]) -> tuple[dict[int, Tally], int]:
        tallies = {job: Tally() for job in verdicts}
        of_no_job = 0
        for portion in records.done():
            for job_id, tasks in _grouped(portion).items():
                if job_id not in verdicts:
                    of_no_job += len(tasks)
                elif verdicts[job_id].verdict is Verdict.LEFT_OUT:
                    tallies[job_id].leave_out(verdicts[job_id].code, len(tasks))
                else:
                    self._take_tasks(verdicts[job_id], tasks, tallies[job_id])
        return tallies, of_no_job

    def _take_tasks(self, taken: JobVerdict, tasks: Sequence[EarlierTask], tally: Tally) -> None:
        job = taken.name
        work: list[DoneWork] = []
        for found in ahead(lambda task: self._done_work(job, taken.root, task), tasks, threads=READERS):
            if isinstance(found, LeftOut):
                self._leave_out(found, tally)
            else:
                work.append(found)
        if self._dry_run and job not in self._there:
            tally.intake += Intake(taken=len(work))
        elif work:
            tally.intake += self._ours.add_done(job, work, dry_run=self._dry_run)

    def _known(self, one: EarlierVolume) -> KnownVolume | LeftOut:
        try:
            volume = self._volume(one.w_id, one.i_id)
            intro = one.nb_images_intro or 0
            if intro < 0:
                raise _refused("E_EARLIER_PAGES", f"The volume {volume} would have {intro} pages at its beginning.")
        except TerminalError as error:
            return _left_out(None, one, error)
        return KnownVolume(volume, one.etag, intro)

    def _done_work(self, job: str, root: str, task: EarlierTask) -> DoneWork | LeftOut:
        """Look at the artefact of a task; a version that is not in it, or none, leaves the task out.

        Raises:
            StorageError: the destination is away.
        """
        try:
            volume = self._volume(task.w_id, task.i_id)
            if task.etag is None:
                raise _refused("E_EARLIER_VERSION", f"A finished task of {job} for {volume} has no ETag of 16 bytes.")
            found = self._artefact(ArtefactLocation(root, volume, version_of(task.etag)), task.etag)
            result = adopted_result(found, task.etag, self._pages(found, task), own=False)
        except TerminalError as error:
            return _left_out(job, task, error)
        return DoneWork(volume, _without_what_others_count(found, result), task.started_at, task.done_at)

    def _artefact(self, location: ArtefactLocation, etag: str) -> Success:
        found = self._artefacts.success(location)
        if found is None:
            raise _refused("E_EARLIER_ARTEFACT", f"The destination has no {location.prefix}/success.json.")
        if found.manifest_etag is not None and not same_etag(found.manifest_etag, etag):
            raise _refused("E_VERSION_COLLISION", f"{location.prefix} is of the manifest {found.manifest_etag} by now.")
        return found

    def _pages(self, found: Success, task: EarlierTask) -> int:
        """Count the pages of an artefact: it has a row for each."""
        rows = self._artefacts.rows(found)
        if rows is None or rows > _MOST_PAGES:
            raise _refused(
                "E_EARLIER_ARTEFACT", f"A file of {found.location.prefix} is gone, or is no whole Parquet file."
            )
        told = found.pages.total if task.pages is None and found.pages else task.pages
        if told not in {None, rows}:
            raise _refused("E_EARLIER_PAGES", f"{found.location.prefix} has {rows} rows for {told} pages.")
        return rows

    def _volume(self, w_id: str, i_id: str) -> VolumeRef:
        source, colon, _ = w_id.partition(":")
        if colon:
            raise _refused("E_EARLIER_SOURCE", f"{printable(w_id)} is of the source {printable(source)}.")
        return VolumeRef(w_id, i_id, self._source)

    def _leave_out(self, one: LeftOut, tally: Tally) -> None:
        tally.leave_out(one.code)
        examples = self._examples.setdefault(one.code, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append(one)


def _refused(code: str, message: str) -> TerminalError:
    return TerminalError(message, code=code)


def _left_out(job: str | None, one: EarlierVolume | EarlierTask, error: TerminalError) -> LeftOut:
    return LeftOut(job, printable(f"{one.w_id}/{one.i_id}"), error.code, error.message)


def _without_what_others_count(found: Success, result: TaskResult) -> TaskResult:
    """Leave out the counters of a `success.json` that is not of our format: what they mean is not known."""
    return result if found.mark.format == FORMAT else replace(result, counters={})


def _grouped(tasks: Sequence[EarlierTask]) -> dict[int, list[EarlierTask]]:
    found: dict[int, list[EarlierTask]] = {}
    for task in tasks:
        found.setdefault(task.job_id, []).append(task)
    return found


def _by_job(undone: Sequence[UndoneTasks]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    for one in undone:
        found.setdefault(one.job_id, {})[escaped(one.status)] = one.count
    return found
