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

import psycopg
from psycopg.rows import DictRow

from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.models import Job, VolumeRef
from bec_orch.core.ports import SourceFactory
from bec_orch.core.queue_ports import QueueFactory
from bec_orch.errors import BecError, PartlySent, RetryableError, TerminalError, UsageError
from bec_orch.io.postgres.database import Database, Row, clean_text, rows
from bec_orch.io.postgres.db import SUPERSEDED
from bec_orch.io.postgres.migrate import renew_statistics
from bec_orch.io.postgres.rows import message_of
from bec_orch.io.postgres.sql_files import statements
from bec_orch.io.sources.sources import parse_source
from bec_orch.orch.ahead import batches
from bec_orch.orch.job_admin import read_job

# HEAD requests wait for the network, not for a core; stores answer hundreds at a time.
_ETAG_THREADS = 64
_MESSAGES_AT_ONCE = 5000
# A portion takes a tenth of a second, and its volumes are locked for as long: a commit that meets it hardly waits.
_VOLUMES_AT_ONCE = 2000
# From so many new tasks on the planner is told of them, and again whenever they have doubled.
_MANY_TASKS = 1000

Connection = psycopg.Connection[DictRow]


@dataclass(frozen=True, slots=True)
class VolumeFault:
    """A volume that was left out, and why."""

    volume: VolumeRef
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class EnqueueReport:
    """What became of the volumes, each counted once.

    `queued` and `waiting` have a new task; of these `superseded` took the place of an unfinished task for an older
    version. The others have none: done for the last known version, done but not as it would be today (`stale`),
    finally failed for this version and config, or unfinished already. `faults` are volumes whose version could not be
    read. `sent` counts messages, those of earlier calls that were cut short among them.
    """

    volumes: int = 0
    queued: int = 0
    waiting: int = 0
    superseded: int = 0
    skipped_done: int = 0
    skipped_stale: int = 0
    skipped_failed: int = 0
    already_unfinished: int = 0
    sent: int = 0
    faults: tuple[VolumeFault, ...] = ()

    def __add__(self, other: "EnqueueReport") -> "EnqueueReport":
        return EnqueueReport(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Versions:
    """The manifest ETags that a source told, and the volumes for which it told none."""

    etags: Mapping[VolumeRef, str] = field(default_factory=dict)
    faults: tuple[VolumeFault, ...] = ()


class Enqueuer:
    """Enqueues volumes in one database and its queues."""

    def __init__(self, database: Database, queues: QueueFactory) -> None:
        self._database = database
        self._queues = queues
        self._sql = statements("enqueue")

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
        """Give each volume that needs one a task, and send the messages.

        Args:
            job_name: the job.
            volumes: the volumes; one that is named twice counts once.
            refresh: gives the sources that are first asked for the volumes' versions, so that changed ones are found.
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
            raise UsageError("--adopt-foreign does not go with --force: take what is there, or do it again.")
        for source in {volume.source for volume in volumes}:
            parse_source(source)
        versions = read_versions(volumes, refresh) if refresh else Versions()
        without = {fault.volume for fault in versions.faults}
        known = [volume for volume in dict.fromkeys(volumes) if volume not in without]
        job, report, many = self._job(job_name), EnqueueReport(), _MANY_TASKS
        for portion in batches(known, _VOLUMES_AT_ONCE):
            with self._database.transaction(f"enqueue volumes for {job.name}") as connection:
                job = read_job(connection, job_name)
                with connection.transaction(force_rollback=dry_run):
                    self._load(connection, portion, versions.etags, replace_foreign or {})
                    if intro_pages is not None:
                        connection.execute(self._sql["note_intro"], {"pages": intro_pages})
                    report += self._add_tasks(connection, job, force=force, stale=stale, adopt_foreign=adopt_foreign)
            reached(FaultPoint.ENQUEUE_RECORDED)
            if report.queued + report.waiting >= many and not dry_run:
                many = 2 * (report.queued + report.waiting)
                renew_statistics(self._database)
        sent = 0 if dry_run else self.dispatch(job)
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
        """Enqueue the volumes for the job and for all that it needs, what is needed first; gives each job's report.

        Only the dependencies' missing work is queued: force and stale redos are asked for job by job.

        Raises:
            ConfigError: there is no such job.
            DatabaseError, QueueError: one is away; run it again later.
        """
        enqueue = partial(
            self.enqueue, refresh=refresh, adopt_foreign=adopt_foreign, intro_pages=intro_pages, dry_run=dry_run
        )
        return {name: enqueue(name, volumes) for name in self._in_order(job_name)}

    def _job(self, name: str) -> Job:
        with self._database.transaction("read a job") as connection:
            return read_job(connection, name)

    def _in_order(self, job_name: str) -> list[str]:
        needs: dict[str, tuple[str, ...]] = {}
        open_names = [job_name]
        with self._database.transaction("read what a job needs") as connection:
            while open_names:
                job = read_job(connection, open_names.pop())
                needs[job.name] = job.depends_on
                open_names += [name for name in job.depends_on if name not in needs]
        return list(TopologicalSorter(needs).static_order())

    def dispatch(self, job: Job) -> int:
        """Send the message of every queued task of the job that has none yet; gives their number."""
        queue, sent, after = self._queues(job.name), 0, 0
        while batch := self._outbox(job, after):
            try:
                queue.send([message_of(row, job.name) for row in batch])
            except PartlySent as error:
                self._mark_sent([batch[position] for position in error.sent])
                raise
            reached(FaultPoint.ENQUEUE_SENT)
            self._mark_sent(batch)
            sent, after = sent + len(batch), batch[-1]["id"]
        return sent

    def _outbox(self, job: Job, after: int) -> list[Row]:
        wanted = {"job_id": job.id, "after": after, "limit": _MESSAGES_AT_ONCE}
        with self._database.transaction("read what is to be sent") as connection:
            return rows(connection, self._sql["outbox"], wanted)

    def _mark_sent(self, batch: Sequence[Row]) -> None:
        with self._database.transaction("record what was sent") as connection:
            connection.execute(self._sql["mark_sent"], {"ids": [row["id"] for row in batch]})

    def _load(
        self,
        connection: Connection,
        volumes: Sequence[VolumeRef],
        etags: Mapping[VolumeRef, str],
        replaced: Mapping[VolumeRef, str],
    ) -> None:
        connection.execute(self._sql["create_incoming"])
        with connection.cursor() as cursor, cursor.copy(self._sql["copy_incoming"]) as copy:
            for volume in volumes:
                names = (volume.w_id, volume.i_id, clean_text(volume.source))
                copy.write_row((*names, etags.get(volume), replaced.get(volume)))
        connection.execute(self._sql["analyze_incoming"])
        connection.execute(self._sql["add_volumes"])
        connection.execute(self._sql["lock_volumes"])
        connection.execute(self._sql["stamp_volumes"])

    def _add_tasks(
        self, connection: Connection, job: Job, *, force: bool, stale: bool, adopt_foreign: bool
    ) -> EnqueueReport:
        parameters = {
            "job": job.name,
            "job_id": job.id,
            "config_hash": job.config_hash,
            "force": force,
            "stale": stale,
            "adopt_foreign": adopt_foreign,
            "reason": SUPERSEDED,
        }
        connection.execute(self._sql["judge"], parameters)
        connection.execute(self._sql["analyze_judged"])
        verdicts = _counted(connection, self._sql["count_verdicts"], "verdict", "volumes", parameters)
        connection.execute(self._sql["lock_tasks"])
        connection.execute(self._sql["cancel_superseded"], parameters)
        if force:
            connection.execute(self._sql["force_unfinished"])
        connection.execute(self._sql["note_foreign"], parameters)
        connection.execute(self._sql["add_tasks"], parameters)
        connection.execute(self._sql["release_added"], parameters)
        added = _counted(connection, self._sql["count_added"], "state", "tasks", parameters)
        return EnqueueReport(
            queued=added.get("queued", 0),
            waiting=added.get("waiting", 0),
            superseded=verdicts.get("superseded", 0),
            skipped_done=verdicts.get("done", 0),
            skipped_stale=verdicts.get("stale", 0),
            skipped_failed=verdicts.get("failed", 0),
            already_unfinished=verdicts.get("unfinished", 0),
        )


def read_versions(volumes: Sequence[VolumeRef], sources: SourceFactory) -> Versions:
    """Ask the sources for the volumes' manifest ETags, many at a time. One that fails is told, and stops nothing."""

    def ask(volume: VolumeRef) -> str | VolumeFault:
        try:
            etag = sources(volume.source).manifest_etag(volume)
        except (RetryableError, TerminalError) as error:
            return _fault(volume, error)
        return etag or VolumeFault(volume, "E_MANIFEST_MISSING", f"The volume {volume} is not in its source.")

    asked = list(dict.fromkeys(volumes))
    with ThreadPoolExecutor(_ETAG_THREADS) as pool:
        answers = list(zip(asked, pool.map(ask, asked), strict=True))
    etags = {volume: answer for volume, answer in answers if isinstance(answer, str)}
    return Versions(etags, tuple(answer for _, answer in answers if isinstance(answer, VolumeFault)))


def _fault(volume: VolumeRef, error: BecError) -> VolumeFault:
    return VolumeFault(volume, error.code, error.message)


def _counted(
    connection: Connection, sql: bytes, key: str, count: str, parameters: Mapping[str, object]
) -> dict[str, int]:
    return {row[key]: row[count] for row in rows(connection, sql, parameters)}
