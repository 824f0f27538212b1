"""Turns rows of the database into the values of the heart."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from bec_orch.core.models import ArtefactLocation, DoneTask, Job, TaskMessage, TaskResult, VolumeRef, version_of
from bec_orch.io.postgres.database import clean_json


def job_of(row: Mapping[str, Any]) -> Job:
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
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def message_of(row: Mapping[str, Any], job: str | None = None) -> TaskMessage:
    """Read a row that names a volume, and maybe a job, as the message of its task."""
    return TaskMessage(row["w_id"], row["i_id"], job or row["job"], row["source"])


def jsonb(value: Any) -> Jsonb:
    """Give a value as a jsonb parameter, cleaned of what jsonb cannot hold."""
    return Jsonb(clean_json(value))


def done_of(row: Mapping[str, Any], job: str) -> DoneTask:
    """Read a row that names a `done` task."""
    return DoneTask(row["id"], location_of(row, job), row["manifest_etag"], row["nb_pages"])


def location_of(row: Mapping[str, Any], job: str) -> ArtefactLocation:
    """Read a row that names a volume and a version of it."""
    return ArtefactLocation(job, VolumeRef(row["w_id"], row["i_id"], row["source"]), version_of(row["manifest_etag"]))


def finished(result: TaskResult) -> dict[str, Any]:
    """Give what a finished attempt leaves as the parameters of the statement `finish`."""
    return {
        "manifest_etag": result.manifest_etag,
        "config_hash": result.config_hash,
        "code_version": result.code_version,
        "models": jsonb([dataclasses.asdict(model) for model in result.models]),
        "inputs": jsonb(result.inputs),
        "artefact_key": result.files[0].key if result.files else None,
        "pages_ok": result.pages.ok,
        "pages_skipped": result.pages.skipped,
        "pages_error": result.pages.error,
        "counters": jsonb(result.counters),
    }
