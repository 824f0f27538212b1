"""Runs statements for their rows, and turns rows into the values of the heart."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.messages import TaskMessage
from bec_orch.core.tasks import IfMissing, Job, TaskResult
from bec_orch.core.volumes import PageCounts, VolumeRef, version_of
from bec_orch.errors import DatabaseRefused
from bec_orch.io.postgres.sql_files import statements

Connection = psycopg.Connection[DictRow]
Row = dict[str, Any]


def first(connection: Connection, sql: bytes, parameters: Mapping[str, Any]) -> Row | None:
    """Run a statement and return its first row, if it has one."""
    return connection.execute(sql, parameters).fetchone()


def one(connection: Connection, sql: bytes, parameters: Mapping[str, Any]) -> Row:
    """Run a statement that always has a row, and return it.

    Raises:
        DatabaseRefused: there is none: somebody changed the tables by hand (E_DB_NO_ROW).
    """
    row = first(connection, sql, parameters)
    if row is None:
        raise DatabaseRefused(
            f"The database has no row where there is always one: {' '.join(sql.decode().split())[:120]}",
            code="E_DB_NO_ROW",
            hint="Look who changed its tables by hand; `bec audit` looks for more.",
        )
    return row


def rows(connection: Connection, sql: bytes, parameters: Mapping[str, Any]) -> list[Row]:
    """Run a statement and return its rows."""
    return connection.execute(sql, parameters).fetchall()


def job_of(row: Row) -> Job:
    """Read a row of `jobs` that has its dependencies' names beside it."""
    return Job(
        id=row["id"],
        name=row["name"],
        type=row["type"],
        config=row["config"],
        config_hash=row["config_hash"],
        max_attempts=row["max_attempts"],
        max_page_error_rate=row["max_page_error_rate"],
        depends_on=tuple(row["depends_on"]),
        if_missing=if_missing_of(row),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        artifact_prefix=row["artifact_prefix"],
        needed_prefixes=row["needed_prefixes"],
    )


def if_missing_of(row: Row) -> dict[str, IfMissing]:
    """Read what is done, by a job's dependency, where that is missing; those that are waited for are not named."""
    return {job: IfMissing(policy) for job, policy in row["if_missing"].items()}


def volume_of(row: Row) -> VolumeRef:
    """Read a row that names a volume."""
    return VolumeRef(row["w_id"], row["i_id"], row["source"])


def volume_parameters(volume: VolumeRef) -> dict[str, Any]:
    """Return the parameters of a statement that is about one volume."""
    return {"w_id": volume.w_id, "i_id": volume.i_id, "source": volume.source}


def spelled(connection: Connection, volumes: Collection[VolumeRef]) -> dict[VolumeRef, VolumeRef]:
    """Return volumes by the names that they are recorded under, where these are in another Unicode form."""
    asked = [volume for volume in volumes if not str(volume).isascii()]  # names in ASCII have one form
    if not asked:
        return {}
    named = {
        "w_ids": [volume.w_id for volume in asked],
        "i_ids": [volume.i_id for volume in asked],
        "sources": [volume.source for volume in asked],
    }
    return {
        asked[row["number"] - 1]: VolumeRef(row["w_id"], row["i_id"], asked[row["number"] - 1].source)
        for row in rows(connection, statements("overview")["spelled"], named)
    }


def pages_of(row: Row) -> PageCounts:
    """Read a row of `tasks` as its page ledger, which is empty before the task is done."""
    return PageCounts(row["pages_ok"] or 0, row["pages_skipped"] or 0, row["pages_error"] or 0)


def message_of(row: Row, job: str | None = None) -> TaskMessage:
    """Read a row that names a volume, and maybe a job, as the message of its task."""
    return TaskMessage(row["w_id"], row["i_id"], job or row["job"], row["source"])


def location_of(row: Row, root: str) -> ArtefactLocation:
    """Read a row that names a volume and a version of it."""
    return ArtefactLocation(root, volume_of(row), version_of(row["manifest_etag"]))


def result_parameters(result: TaskResult) -> dict[str, Any]:
    """Return what a finished attempt leaves, as the parameters of the statement `finish`."""
    return {
        "manifest_etag": result.manifest_etag,
        "config_hash": result.config_hash,
        "code_version": result.code_version,
        "models": Jsonb([dataclasses.asdict(model) for model in result.models]),
        "inputs": Jsonb(result.inputs),
        "artefact_key": result.files[0].key if result.files else None,
        **ledger_parameters(result.pages, result.counters),
    }


def ledger_parameters(pages: PageCounts | None, counters: Mapping[str, float]) -> dict[str, Any]:
    """Return how the pages of a volume ended, as parameters; all null where that is not known."""
    return {
        "pages_ok": pages.ok if pages else None,
        "pages_skipped": pages.skipped if pages else None,
        "pages_error": pages.error if pages else None,
        "counters": Jsonb(counters) if pages else None,
    }
