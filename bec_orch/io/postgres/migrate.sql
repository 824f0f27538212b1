-- name: has_table
-- Ours, not what other tools keep under that name.
SELECT EXISTS (
    SELECT 1 FROM pg_attribute
    WHERE attrelid = to_regclass('schema_migrations') AND attname = 'applied_at' AND NOT attisdropped) AS present

-- name: strangers
-- Where no table is ours: those that have the name of one of ours, and the one by which the earlier system is known.
SELECT t.name, current_database() AS database
FROM (VALUES ('schema_migrations'), ('database_identity'), ('jobs'), ('job_dependencies'), ('volumes'), ('tasks'),
             ('task_attempts'), ('workers'), ('rejected_messages'), ('queue_messages'), ('task_executions')) AS t (name)
WHERE to_regclass(t.name) IS NOT NULL
ORDER BY t.name

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
