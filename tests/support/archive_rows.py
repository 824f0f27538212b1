"""Rows of an archive of any size, put into the tables by SQL: three jobs in a row, with tasks in every state."""

from enum import StrEnum
from typing import Any

import psycopg

SOURCE = "bdrc+s3://archive"

_JOBS = b"""
INSERT INTO jobs (name, type, config, config_hash)
VALUES ('lines', 'ldv1', '{}', 'h1'), ('ocr', 'ocrv1', '{}', 'h1'), ('eval', 'evalv1', '{}', 'h1');
INSERT INTO job_dependencies
SELECT a.id, b.id, CASE a.name WHEN 'eval' THEN 'fail' ELSE 'wait' END FROM jobs a, jobs b
WHERE (a.name, b.name) IN (('ocr', 'lines'), ('eval', 'ocr'))
"""
_VOLUMES = b"""
INSERT INTO volumes (w_id, i_id, source, manifest_etag, nb_pages)
SELECT 'W' || n / 20, 'I' || n, %(source)s, 'etag' || n, 300 FROM generate_series(1, %(volumes)s) n
"""
_TASKS = b"""
INSERT INTO tasks (job_id, volume_id, state, dispatched_at)
SELECT j.id, v.id, CASE WHEN j.name = 'lines' THEN 'queued' ELSE 'waiting' END, clock_timestamp() - interval '1 hour'
FROM jobs j CROSS JOIN volumes v
ORDER BY j.id, v.id
"""
_WORK = b"""
UPDATE tasks t
SET state = s.state, manifest_etag = v.manifest_etag, attempt = 1, token = gen_random_uuid(), worker_id = 'w1',
    lease_expires_at = CASE WHEN s.state = 'running' THEN clock_timestamp() + interval '1 hour' END,
    config_hash = 'h1', inputs = '{}', artefact_key = 'key' || v.id, pages_ok = 300, pages_skipped = 0, pages_error = 0,
    counters = '{"E_IMAGE_TRUNCATED": 1}', started_at = clock_timestamp(),
    finished_at = CASE WHEN s.state IN ('done', 'terminal_failed') THEN clock_timestamp() END,
    failure_code = CASE WHEN s.state = 'terminal_failed' THEN 'E_X' END,
    failure_fingerprint = CASE WHEN s.state = 'terminal_failed' THEN 'f' || v.id % 7 END
FROM jobs j, volumes v, LATERAL (SELECT CASE
    WHEN j.name = 'lines' THEN CASE WHEN v.id % 10 < 6 THEN 'done' WHEN v.id % 10 = 6 THEN 'terminal_failed'
                                    WHEN v.id % 1000 = 7 THEN 'running' ELSE 'queued' END
    WHEN j.name = 'ocr' THEN CASE WHEN v.id % 10 < 3 THEN 'done' WHEN v.id % 10 < 6 THEN 'queued' ELSE 'waiting' END
    ELSE CASE WHEN v.id % 10 < 1 THEN 'done' WHEN v.id % 10 < 3 THEN 'queued' ELSE 'waiting' END END AS state) s
WHERE j.id = t.job_id AND v.id = t.volume_id
"""
_ATTEMPTS = b"""
INSERT INTO task_attempts (task_id, attempt, job_id, worker_id, token, config, config_hash, ended_at, outcome, code,
                           stage, message, fingerprint)
SELECT id, 1, job_id, 'w1', token, '{}', 'h1', finished_at, CASE WHEN finished_at IS NOT NULL THEN state END,
       failure_code, 'run', 'm', failure_fingerprint
FROM tasks WHERE state IN ('done', 'running', 'terminal_failed')
"""
_MESSAGES = b"""
INSERT INTO queue_messages (queue, body, dead_at, dead_reason)
SELECT j.name, json_build_object('job', j.name, 'w_id', v.w_id, 'i_id', v.i_id, 'source', v.source)::text,
       t.finished_at, CASE WHEN t.finished_at IS NOT NULL THEN '{}'::jsonb END
FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
WHERE t.state IN ('queued', 'terminal_failed')
"""


class Statistics(StrEnum):
    """What the planner knows of the tables: never anything that is true of them."""

    NONE = "no statistics"
    EMPTY = "statistics of the empty tables"
    ENQUEUED = "statistics from before the work"


def fill(connection: psycopg.Connection[Any], volumes: int, statistics: Statistics) -> None:
    """Make the jobs `lines`, `ocr` and `eval`, and so many volumes with a task of each, most of them worked at."""
    for table in ("jobs", "volumes", "tasks", "task_attempts", "queue_messages"):
        connection.execute(
            psycopg.sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(psycopg.sql.Identifier(table))
        )
    connection.execute(_JOBS)
    if statistics is Statistics.EMPTY:
        connection.execute("ANALYZE")
    connection.execute(_VOLUMES, {"volumes": volumes, "source": SOURCE})
    connection.execute(_TASKS)
    if statistics is Statistics.ENQUEUED:
        connection.execute("ANALYZE")
    for statement in (_WORK, _ATTEMPTS, _MESSAGES):
        connection.execute(statement)
