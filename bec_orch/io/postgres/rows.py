"""Turns rows of the database into the values of the heart."""

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from bec_orch.core.models import Job, TaskMessage
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
