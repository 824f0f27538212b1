"""Fills a fresh database as an archive would, and prints how long each page of the dashboard takes to answer first.

    python -m bench.dashboard [--volumes 60000] [--jobs 10] [--rounds 3]

With these numbers there are 600,000 tasks and 2 million attempts. Each page is asked of a server that has answered
nothing before: no figure is kept from an earlier request. What counts is the time to the whole answer, without a
network; the best and the worst of some rounds are told, as others use the machine, too. `complete` is how long it takes
until a page has all its figures: those that take the database longer than a moment come after the first answer.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import psycopg

from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.serve.building import sight_of
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.settings.config import Settings
from bec_orch.web.app import application
from bec_orch.web.door.guard import Door

PAGES = (
    "/jobs",
    "/jobs/j5",
    "/jobs/j5?order=seconds",
    "/jobs/j5?order=volume&skip=50000",
    "/jobs/j5?state=terminal_failed",
    "/jobs/j5?text=W1234",
    "/jobs/j5?code=E_IMAGE_TRUNCATED",
    "/jobs/j5/tasks.json",
    "/volumes/W5/I100",
    "/workers",
    "/queues",
)
MOST_SECONDS = 120.0

_JOBS = b"""
INSERT INTO jobs (name, type, config, config_hash)
SELECT 'j' || n, 'ldv1', '{}', 'h' FROM generate_series(1, %(jobs)s) n
"""
_NEEDS = b"""
INSERT INTO job_dependencies
SELECT a.id, b.id FROM jobs a JOIN jobs b ON b.name = 'j' || (substr(a.name, 2)::integer - 1)
"""
_VOLUMES = b"""
INSERT INTO volumes (w_id, i_id, source, manifest_etag, nb_pages)
SELECT 'W' || n / 20, 'I' || n, 'bdrc+s3://archive', 'etag' || n, 300 FROM generate_series(1, %(volumes)s) n
"""
# Of each job 60 % are done over a month, 2 % failed, some run, the rest waits in the queue.
_TASKS = b"""
INSERT INTO tasks (job_id, volume_id, state, manifest_etag, attempt, token, worker_id, lease_expires_at, dispatched_at,
                   config_hash, inputs, models, artefact_key, pages_ok, pages_skipped, pages_error, counters,
                   started_at,
                   finished_at, updated_at, failure_code, failure_stage, failure_message, failure_fingerprint)
SELECT j.id, v.id, s.state, v.manifest_etag, 1 + v.id %% 5, gen_random_uuid(), 'w' || v.id %% 20,
       CASE WHEN s.state = 'running' THEN clock_timestamp() + interval '1 hour' END, clock_timestamp(),
       'h', '{}', '[]', 'key' || v.id, 295, 2, v.id %% 4, '{"E_IMAGE_TRUNCATED": 1, "lines": 1800}',
       s.ended - (30 + v.id %% 600) * interval '1 second', CASE WHEN s.ends THEN s.ended END, s.ended,
       CASE WHEN s.state = 'terminal_failed' THEN 'E_MANIFEST_MISSING' END,
       CASE WHEN s.state = 'terminal_failed' THEN 'manifest' END,
       CASE WHEN s.state = 'terminal_failed' THEN 'There is no list of pages of ' || v.w_id END,
       CASE WHEN s.state = 'terminal_failed' THEN 'f' || v.id %% 30 END
FROM jobs j CROSS JOIN volumes v CROSS JOIN LATERAL (
    SELECT CASE WHEN v.id %% 50 < 30 THEN 'done' WHEN v.id %% 50 = 30 THEN 'terminal_failed'
                WHEN v.id %% 3000 = 31 THEN 'running' ELSE 'queued' END AS state,
           v.id %% 50 <= 30 AS ends, clock_timestamp() - v.id %% 2592000 * interval '1 second' AS ended) s
ORDER BY j.id, v.id
"""
_ATTEMPTS = b"""
INSERT INTO task_attempts (task_id, attempt, job_id, worker_id, token, config, config_hash, started_at, ended_at,
                           outcome, code, stage, message, fingerprint, metrics)
SELECT t.id, n, t.job_id, t.worker_id, gen_random_uuid(), '{}', 'h', t.updated_at, t.updated_at, o.outcome,
       o.code, CASE WHEN o.code IS NOT NULL THEN 'run' END, CASE WHEN o.code IS NOT NULL THEN 'It was cut off.' END,
       CASE WHEN o.code IS NOT NULL THEN 'f' || t.volume_id %% 30 END,
       '{"stages": {"infer": {"count": 300, "seconds": 60.5, "longest": 1},
                    "decode": {"count": 300, "seconds": 20, "longest": 1}}}'
FROM tasks t CROSS JOIN LATERAL generate_series(1, CASE WHEN t.state = 'queued' THEN 4 ELSE t.attempt END) n
CROSS JOIN LATERAL (
    SELECT CASE WHEN t.finished_at IS NOT NULL AND n = t.attempt THEN t.state WHEN n = 1 AND t.volume_id %% 10 = 0
                THEN 'retryable_failed' ELSE 'interrupted' END AS outcome,
           CASE WHEN n = 1 AND t.volume_id %% 10 = 0 THEN 'E_STORAGE' END AS code) o
"""
_WORKERS = b"""
INSERT INTO workers (id, job_id, host, pid, version)
SELECT 'w' || n, j.id, 'host' || n, n, '1' FROM generate_series(0, 19) n JOIN jobs j ON j.name = 'j' || 1 + n %% 5
"""


def fill(conninfo: str, volumes: int, jobs: int) -> tuple[int, int]:
    """Make the rows, and return how many tasks and attempts there are."""
    given = {"volumes": volumes, "jobs": jobs}
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in (_JOBS, _NEEDS, _VOLUMES, _TASKS, _ATTEMPTS, _WORKERS):
            connection.execute(statement, given)
        connection.execute("VACUUM ANALYZE")
        counts = connection.execute("SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM task_attempts)")
        tasks, attempts = counts.fetchone() or (0, 0)
    return tasks, attempts


@contextmanager
def filled(volumes: int, jobs: int) -> Iterator[Parts]:
    """Open the parts over a fresh home that holds so much."""
    with tempfile.TemporaryDirectory(prefix="bec-bench-") as folder:
        Path(folder).chmod(0o755)
        settings = Settings().in_workspace(Path(folder))
        with open_parts(settings, make_home=True) as parts, EmbeddedPostgres(settings.home) as server:
            tasks, attempts = fill(server.conninfo, volumes, jobs)
            print(f"{tasks:,} tasks, {attempts:,} attempts")
            yield parts


async def ask(parts: Parts, path: str) -> tuple[float, float]:
    """Return the seconds to the first answer of a fresh server, and to one with all figures."""
    sight = sight_of(parts)
    transport = httpx.ASGITransport(application(sight, Door(frozenset({"localhost"}))))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=MOST_SECONDS) as client:
        begun = time.monotonic()
        answer = await client.get(path)
        first = time.monotonic() - begun
        answer.raise_for_status()
        while "load delay" in answer.text and time.monotonic() - begun < MOST_SECONDS:
            await anyio.sleep(0.05)
            answer = await client.get(path)
        complete = time.monotonic() - begun
    sight.close()
    return first, complete


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=60_000)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with filled(asked.volumes, asked.jobs) as parts:
        sight = sight_of(parts)
        sight.look_ahead()  # as a server does when it begins
        sight.close()
        anyio.run(ask, parts, "/workers")  # imports and connections, once
        print(f"{'page':40} {'best':>7} {'worst':>7} {'complete':>9}  seconds")
        for path in PAGES:
            times = [anyio.run(ask, parts, path) for _ in range(asked.rounds)]
            firsts = [first for first, _ in times]
            print(f"{path:40} {min(firsts):7.3f} {max(firsts):7.3f} {min(last for _, last in times):9.2f}")


if __name__ == "__main__":
    main()
