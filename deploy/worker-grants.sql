-- What the database user of the workers may do: take tasks, run them, record how they end, and look after forgotten
-- ones. It removes nothing, makes no job, and changes none. Run it as the owner of the tables, after each `bec db init`:
--
--   psql -v ON_ERROR_STOP=1 -f deploy/worker-grants.sql "host=... dbname=bec user=bec sslmode=verify-full sslrootcert=..."
--
-- Before the first time: CREATE ROLE bec_worker LOGIN; and give it a password of its own (\password bec_worker).
-- Where the queue is a table of the database (BEC_QUEUE=pg), run deploy/worker-grants-queue.sql each time after this file,
-- which takes away all rights first.
-- `bec doctor` compares what a user may do with what is needed.

BEGIN;

-- Rights that an older version of this file gave, and what PostgreSQL before 15 gave everybody.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM bec_worker;
REVOKE CREATE ON SCHEMA public FROM PUBLIC, bec_worker;
GRANT USAGE ON SCHEMA public TO bec_worker;

GRANT SELECT ON schema_migrations, database_identity, jobs, job_dependencies, volumes, tasks, missing_dependencies,
    undone_dependencies TO bec_worker;

-- What workers of the job make artefacts with now.
GRANT UPDATE (models, code_version) ON jobs TO bec_worker;

-- A message may name a volume that nobody enqueued.
GRANT INSERT (w_id, i_id, source), UPDATE (manifest_etag, nb_pages, manifest_seen_at) ON volumes TO bec_worker;

GRANT SELECT (id, heartbeat_at, heard_since, stopped_at),
      INSERT (id, job_id, host, pid, version, instance_id, instance_type, lifecycle),
      UPDATE (heartbeat_at, heard_since, activities, stopped_at, stop_reason)
    ON workers TO bec_worker;

GRANT INSERT (job_id, volume_id, state, force, adopt_foreign, manifest_etag, attempt, dispatched_at),
      UPDATE (state, manifest_etag, attempt, charged, token, worker_id, lease_expires_at, not_before, dispatched_at,
              cancel_reason, failure_code, failure_stage, failure_message, failure_fingerprint, failure_hint,
              config_hash, code_version, models, inputs, artefact_key, pages_ok, pages_skipped, pages_error, counters,
              updated_at, started_at, finished_at, verified_at)
    ON tasks TO bec_worker;

GRANT SELECT (task_id, attempt, token, config, config_hash, outcome, charged, code, died_at),
      INSERT (task_id, attempt, job_id, worker_id, token, config, config_hash),
      UPDATE (token, ended_at, outcome, charged, code, stage, message, fingerprint, metrics, died_at)
    ON task_attempts TO bec_worker;

-- The key alone may be read, which shows whether the same message was refused before.
GRANT SELECT (job_id, body_sha256, fingerprint),
      INSERT (job_id, body_sha256, fingerprint, body, code, stage, message, hint),
      UPDATE (last_at)
    ON rejected_messages TO bec_worker;

COMMIT;
