-- Plans that hold for an archive of any size, also where nobody renewed the statistics.

-- The tasks of one volume, of all jobs: a handful. Without statistics the planner takes each condition for equally sharp,
-- and looks for the task of a job and a volume through all tasks of the job, for every volume anew. `OFFSET 0` keeps the
-- conditions of the caller out, so that the volume alone leads to the rows.
CREATE FUNCTION tasks_of_volume(bigint) RETURNS SETOF tasks LANGUAGE sql STABLE AS
    'SELECT * FROM tasks WHERE volume_id = $1 OFFSET 0';

CREATE OR REPLACE VIEW missing_dependencies AS
SELECT t.id AS task_id, d.id AS job_id, d.name AS job,
    coalesce((
        SELECT CASE WHEN newest.state = 'terminal_failed' THEN d.name || ' failed: ' || newest.failure_code
                    WHEN newest.finished_at IS NULL THEN 'needs ' || d.name END
        FROM tasks_of_volume(t.volume_id) newest
        WHERE newest.job_id = d.id
        ORDER BY newest.finished_at IS NOT NULL, newest.id DESC
        LIMIT 1
    ), 'needs ' || d.name || ', which is not enqueued') AS reason
FROM tasks t
JOIN volumes v ON v.id = t.volume_id
JOIN job_dependencies jd ON jd.job_id = t.job_id
JOIN jobs d ON d.id = jd.depends_on_id
WHERE NOT EXISTS (
    SELECT 1 FROM tasks_of_volume(t.volume_id) made
    WHERE made.job_id = d.id AND made.state = 'done'
      AND made.manifest_etag = coalesce(v.manifest_etag, made.manifest_etag));

-- `state || ''`: where statistics are older than the work, the planner takes the indexes of a state for empty, and reads
-- one of them from end to end for each task that it is to look up by number.
CREATE OR REPLACE VIEW done_tasks AS
SELECT t.id AS task_id, t.job_id, t.volume_id, t.manifest_etag, array_remove(ARRAY[
    CASE WHEN t.manifest_etag <> v.manifest_etag THEN 'manifest' END,
    CASE WHEN t.config_hash NOT IN (j.config_hash, '') THEN 'config' END,
    CASE WHEN t.config_hash <> '' AND t.models <> j.models THEN 'model' END,
    CASE WHEN t.config_hash <> '' AND t.code_version <> j.code_version THEN 'code' END,
    CASE WHEN t.config_hash <> '' AND (EXISTS (
        SELECT 1 FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
        CROSS JOIN LATERAL (
            SELECT made.artefact_key FROM tasks_of_volume(t.volume_id) made
            WHERE made.job_id = d.id AND made.state = 'done' AND made.manifest_etag = t.manifest_etag
            ORDER BY made.id DESC LIMIT 1) newest
        WHERE jd.job_id = t.job_id AND newest.artefact_key IS DISTINCT FROM (t.inputs ->> d.name)
    ) OR EXISTS (
        SELECT 1 FROM jsonb_object_keys(t.inputs) used (name)
        WHERE strpos(used.name, '://') = 0  -- names a job, not a folder
          AND NOT EXISTS (SELECT 1 FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
                          WHERE jd.job_id = t.job_id AND d.name = used.name)
    )) THEN 'dependency' END,
    CASE WHEN t.config_hash <> '' AND EXISTS (
        SELECT 1 FROM jsonb_each_text(t.seen_references) seen
        WHERE seen.value IS DISTINCT FROM (t.inputs ->> seen.key)
    ) THEN 'reference' END], NULL) AS stale
FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
WHERE t.state || '' = 'done';

-- A renewal of a lease changes no indexed column any more, so that it stays within its page. The tasks that run are few,
-- and `tasks_job_state_ix` leads to them.
DROP INDEX tasks_lease_ix;

-- In the order in which maintenance looks at them: the first are found without sorting all.
DROP INDEX tasks_verify_ix;
CREATE INDEX tasks_verify_ix ON tasks (job_id, state, verified_at NULLS FIRST, id)
    WHERE state IN ('done', 'terminal_failed');

-- By default a fifth of a table is dead before it is vacuumed, and a tenth new before its statistics are.
ALTER TABLE tasks SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE task_attempts SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE volumes SET (autovacuum_analyze_scale_factor = 0.02);
-- A queue dies at its head, where each receive begins to look, so its dead are counted and not their share.
ALTER TABLE queue_messages SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.02);
