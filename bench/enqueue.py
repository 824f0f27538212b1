"""Enqueues a list of volumes for three jobs into a fresh embedded database, asks what operators ask, prints seconds.

python -m bench.enqueue [--file volumes.csv] [--volumes 60000]

The jobs need each other in a row. Two thirds of the first one's tasks are then made `done` by SQL, nobody renews the
statistics after that, and the database's own vacuum is off: so plans are measured without the help of statistics.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from bec_orch.core.volumes import VolumeRef
from bec_orch.io.postgres.backlog import PgBacklog
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.jobs import PgJobs
from bec_orch.io.postgres.migrate import migrate
from bec_orch.io.postgres.overview import PgOverview
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.volume_lists import parse_volume_list
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.orch.overview.standing import graph, job_stats, queue_check

T = TypeVar("T")

SOURCE = "bdrc+s3://archive.tbrc.org"
# As many as the archive has.
VOLUMES = 60_000

_DONE = b"""
UPDATE tasks t
SET state = 'done', finished_at = clock_timestamp(), started_at = clock_timestamp(), manifest_etag = 'etag',
    config_hash = j.config_hash, inputs = '{}', pages_ok = 300, pages_skipped = 0, pages_error = 0
FROM jobs j WHERE j.id = t.job_id AND j.name = 'lines' AND t.id % 3 > 0
"""
_ALONE = b"ALTER TABLE tasks SET (autovacuum_enabled = off)"


def volumes_of(file: Path | None, count: int) -> tuple[VolumeRef, ...]:
    """Read the list, or make up as many volumes as asked for, 20 to a work."""
    if file is None:
        return tuple(VolumeRef(f"W{n // 20}", f"I{n:06d}", SOURCE) for n in range(count))
    return parse_volume_list(file.read_text("utf-8").splitlines(), SOURCE).volumes


def timed(what: str, do: Callable[[], T]) -> T:
    """Do something, and print its seconds."""
    begun = time.perf_counter()
    done = do()
    print(f"{what:44} {time.perf_counter() - begun:6.2f} s", flush=True)
    return done


def add_jobs(database: Database) -> None:
    """Make the jobs `lines`, `ocr`, which needs it, and `eval`, which needs that."""
    admin = JobAdmin(PgJobs(database))
    admin.create("lines", "ldv1", {})
    admin.create("ocr", "ldv1", {}, depends_on=["lines"])
    admin.create("eval", "ldv1", {}, depends_on=["ocr"])


def ask(database: Database, queues: PgQueues, volumes: tuple[VolumeRef, ...]) -> None:
    """Time what is done to an archive once, and again and again."""
    enqueuer, overview = Enqueuer(PgBacklog(database), queues), PgOverview(database)
    every = enqueuer.enqueue_with_dependencies
    first = timed("queue enqueue --with-dependencies, three jobs", lambda: every("eval", volumes))
    print(", ".join(f"{name}: {r.queued} queued, {r.waiting} waiting, {r.sent} sent" for name, r in first.items()))
    for statement in (_ALONE, _DONE):
        with database.transaction("do the work of months", long=True) as connection:
            connection.execute(statement)
    timed("queue enqueue, again", lambda: enqueuer.enqueue("lines", volumes))
    timed("queue enqueue of the next job, again", lambda: enqueuer.enqueue("ocr", volumes))
    timed("queue enqueue --stale", lambda: enqueuer.enqueue("lines", volumes, stale=True))
    timed("jobs stats", lambda: job_stats(overview, "lines"))
    timed("jobs stale", lambda: overview.stale("lines"))
    timed("jobs tasks --state waiting", lambda: overview.tasks("eval"))
    timed("jobs graph", lambda: graph(overview))
    timed("queue stats", lambda: queue_check(overview, queues, "lines"))
    timed("jobs delete", lambda: JobAdmin(PgJobs(database)).delete("eval"))


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="W,I[,source] per line; without it, volumes are made up")
    parser.add_argument("--volumes", type=int, default=VOLUMES, help="how many to make up")
    options = parser.parse_args()
    volumes = volumes_of(options.file, options.volumes)
    with (
        tempfile.TemporaryDirectory(prefix="bec-bench-") as home,
        EmbeddedPostgres(Path(home)) as server,
        Database(server.conninfo) as database,
        closing(PgQueues(database)) as queues,
    ):
        migrate(database)
        add_jobs(database)
        ask(database, queues, volumes)


if __name__ == "__main__":
    main()
