"""What is to be done: `Backlog` on PostgreSQL. Volumes are enqueued, the outbox is read, failed tasks are set back."""

from collections.abc import Sequence

from typing_extensions import override

from bec_orch.core.records.backlog import (
    Backlog,
    EnqueueOrder,
    EnqueueReport,
    RedriveFilter,
    ResetTask,
    UnsentTask,
    VolumeStanding,
)
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.io.postgres.jobs import PgJobLookup, cancel_tasks, job_named
from bec_orch.io.postgres.migrate import renew_statistics
from bec_orch.io.postgres.rows import Connection, message_of, rows, volume_of
from bec_orch.io.postgres.sql_files import statements
from bec_orch.io.postgres.tasks import SUPERSEDED


class PgBacklog(PgJobLookup, Backlog):
    """What is to be done in one database."""

    @override
    def enqueue(self, job_name: str, volumes: Sequence[VolumeRef], order: EnqueueOrder) -> EnqueueReport:
        with self._database.transaction(f"enqueue volumes for {job_name}") as connection:
            job = job_named(connection, job_name)
            with connection.transaction(force_rollback=order.dry_run):
                _load(connection, volumes, order)
                if order.intro_pages is not None:
                    connection.execute(statements("backlog")["note_intro"], {"pages": order.intro_pages})
                return _add_tasks(connection, job, order)

    @override
    def unsent(self, job: Job, *, after: int, limit: int) -> list[UnsentTask]:
        wanted = {"job_id": job.id, "after": after, "limit": limit}
        with self._database.transaction("read what is to be sent") as connection:
            found = rows(connection, statements("backlog")["unsent"], wanted)
        return [UnsentTask(row["id"], message_of(row, job.name)) for row in found]

    @override
    def mark_sent(self, task_ids: Sequence[int]) -> None:
        with self._database.transaction("record what was sent") as connection:
            connection.execute(statements("backlog")["mark_sent"], {"ids": list(task_ids)})

    @override
    def reset_failed(
        self, job_name: str, wanted: RedriveFilter, *, limit: int | None = None, dry_run: bool = False
    ) -> tuple[Job, list[ResetTask]]:
        w_id, i_id = wanted.volume or (None, None)
        named = {"code": wanted.code, "fingerprint": wanted.fingerprint, "w_id": w_id, "i_id": i_id}
        with self._database.transaction("reset failed tasks", long=True) as connection:
            job = job_named(connection, job_name)
            found = rows(connection, statements("backlog")["reset_failed"], {"job_id": job.id, "limit": limit, **named})
            if dry_run:
                connection.rollback()
        return job, [ResetTask(row["id"], volume_of(row), TaskState(row["state"])) for row in found]

    @override
    def cancel(self, job: Job, task_ids: Sequence[int], reason: str) -> None:
        with self._database.transaction(f"cancel tasks of {job.name}") as connection:
            cancel_tasks(connection, job.id, reason, task_ids)

    @override
    def standing(self, job: Job, w_id: str, i_id: str) -> list[VolumeStanding]:
        named = {"job_id": job.id, "w_id": w_id, "i_id": i_id}
        with self._database.transaction("read the states of a volume") as connection:
            found = rows(connection, statements("backlog")["standing"], named)
        return [VolumeStanding(volume_of(row), TaskState(row["state"])) for row in found]

    @override
    def renew_statistics(self) -> None:
        renew_statistics(self._database)


def _load(connection: Connection, volumes: Sequence[VolumeRef], order: EnqueueOrder) -> None:
    """Bring the volumes in, and lock them."""
    sql = statements("backlog")
    connection.execute(sql["create_incoming"])
    with connection.cursor() as cursor, cursor.copy(sql["copy_incoming"]) as copy:
        for volume in volumes:
            names = (volume.w_id, volume.i_id, volume.source)
            copy.write_row((*names, order.etags.get(volume), order.replace_foreign.get(volume)))
    connection.execute(sql["analyze_incoming"])
    connection.execute(sql["add_volumes"])
    connection.execute(sql["lock_volumes"])
    connection.execute(sql["stamp_volumes"])


def _add_tasks(connection: Connection, job: Job, order: EnqueueOrder) -> EnqueueReport:
    sql = statements("backlog")
    named = {
        "root": job.root,
        "job_id": job.id,
        "config_hash": job.config_hash,
        "force": order.force,
        "stale": order.stale,
        "adopt_foreign": order.adopt_foreign,
        "reason": SUPERSEDED,
    }
    connection.execute(sql["judge"], named)
    connection.execute(sql["analyze_judged"])
    verdicts = {row["verdict"]: row["volumes"] for row in rows(connection, sql["count_verdicts"], named)}
    connection.execute(sql["lock_tasks"])
    connection.execute(sql["cancel_superseded"], named)
    if order.force:
        connection.execute(sql["force_unfinished"])
    connection.execute(sql["note_foreign"], named)
    connection.execute(sql["add_tasks"], named)
    connection.execute(sql["release_added"], named)
    added = {row["state"]: row["tasks"] for row in rows(connection, sql["count_added"], named)}
    return EnqueueReport(
        queued=added.get("queued", 0),
        waiting=added.get("waiting", 0),
        superseded=verdicts.get("superseded", 0),
        skipped_done=verdicts.get("done", 0),
        skipped_stale=verdicts.get("stale", 0),
        skipped_failed=verdicts.get("failed", 0),
        already_unfinished=verdicts.get("unfinished", 0),
    )
