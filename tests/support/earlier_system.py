"""The earlier system as it is met: its tables with rows, and artefacts as it leaves them, which say nothing of ours."""

import hashlib
import json
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = b"""
CREATE TABLE jobs (
    id serial PRIMARY KEY, name varchar(50) NOT NULL UNIQUE, config text, queue_url text, dlq_url text,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE volumes (
    id serial PRIMARY KEY, bdrc_w_id text NOT NULL, bdrc_i_id text NOT NULL, last_s3_etag bytea,
    last_modified_at timestamptz, nb_images smallint, nb_images_intro smallint DEFAULT 0,
    UNIQUE (bdrc_w_id, bdrc_i_id));
CREATE TABLE workers (
    worker_id serial PRIMARY KEY, worker_name text, hostname text, tags jsonb, started_at timestamptz,
    last_heartbeat_at timestamptz, stopped_at timestamptz);
CREATE TYPE task_status AS ENUM ('running', 'done', 'retryable_failed', 'terminal_failed');
CREATE TABLE task_executions (
    id serial PRIMARY KEY, job_id integer NOT NULL, volume_id integer NOT NULL, s3_etag bytea,
    status task_status NOT NULL, attempt integer NOT NULL DEFAULT 1, worker_id integer, started_at timestamptz,
    done_at timestamptz, total_images integer, nb_errors integer, total_duration_ms double precision,
    avg_duration_per_page_ms double precision, UNIQUE (job_id, volume_id, s3_etag));
"""


def etag_of(volume: str) -> bytes:
    """Return the 16 bytes that stand for the manifest of a volume `W/I`."""
    return hashlib.md5(volume.encode(), usedforsecurity=False).digest()


class EarlierSystem:
    """Its database, in the tables of its schema, and its artefacts below a folder."""

    def __init__(self, connection: psycopg.Connection[Any], results: Path) -> None:
        connection.execute(SCHEMA)
        self.connection = connection
        self.results = results

    def job(self, name: str, config: str | None = "{}") -> int:
        """Add a job, and return its number."""
        return self._id(b"INSERT INTO jobs (name, config) VALUES (%s, %s) RETURNING id", name, config)

    def volume(self, name: str, *, etag: bytes | None = None, images: int | None = 2, intro: int | None = 0) -> int:
        """Add a volume `W/I`, and return its number."""
        w_id, _, i_id = name.partition("/")
        return self._id(
            b"INSERT INTO volumes (bdrc_w_id, bdrc_i_id, last_s3_etag, nb_images, nb_images_intro) "
            b"VALUES (%s, %s, %s, %s, %s) RETURNING id",
            *(w_id, i_id, etag_of(name) if etag is None else etag, images, intro),
        )

    def task(
        self,
        job: int,
        volume: int,
        etag: bytes | None,
        *,
        status: str = "done",
        images: int | None = 2,
        done_at: str | None = "2025-03-01 12:00+00",
    ) -> int:
        """Add a task, and return its number."""
        return self._id(
            b"INSERT INTO task_executions (job_id, volume_id, s3_etag, status, started_at, done_at, total_images, "
            b"nb_errors) VALUES (%s, %s, %s, %s, '2025-03-01 11:00+00', %s, %s, 0) RETURNING id",
            *(job, volume, etag, status, done_at, images),
        )

    def artefact(self, job: str, volume: str, etag: bytes, *, pages: int = 2) -> Path:
        """Leave what a task left, and return its folder."""
        w_id, _, i_id = volume.partition("/")
        version = etag.hex()[:6]
        folder = self.results / job / w_id / i_id / version
        folder.mkdir(parents=True)
        names = [f"{w_id}{number:04}.jpg" for number in range(pages)]
        rows = pa.table({"img_file_name": names, "source_etag": ["e"] * pages, "ok": [True] * pages})
        pq.write_table(rows, folder / f"{w_id}-{i_id}-{version}.parquet")
        told = {"job_name": job, "total_images": pages, "nb_errors": 0, "timestamp": 1_740_000_000}
        (folder / "success.json").write_text(json.dumps(told))
        return folder

    def done(self, job: int, name: str, volume: str) -> None:
        """Add a volume that a job has done, with its task and its artefact."""
        self.task(job, self.volume(volume), etag_of(volume))
        self.artefact(name, volume, etag_of(volume))

    def everything(self) -> list[Any]:
        """Return every row of every table."""
        tables = (b"jobs", b"volumes", b"workers", b"task_executions")
        return [self.connection.execute(b"SELECT * FROM " + table + b" ORDER BY 1").fetchall() for table in tables]

    def _id(self, statement: bytes, *values: Any) -> int:
        row = self.connection.execute(statement, values).fetchone()
        assert row
        return int(row[0])
