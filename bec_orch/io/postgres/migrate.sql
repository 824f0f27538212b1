-- name: has_table
SELECT to_regclass('schema_migrations') IS NOT NULL AS present

-- name: create_table
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- name: applied
SELECT version FROM schema_migrations ORDER BY version

-- name: analyze
-- Not where somebody else is just at it.
ANALYZE (SKIP_LOCKED) jobs, volumes, tasks, task_attempts, workers, queue_messages

-- name: record
INSERT INTO schema_migrations (version, name) VALUES (%(version)s, %(name)s)
