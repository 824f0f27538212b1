-- What a task does when the artefact of a job that it needs is missing: it waits for it, fails, or proceeds without.
ALTER TABLE job_dependencies
    ADD COLUMN if_missing text NOT NULL DEFAULT 'wait',
    ADD CONSTRAINT job_dependencies_if_missing_ck CHECK (if_missing IN ('wait', 'fail', 'proceed'));

-- What each task needs that is not done for the last known version of its volume, why, and whether the task waits for it.
-- One that would fail waits only as long as somebody may still do what it needs.
CREATE VIEW undone_dependencies AS
SELECT t.id AS task_id, d.id AS job_id, d.name AS job,
    coalesce((
        SELECT CASE WHEN newest.state = 'terminal_failed' THEN d.name || ' failed: ' || newest.failure_code
                    WHEN newest.finished_at IS NULL THEN 'needs ' || d.name END
        FROM tasks_of_volume(t.volume_id) newest
        WHERE newest.job_id = d.id
        ORDER BY newest.finished_at IS NOT NULL, newest.id DESC
        LIMIT 1
    ), 'needs ' || d.name || ', which is not enqueued') AS reason,
    CASE jd.if_missing
        WHEN 'wait' THEN true
        WHEN 'fail' THEN EXISTS (
            SELECT 1 FROM tasks_of_volume(t.volume_id) asked
            WHERE asked.job_id = d.id AND asked.finished_at IS NULL)
        ELSE false
    END AS awaited
FROM tasks t
JOIN volumes v ON v.id = t.volume_id
JOIN job_dependencies jd ON jd.job_id = t.job_id
JOIN jobs d ON d.id = jd.depends_on_id
WHERE NOT EXISTS (
    SELECT 1 FROM tasks_of_volume(t.volume_id) made
    WHERE made.job_id = d.id AND made.state = 'done'
      AND made.manifest_etag = coalesce(v.manifest_etag, made.manifest_etag));

-- What tasks wait for: such a task is not to be claimed.
CREATE OR REPLACE VIEW missing_dependencies AS
SELECT u.task_id, u.job_id, u.job, u.reason FROM undone_dependencies u WHERE u.awaited;
