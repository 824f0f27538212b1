"""Enqueues a list of volumes twice into a fresh embedded database, and prints the seconds.

python bench/enqueue.py [--file volumes.csv] [--volumes 38836]
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bec_orch.core.models import VolumeRef
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded import EmbeddedPostgres
from bec_orch.io.postgres.migrate import migrate
from bec_orch.io.postgres.pgqueue import PgQueues
from bec_orch.orch.enqueue import Enqueuer, EnqueueReport
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.orch.volume_lists import parse_volume_list

SOURCE = "bdrc+s3://archive.tbrc.org"
# The number of volumes in the library's list that the size was taken from.
VOLUMES = 38_836


def volumes_of(file: Path | None, count: int) -> tuple[VolumeRef, ...]:
    """Read the list, or make up as many volumes as asked for, 20 to a work."""
    if file is None:
        return tuple(VolumeRef(f"W{n // 20}", f"I{n:06d}", SOURCE) for n in range(count))
    return parse_volume_list(file.read_text("utf-8").splitlines(), SOURCE).volumes


def timed(enqueuer: Enqueuer, volumes: tuple[VolumeRef, ...]) -> tuple[float, EnqueueReport]:
    """Enqueue once; gives the seconds and the report."""
    begun = time.perf_counter()
    report = enqueuer.enqueue("lines", volumes)
    return time.perf_counter() - begun, report


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
        JobAdmin(database).create("lines", "ldv1", {})
        enqueuer = Enqueuer(database, queues)
        for turn in ("first", "second"):
            seconds, report = timed(enqueuer, volumes)
            print(
                f"{turn:6} time: {report.volumes} volumes in {seconds:.2f} s; "
                f"queued {report.queued}, unfinished already {report.already_unfinished}, messages {report.sent}"
            )


if __name__ == "__main__":
    main()
