"""Fills a fresh folder with finished volumes, audits it, and prints seconds, volumes per second and memory.

    python -m bench.audit [--volumes 4000] [--pages 5] [--latency 0.03]

Each read of an object waits `--latency` seconds first, as it does when the store is S3; beside the time stands what as
many reads one after the other would take. The volumes are made by what a worker does: claimed, written, published and
committed. Memory is the peak above what the process had before the audit.
"""

import argparse
import datetime as dt
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Self

import psutil
import pyarrow as pa

from bec_orch.core.artefacts import ArtefactLocation, AttemptKey
from bec_orch.core.metrics import Metrics
from bec_orch.core.success import fresh_result, success_content
from bec_orch.core.tasks import Claim, Job
from bec_orch.core.volumes import PageOutcome, PageState, VolumeRef
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.identity import owner_of
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.ledger import PgLedger
from bec_orch.io.postgres.migrate import migrate
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.postgres.tasks import PgTasks
from bec_orch.io.sources.sources import Sources, source_name
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.objects import Blob
from bec_orch.io.stores.storage import Stores
from bec_orch.orch.audit.audit import READERS, Auditor
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.job_admin import JobAdmin

MIB = 2**20
SCHEMA = pa.schema([("length", pa.int32())])


class FarFolder(FolderObjects):
    """A folder that answers as late as a far store."""

    latency = 0.0
    reads = 0

    def _read(self, key: str, limit: int | None) -> Blob | None:
        self.reads += 1
        time.sleep(self.latency)
        return super()._read(key, limit)

    def _read_range(self, key: str, start: int, end: int) -> bytes:
        self.reads += 1
        time.sleep(self.latency)
        return super()._read_range(key, start, end)


class Peak:
    """The most memory that this process took while the block ran, in MiB beyond what it had before."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._ended = Event()
        self._before = self._process.memory_info().rss
        self._most = self._before
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def mib(self) -> float:
        """MiB beyond what was there before."""
        more: int = self._most - self._before
        return more / MIB

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self._most = max(self._most, self._process.memory_info().rss)


class Filler:
    """Makes finished volumes."""

    def __init__(self, job: Job, store: PgTasks, artefacts: StoredArtefacts, sources: Sources) -> None:
        self._job = job
        self._store = store
        self._artefacts = artefacts
        self._sources = sources

    def finish(self, volume: VolumeRef) -> None:
        """Do one volume: one row for each page."""
        claim = self._store.claim(self._job, volume, worker_id="bench", token=uuid.uuid4(), lease=600)
        if not isinstance(claim, Claim):
            raise TypeError(f"{volume} cannot be claimed: {claim}")
        manifest = self._sources(volume.source).read_manifest(volume)
        self._store.stamp_manifest(claim, manifest.etag, len(manifest.pages))
        location = ArtefactLocation(self._job.name, volume, manifest.version)
        key = AttemptKey(self._job.config_hash, (), "1", self._job.type)
        with closing(self._artefacts.open_attempt(location, manifest, claim.attempt, key, SCHEMA, {})) as files:
            for page in manifest.pages:
                files.rows.add(PageOutcome(page.index, PageState.OK, page.etag, {"length": page.index}))
            result = fresh_result(manifest, key, files.rows.counts(), files.assemble(), {}, Metrics())
            content = success_content(claim, manifest, result, "bench", dt.datetime.now(dt.UTC))
            self._artefacts.commit(location, content, replaces=None)
            files.discard_parts()
        self._store.commit(claim, result)


def write_scans(root: Path, volumes: int, pages: int) -> list[VolumeRef]:
    """Write volumes of tiny pages, 20 to a work."""
    source = source_name("folder", root.as_uri())
    named = [VolumeRef(f"W{n // 20}", f"I{n:06d}", source) for n in range(volumes)]
    for volume in named:
        folder = root / volume.w_id / volume.i_id
        folder.mkdir(parents=True)
        for page in range(pages):
            (folder / f"{page:04}.jpg").write_bytes(b"x")
    return named


def measure(auditor: Auditor, job: Job, objects: FarFolder, how: str) -> None:
    """Audit once, and print a line."""
    objects.reads = 0
    begun = time.perf_counter()
    with Peak() as peak:
        report = auditor.audit([job])
    seconds = time.perf_counter() - begun
    count, reads = report.looked.artefacts, objects.reads
    print(
        f"{how:6}: {count} volumes in {seconds:.1f} s ({count / seconds:.0f}/s), {report.violations} violations; "
        f"{reads} reads, one after the other {reads * objects.latency:.0f} s; {peak.mib:.0f} MiB more"
    )


def main() -> None:
    """Run the bench and print its lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=4000)
    parser.add_argument("--pages", type=int, default=5)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds that each read waits")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bec-bench-") as folder,
        EmbeddedPostgres(Path(folder)) as server,
        Database(server.conninfo) as database,
        closing(PgQueues(database)) as queues,
    ):
        home = Path(folder)
        migrate(database)
        job = JobAdmin(PgJobs(database)).create("lines", "ldv1", {})
        volumes = write_scans(home / "scans", options.volumes, options.pages)
        Enqueuer(PgBacklog(database), queues).enqueue(job.name, volumes)
        objects, sources = FarFolder(home / "out", create=True), Sources(Stores())
        artefacts = StoredArtefacts(objects, home / "work", owner_of(database))
        filler = Filler(job, PgTasks(database, default_source=volumes[0].source), artefacts, sources)
        begun = time.perf_counter()
        for volume in volumes:
            filler.finish(volume)
        print(f"made {len(volumes)} volumes in {time.perf_counter() - begun:.0f} s; {READERS} readers at once")
        FarFolder.latency = options.latency
        measure(Auditor(PgLedger(database), queues, artefacts, ""), job, objects, "cheap")
        measure(Auditor(PgLedger(database), queues, artefacts, "", sources), job, objects, "--deep")


if __name__ == "__main__":
    main()
