"""The volumes that a job has done, however many, a page of rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

from bec_orch.core.models import Job, VolumeRef
from bec_orch.io.postgres.database import Database, rows
from bec_orch.io.postgres.sql_files import statements

_VOLUMES_A_QUERY = 1000


@dataclass(frozen=True, slots=True)
class DoneVolume:
    """A volume, and its newest task that is done."""

    volume: VolumeRef
    task_id: int
    manifest_etag: str


def pages_of_done_volumes(job: Job, database: Database) -> Iterator[list[DoneVolume]]:
    """Give the volumes that the job has done, each once, in lists of bounded length."""
    query, after = statements("done")["volumes"], 0
    while True:
        named = {"job_id": job.id, "after": after, "limit": _VOLUMES_A_QUERY}
        with database.transaction("list finished volumes") as connection:
            found = rows(connection, query, named)
        if found:
            yield [
                DoneVolume(VolumeRef(row["w_id"], row["i_id"], row["source"]), row["task_id"], row["manifest_etag"])
                for row in found
            ]
        if len(found) < _VOLUMES_A_QUERY:
            return
        after = found[-1]["volume_id"]
