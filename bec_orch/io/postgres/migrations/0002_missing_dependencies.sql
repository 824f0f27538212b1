-- What keeps a task waiting: one row for each job that its job needs and that is not done for the volume's last known
-- version. The volume's version counts, not the task's: a claim reads the manifest anew.
CREATE VIEW missing_dependencies AS
SELECT t.id AS task_id, d.id AS job_id, d.name AS job,
    coalesce((
        SELECT CASE WHEN newest.state = 'terminal_failed' THEN d.name || ' failed: ' || newest.failure_code
                    WHEN newest.finished_at IS NULL THEN 'needs ' || d.name END
        FROM tasks newest
        WHERE newest.volume_id = t.volume_id AND newest.job_id = d.id
        ORDER BY newest.finished_at IS NOT NULL, newest.id DESC
        LIMIT 1
    ), 'needs ' || d.name || ', which is not enqueued') AS reason
FROM tasks t
JOIN volumes v ON v.id = t.volume_id
JOIN job_dependencies jd ON jd.job_id = t.job_id
JOIN jobs d ON d.id = jd.depends_on_id
WHERE NOT EXISTS (
    SELECT 1 FROM tasks made
    WHERE made.volume_id = t.volume_id AND made.job_id = d.id AND made.state = 'done'
      AND made.manifest_etag = coalesce(v.manifest_etag, made.manifest_etag));

-- As before, and work that was made without a job which is needed now, or with one which is not, is stale too.
CREATE OR REPLACE VIEW done_tasks AS
SELECT t.id AS task_id, t.job_id, t.volume_id, t.manifest_etag, array_remove(ARRAY[
    CASE WHEN t.manifest_etag <> v.manifest_etag THEN 'manifest' END,
    CASE WHEN t.config_hash NOT IN (j.config_hash, '') THEN 'config' END,
    CASE WHEN t.config_hash <> '' AND t.models <> j.models THEN 'model' END,
    CASE WHEN t.config_hash <> '' AND t.code_version <> j.code_version THEN 'code' END,
    CASE WHEN t.config_hash <> '' AND (EXISTS (
        SELECT 1 FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
        JOIN tasks dt ON dt.job_id = d.id AND dt.volume_id = t.volume_id
        WHERE jd.job_id = t.job_id AND dt.state = 'done' AND dt.manifest_etag = t.manifest_etag
          AND dt.artefact_key IS DISTINCT FROM (t.inputs ->> d.name)
          AND NOT EXISTS (SELECT 1 FROM tasks newer
                          WHERE newer.job_id = dt.job_id AND newer.volume_id = dt.volume_id AND newer.id > dt.id
                            AND newer.state = 'done' AND newer.manifest_etag = dt.manifest_etag)
    ) OR EXISTS (
        SELECT 1 FROM jsonb_object_keys(t.inputs) used (name)
        WHERE NOT EXISTS (SELECT 1 FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
                          WHERE jd.job_id = t.job_id AND d.name = used.name)
    )) THEN 'dependency' END], NULL) AS stale
FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
WHERE t.state = 'done';

-- The view tells it, and is never behind.
ALTER TABLE tasks DROP COLUMN waiting_reason;
