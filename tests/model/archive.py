"""A small archive for the model: two jobs over three volumes, with the program's own queue, database and stores."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.rows import dict_row

from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.life.flight import FlightRecorder
from bec_orch.core.life.housekeeping import maintenance
from bec_orch.core.life.lease import Lease
from bec_orch.core.life.standings import Standings
from bec_orch.core.life.stop import StopReason, WorkerStop
from bec_orch.core.life.task_run import task_runner
from bec_orch.core.life.worker_options import Outside, WorkerOptions, Workplace
from bec_orch.core.ports.job_worker import JobContext, JobWorker
from bec_orch.core.retries import RetryPolicy
from bec_orch.core.tasks import Job, WorkerInfo
from bec_orch.core.volumes import Page, VolumeRef, version_of
from bec_orch.errors import DatabaseError, QueueError, StorageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.names import attempt_key, part_name
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.identity import owner_of
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.ledger import PgLedger
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.io.sources.sources import Sources, source_name
from bec_orch.io.stores.storage import Stores
from bec_orch.orch.audit.audit import Auditor
from bec_orch.orch.audit.values import LITTER, NAME, NOT_RECORDED, Violation
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver
from bec_orch.orch.job_admin import JobAdmin
from tests.model.actors import PAGE, Actor, Gated, GatedStore, current, pass_gate
from tests.model.clock import ModelClock
from tests.support.jobs.toy_job import ToyConfig, ToyJob, keep_answer
from tests.support.owners import THEIRS, owner

# In seconds of the model's clock; a lease's own thread, which counts real ones, so never comes to renew.
LEASE = 4000.0
REDISPATCH = 6000.0
BACKOFF = RetryPolicy(base=400.0, cap=1600.0)
MAX_ATTEMPTS = 3
PAGES = 2

FIRST, SECOND = "lines", "text"
JOBS = (FIRST, SECOND)

_STORE = frozenset(
    {
        *("claim", "spelled", "ensure_task", "stamp_manifest", "commit", "fail", "release", "record_rejected"),
        *("given_up_dependencies", "mark_dispatched", "undispatched", "reopen", "record_published", "doubt"),
    }
)
_QUEUE = frozenset({"send", "change_visibility", "delete", "dead_letter"})
_ARTEFACTS = frozenset({"success", "verify", "commit", "sweep", "open_attempt"})
_FILES = frozenset({"assemble", "discard_parts"})
_SOURCE = frozenset({"read_manifest", "manifest_etag"})


def _database_away() -> DatabaseError:
    return DatabaseError("The database is away.")


def _queue_away() -> QueueError:
    return QueueError("The queue is away.")


def _store_away() -> StorageError:
    return StorageError("The store is away.")


@dataclass
class Versions:
    """What each version of each volume, and each config, must come out as."""

    lengths: dict[str, list[int]] = field(default_factory=dict)
    factors: dict[str, int] = field(default_factory=lambda: {ToyConfig(factor=n).output_hash(): n for n in (1, 2)})

    def rows(self, success: Success) -> list[int]:
        """Return the lengths that the rows of an artefact must have."""
        assert success.manifest_etag
        assert success.config_hash
        return [length * self.factors[success.config_hash] for length in self.lengths[success.manifest_etag]]


class Archive:
    """Everything that lies outside of the workers, and what they are built of."""

    def __init__(self, home: Path, conninfo: str, plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._home = home
        self._standings = Standings()
        self._flights = FlightRecorder(home.parent, self._standings)
        self.connection = psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)
        self.clock = ModelClock(self.connection)
        self.database = Database(conninfo, connections=12)
        self.admin = JobAdmin(PgJobs(self.database))
        monkeypatch.syspath_prepend(str(plugins))
        monkeypatch.setattr("bec_orch.core.life.task_run.Lease", self._lease)
        monkeypatch.setattr("bec_orch.core.life.claiming.time", SimpleNamespace(monotonic=self.clock))
        # Who finds a row held by a fence that stands still waits in vain.
        monkeypatch.setattr("bec_orch.io.postgres.tasks._CLAIM_LOCK_WAIT", "50ms")

    def reset(self) -> None:
        """Begin anew: two jobs, three volumes, nothing done."""
        self.execute(
            "TRUNCATE jobs, job_dependencies, volumes, workers, tasks, task_attempts, rejected_messages, queue_messages"
            " RESTART IDENTITY"
        )
        shutil.rmtree(self._home, ignore_errors=True)
        for folder in ("scans", "work", "out"):
            (self._home / folder).mkdir(parents=True)
        self.source = source_name("folder", (self._home / "scans").as_uri())
        stores = Stores()
        self.sources = Sources(stores)
        self.artefacts = StoredArtefacts(
            stores.open((self._home / "out").as_uri(), create=True), self._home / "work", owner_of(self.database)
        )
        self.store = PgTasks(self.database, default_source=self.source, retry=BACKOFF)
        self.queues = PgQueues(self.database)
        self.versions = Versions()
        self._gated = self._gated_parts()
        self._scanned = 0
        self.foreign: dict[ArtefactLocation, str] = {}
        self._of_others: dict[Path, bytes] = {}
        self.volumes = tuple(VolumeRef("W1", f"I{n}", self.source) for n in range(3))
        for volume in self.volumes:
            self._leave_files(volume, self.scan(volume))
        self.create_job(FIRST)
        self.create_job(SECOND, needs=(FIRST,))

    def close(self) -> None:
        """Close what was opened."""
        self._flights.close()
        self.database.close()
        self.connection.close()

    def execute(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        """Run a statement on the model's own connection."""
        cursor = self.connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def create_job(self, name: str, needs: tuple[str, ...] = ()) -> None:
        """Make a job, as `bec jobs create` does."""
        self.admin.create(name, "toy", {}, depends_on=needs, max_attempts=MAX_ATTEMPTS, max_page_error_rate=0.0)

    def scan(self, volume: VolumeRef) -> str:
        """Put a new version of a volume into the source; returns its ETag."""
        self._scanned += 1
        folder = self._home / "scans" / volume.w_id / volume.i_id
        folder.mkdir(parents=True, exist_ok=True)
        # The first page stays as it is over the versions: what was computed for it may be taken over.
        sizes = [7, *(10 * self._scanned + page for page in range(1, PAGES))]
        for page, size in enumerate(sizes):
            image = folder / f"{page}.jpg"
            if not image.exists() or image.stat().st_size != size:
                image.write_bytes(b"x" * size)
                os.utime(image, (self._scanned, self._scanned))
        etag = self.sources(volume.source).read_manifest(volume).etag
        self.versions.lengths[etag] = sizes
        return etag

    def publish_as_others(self, job: str, volume: VolumeRef) -> None:
        """Let another program leave an artefact where ours would lie, if nothing is there yet."""
        etag = self.sources(volume.source).read_manifest(volume).etag
        location = ArtefactLocation(job, volume, version_of(etag))
        success = self.file(f"{location.prefix}/success.json")
        if success.exists():
            return
        rows = io.BytesIO()
        pq.write_table(pa.table({"length": self.versions.lengths[etag]}), rows)
        self._leave(self.file(f"{location.prefix}/{location.stem}.parquet"), rows.getvalue())
        self._leave(success, b'{"job_id": 7, "total_images": 2}')
        self.foreign[location] = etag

    def _leave_files(self, volume: VolumeRef, etag: str) -> None:
        """Leave what another database's attempts have beside ours, and parts of one that still runs."""
        for job in JOBS:
            location = ArtefactLocation(job, volume, version_of(etag))
            others = owner(THEIRS)
            names = (
                f"{location.stem}.a0.parquet",
                attempt_key(location, 0, others).rpartition("/")[2],
                f"parts/{part_name('0123456789abcdef', 0, 1, others, '0a1b2c3d')}",
            )
            for name in names:
                self._leave(self.file(f"{location.prefix}/{name}"), name.encode())

    def _leave(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._of_others[path] = data

    def harmed(self) -> list[str]:
        """Return what of others is not as they left it."""
        return [str(path) for path, data in self._of_others.items() if not path.exists() or path.read_bytes() != data]

    def successes(self) -> Iterator[Success]:
        """Read every `success.json` of ours that is there."""
        for path in sorted((self._home / "out").glob("*/*/*/*/success.json")):
            job, w_id, i_id, version = path.parts[-5:-1]
            found = self.artefacts.success(ArtefactLocation(job, VolumeRef(w_id, i_id, self.source), version))
            assert found
            if self.artefacts.owns(found):
                yield found

    def file(self, key: str) -> Path:
        """Return a file of the destination."""
        return self._home / "out" / key

    def audit(self, damaged: set[str], *, recreated: bool) -> list[str]:
        """Let an operator audit everything; returns what is wrong.

        Beside an artefact of a version whose task was superseded, maintenance leaves litter, and the conventional name
        as it is: nobody reads it any more. What attempts newer than an artefact left is for `bec audit --fix` alone.

        Args:
            damaged: prefixes of artefacts that somebody damaged: they are left out.
            recreated: a job was made anew under its name: what the old one did, the new one has no tasks of.
        """
        auditor = Auditor(PgLedger(self.database), self.queues, self.artefacts, self.source, self.sources)
        found = _Collected()
        auditor.audit(self.admin.list(), found)
        return [
            f"{violation.invariant.code} {violation.job}: {violation.message}"
            for violation in found.violations
            if not (violation.location and violation.location.prefix in damaged)
            and not (recreated and violation.invariant is NOT_RECORDED)
            and not (violation.invariant in {LITTER, NAME} and not violation.task_ids)
            and not (violation.invariant is LITTER and not self._is_swept(violation))
        ]

    def _is_swept(self, violation: Violation) -> bool:
        """Return whether maintenance is to remove litter: what attempts older than the artefact left."""
        assert violation.location
        success = self.artefacts.success(violation.location)
        assert success
        return bool(self.artefacts.litter(self.artefacts.holding(violation.location), success))

    def receive(self, name: str, job: str) -> Actor | None:
        """Let a worker take a message, if there is one, and stand before its first call."""
        received = self.queues(job).receive(limit=1, wait=0, visibility=LEASE)
        if not received:
            return None
        stop = WorkerStop(0.0)
        queue, standings = self._gated.queues(job), self._standings
        found = self.store.job(job)
        info = WorkerInfo(name, found.id, "host", 1, "0")
        runner = task_runner(
            Workplace(found, info, self._outside(), _job_worker, standings, self._options()), queue, stop
        )
        return Actor(name, job, lambda: runner.handle(received[0]), stop=lambda: stop.request(StopReason.SHUTDOWN))

    def maintain(self, job: str) -> Actor:
        """Let a worker make its round of maintenance."""
        rounds = maintenance(self.store.job(job), self._outside(), self._options())

        def work() -> None:
            rounds.dispatch()
            rounds.verify()
            rounds.record_published()

        return Actor("housekeeper", job, work)

    def enqueue(self, job: str, volumes: tuple[VolumeRef, ...], *, refresh: bool = False, **how: Any) -> Actor:
        """Let an operator enqueue."""
        sources = self.sources if refresh else None
        enqueuer = Enqueuer(PgBacklog(self.database), self._gated.queues)
        return Actor("operator", job, lambda: enqueuer.enqueue(job, volumes, refresh=sources, **how))

    def redrive(self, job: str) -> Actor:
        """Let an operator redrive every failed task."""
        return Actor("operator", job, lambda: Redriver(PgBacklog(self.database), self._gated.queues).redrive(job))

    def _outside(self) -> Outside:
        gated = self._gated
        return Outside(gated.store, gated.queues, gated.sources, gated.artefacts)

    def _options(self) -> WorkerOptions:
        return WorkerOptions(
            self._home / "work", self.source, lease=LEASE, redispatch_after=REDISPATCH, outage_patience=LEASE
        )

    def _gated_parts(self) -> SimpleNamespace:
        def files(answer: Any) -> Any:
            return Gated("files", answer, _store_away, _FILES) if hasattr(answer, "assemble") else answer

        return SimpleNamespace(
            store=GatedStore("store", self.store, _database_away, _STORE),
            artefacts=Gated("artefacts", self.artefacts, _store_away, _ARTEFACTS, files),
            queues=_GatedQueues(self.queues),
            sources=lambda name: Gated("source", self.sources(name), _store_away, _SOURCE),
        )

    def _lease(self, *args: Any, **kwargs: Any) -> Lease:
        return _WatchedLease(*args, clock=self.clock, **kwargs)


class _GatedQueues:
    """All queues; what is sent, received and removed passes gates, what operators do with a whole queue does not."""

    def __init__(self, real: PgQueues) -> None:
        self._real = real
        self.admin = real.admin

    def __call__(self, job: str) -> Any:
        return Gated("queue", self._real(job), _queue_away, _QUEUE)


class _Collected:
    """Repairs nothing, and keeps what is found."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def begin(self, violation: Violation) -> bool:
        self.violations.append(violation)
        return False

    def end(self, _job: Job) -> None: ...


class _WatchedLease(Lease):
    """A lease that tells its actor while it is kept."""

    def __enter__(self) -> Self:
        _tell(self)
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:  # noqa: PYI036  (passed on as they come)
        super().__exit__(*raised)
        _tell(None)


def _tell(lease: Lease | None) -> None:
    actor = current()
    if actor:
        actor.lease = lease


@contextmanager
def _job_worker(job: Job) -> Iterator[JobWorker]:
    def at_page(context: JobContext, page: Page) -> None:
        pass_gate(PAGE, lambda: None, _store_away)
        keep_answer(context, page)

    yield ToyJob(ToyConfig.parse(job.config), at_page)


def body_of(volume: VolumeRef, job: str) -> str:
    """Write a message by hand."""
    return json.dumps({"w_id": volume.w_id, "i_id": volume.i_id, "job": job, "source": volume.source})
