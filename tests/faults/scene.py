"""A job over five small volumes of four pages, and what a fault may do to it."""

import gzip
import json
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.names import attempt_key, part_name
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.queue import PgQueue, PgQueues
from bec_orch.io.sources.bdrc import volume_prefix
from bec_orch.io.sqs.queues import SqsOptions, SqsQueue, SqsQueues
from bec_orch.io.stores.objects import Objects
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.job_admin import JobAdmin
from tests.faults.lane import REGION, Lane
from tests.faults.processes import PATIENCE, NotInjectedError, Process
from tests.support.owners import THEIRS, owner

WORK = "W1FAULTS"
VOLUMES = 5
PAGES = 4
LEASE = 3.0
CONVERGES_WITHIN = PATIENCE

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """How a volume's last task is to end, and the lengths that its artefact is to hold (None: an error row)."""

    state: str
    lengths: tuple[int | None, ...] = ()
    code: str | None = None


class Scene:
    """One job with its volumes, tables, queue and stores, and the processes that work on it.

    A fault changes the scene through its methods. What it expects otherwise than five good volumes, each done once, it
    writes down: `expected` by volume, `uncharged` (nobody may be charged), `generations` (how often a volume may be
    done), `cancels` (tasks may be superseded), `factors` (what lengths are multiplied with, by config hash).
    """

    def __init__(self, lane: Lane, *, migrated: bool = True) -> None:
        self.lane = lane
        self.name = lane.fresh_name()
        self.folder = lane.folder / self.name
        self._open = ExitStack()
        lane.calm()
        lane.server.create(self.name, migrated=migrated)
        self.source_url, self.dest_url = self._make_stores()
        self.artefacts = StoredArtefacts(lane.store(self.dest_url), self._made("audit"), owner())
        self.environment = {
            **lane.environment(self.name, self.folder / "home"),
            "BEC_SOURCE_URL": self.source_url,
            "BEC_DEST_URL": self.dest_url,
        }
        self.expected: dict[str, Expected] = {}
        self.uncharged = False
        self.generations = 1
        self.cancels = False
        self.seconds = 0.0
        self.factors: dict[str, int] = {}
        self.processes: list[Process] = []
        self.broken: list[str] = []
        self._purging = threading.Lock()
        self._purged = False
        for number in range(VOLUMES):
            self.write_volume(f"I{number:04}", [number + page + 1 for page in range(PAGES)])
        self.of_others: dict[str, bytes] = {}
        self._leave_as_others()
        if migrated:
            self.create_job()

    # The archive

    def write_volume(self, i_id: str, lengths: Sequence[int]) -> None:
        """Write a volume whose pages have these lengths; its answer is expected from now on."""
        for page, length in enumerate(lengths):
            self.put(self.page_key(i_id, page), b"x" * length)
        self.write_manifest(i_id, len(lengths))
        self.expected[i_id] = Expected("done", tuple(lengths))

    def write_manifest(self, i_id: str, pages: int, *, width: int = 10) -> None:
        """Write a volume's manifest; another width makes another version."""
        names = [self.page_key(i_id, page).rpartition("/")[2] for page in range(pages)]
        entries = [{"filename": name, "width": width, "height": 10} for name in names]
        data = gzip.compress(json.dumps(entries).encode(), mtime=0)
        self.put(f"{volume_prefix(WORK, i_id)}/dimensions.json", data)

    def put(self, key: str, data: bytes) -> None:
        """Put an object into the archive, in place of what is there."""
        self.lane.put(self.source_url, key, data)

    def remove(self, key: str) -> None:
        """Remove an object from the archive."""
        self.lane.store(self.source_url).delete([key])

    def page_key(self, i_id: str, page: int) -> str:
        """Return the key of a page's image."""
        return f"{volume_prefix(WORK, i_id)}/{i_id}{page:04}.jpg"

    def place(self, i_id: str) -> ArtefactLocation:
        """Return the place of a volume's artefact, for its manifest of now."""
        etag = self.lane.store(self.source_url).version_at(f"{volume_prefix(WORK, i_id)}/dimensions.json")
        return ArtefactLocation(self.name, VolumeRef(WORK, i_id, f"bdrc+{self.source_url}"), version_of(etag or ""))

    def leave(self, key: str, data: bytes) -> None:
        """Put something of others into the destination, which is to be there unchanged in the end."""
        self.destination().create(key, data)
        self.of_others[key] = data

    def _leave_as_others(self) -> None:
        """Leave what other databases and programs may have beside our artefacts, and one of theirs."""
        others = owner(THEIRS)
        part = part_name("0123456789abcdef", 0, 1, others, "0a1b2c3d")
        for place in map(self.place, self.expected):
            for name in (f"{place.stem}.a0.parquet", f"{place.stem}_ocrv1.parquet", f"parts/{part}"):
                self.leave(f"{place.prefix}/{name}", name.encode())
            self.leave(attempt_key(place, 0, others), b"of another database")
        for name in ("success.json", f"{WORK}-I9999-abcdef.parquet"):
            self.leave(f"{self.name}/{WORK}/I9999/abcdef/{name}", b"{}")

    @property
    def volumes(self) -> list[VolumeRef]:
        """All volumes of the scene."""
        return [VolumeRef(WORK, i_id, f"bdrc+{self.source_url}") for i_id in self.expected]

    # The job

    def create_job(self) -> Job:
        """Make the job, and its queues where they are SQS's."""
        with self.database() as database:
            config = {"page_seconds": 0.03}
            job = JobAdmin(PgJobs(database)).create(self.name, "scarred", config, max_page_error_rate=0.5)
            queues = self._queues(database)
            if isinstance(queues, SqsQueues):
                queues.admin(self.name).create()
        return job

    def enqueue(self, *, force: bool = False) -> None:
        """Enqueue all volumes, past every proxy."""
        with self.database() as database:
            Enqueuer(PgBacklog(database), self._queues(database)).enqueue(self.name, self.volumes, force=force)

    def update_job(self, **changes: Any) -> None:
        """Change the job as `bec jobs update` does."""
        with self.database() as database:
            JobAdmin(PgJobs(database)).update(self.name, **changes)

    def slow(self, seconds: float) -> None:
        """Let each page of tasks that are claimed from now on take so long."""
        self.update_job(config={"page_seconds": seconds})

    def delete_job(self) -> None:
        """Delete the job as `bec jobs delete` does."""
        with self.database() as database:
            JobAdmin(PgJobs(database)).delete(self.name)

    def with_queue(self, act: Callable[[PgQueue | SqsQueue], Any]) -> Any:
        """Do something with the job's queue, past every proxy."""
        with self.database() as database:
            return act(self._queues(database)(self.name))

    def purge(self) -> None:
        """Lose every message, once: SQS refuses a second purge within a minute, and a pair of faults may ask twice."""
        with self._purging:
            if not self._purged:
                self.with_queue(lambda queue: queue.purge())
            self._purged = True

    def database(self) -> Database:
        """Open the scene's database, past every proxy; the caller closes it."""
        return Database(self.lane.server.conninfo(self.name))

    def sql(self, statement: str, **values: Any) -> list[Row]:
        """Run one statement, past every proxy."""
        with self.database() as database, database.transaction("look") as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    # The processes

    def bec(self, *arguments: str, failpoint: str = "", before: tuple[str, ...] = (), **environment: str) -> Process:
        """Start `bec`, with faults armed and other settings."""
        armed = {"BEC_FAILPOINT": failpoint} if failpoint else {}
        process = Process(arguments, {**self.environment, **armed, **environment}, before)
        self.processes.append(process)
        return process

    def worker(self, *options: str, failpoint: str = "", before: tuple[str, ...] = (), **environment: str) -> Process:
        """Start a worker of the job."""
        return self.bec("worker", "--job", self.name, *options, failpoint=failpoint, before=before, **environment)

    def hit(self, failpoint: str, **environment: str) -> Process:
        """Start a worker with one fault armed, and wait until it happened."""
        worker = self.bec("worker", "--job", self.name, failpoint=failpoint, before=(), **environment)
        point = failpoint.rsplit(",", maxsplit=1)[-1].split(":", maxsplit=1)[0]
        worker.wait_for("fault.injected", point=point)
        return worker

    def run(self, *arguments: str) -> None:
        """Run `bec` to a good end."""
        process = self.bec(*arguments)
        if process.wait() != 0:
            raise NotInjectedError(f"bec {' '.join(arguments)} failed: {process.log()}")

    def volumes_file(self) -> Path:
        """Return the file that names all volumes."""
        file = self.folder / "volumes.csv"
        file.write_text("".join(f"{volume.w_id},{volume.i_id}\n" for volume in self.volumes))
        return file

    # The end

    def finish(self) -> None:
        """Let fresh workers do what is left, then end them; `seconds` has how long every task's end took at most."""
        begun = time.monotonic()
        workers: list[Process] = []
        while self.unfinished() and time.monotonic() - begun < CONVERGES_WITHIN:
            if not any(worker.running for worker in workers):
                workers.append(self.worker("--until-empty"))
            time.sleep(0.1)
        self.seconds = max(self.seconds, time.monotonic() - begun)
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
            worker.wait()

    def unfinished(self) -> int:
        """Count the volumes whose last task has no end."""
        rows = self.sql("SELECT count(*) AS tasks FROM tasks WHERE finished_at IS NULL")
        return int(rows[0]["tasks"])

    def end_processes(self, stop: Callable[[Process], None]) -> list[tuple[Process, int]]:
        """Stop whatever runs, and return each process with its exit code."""
        for process in self.processes:
            if process.running:
                stop(process)
        return [(process, process.wait()) for process in self.processes]

    def success(self, task: Mapping[str, Any]) -> Success | None:
        """Return what `success.json` of a finished task says."""
        volume = VolumeRef(task["w_id"], task["i_id"], task["source"])
        return self.artefacts.success(ArtefactLocation(self.name, volume, version_of(task["manifest_etag"])))

    def destination(self) -> Objects:
        """Open the destination, past every proxy."""
        return self.lane.store(self.dest_url)

    def log(self) -> str:
        """Return what all processes said, one after the other."""
        return "\n\n".join(f"{' '.join(process.arguments)}\n{process.log()}" for process in self.processes)

    def close(self) -> None:
        """Leave nothing running, and no table behind."""
        for process in self.processes:
            process.kill_group()
            process.wait()
        self.lane.calm()
        self.lane.server.drop(self.name)

    def promise(self, kept: bool, promise: str) -> None:  # noqa: FBT001  (reads as an assertion)
        """Note a promise that was broken."""
        if not kept:
            self.broken.append(promise)

    def until(self, happened: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
        """Wait for something.

        Raises:
            NotInjectedError: it never happened.
        """
        give_up = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > give_up:
                raise NotInjectedError(f"{what}, never")
            time.sleep(0.05)

    def _queues(self, database: Database) -> PgQueues | SqsQueues:
        if self.lane.moto_url is None:
            return PgQueues(database)
        return SqsQueues(SqsOptions(AwsOptions(REGION, self.lane.moto_url), {}, visibility=round(LEASE)))

    def _make_stores(self) -> tuple[str, str]:
        if self.lane.moto_url is None:
            return self._made("archive").as_uri(), self._made("results").as_uri()
        buckets = (f"{self.name}-archive", f"{self.name}-results")
        for bucket in buckets:
            self.lane.s3.create_bucket(Bucket=bucket)
        return f"s3://{buckets[0]}", f"s3://{buckets[1]}"

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder
