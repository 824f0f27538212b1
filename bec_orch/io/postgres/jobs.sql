-- name: jobs
-- Those that are not deleted, or the one of them that has a name; or the one of an id, be it deleted.
SELECT j.*, ARRAY(
    SELECT d.name FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
    WHERE jd.job_id = j.id ORDER BY d.name
) AS depends_on, (
    SELECT coalesce(jsonb_object_agg(d.name, jd.if_missing), '{}')
    FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
    WHERE jd.job_id = j.id AND jd.if_missing <> 'wait'
) AS if_missing, (
    SELECT coalesce(jsonb_object_agg(d.name, d.artifact_prefix), '{}')
    FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
    WHERE jd.job_id = j.id AND d.artifact_prefix IS NOT NULL
) AS needed_prefixes
FROM jobs j
WHERE j.id = %(job_id)s
    OR %(job_id)s::bigint IS NULL AND j.deleted_at IS NULL AND (%(name)s::text IS NULL OR j.name = %(name)s)
ORDER BY j.name

-- name: add
INSERT INTO jobs (name, type, artifact_prefix, config, config_hash, max_attempts, max_page_error_rate)
VALUES (%(name)s, %(type)s, %(artifact_prefix)s, %(config)s, %(config_hash)s, %(max_attempts)s, %(max_page_error_rate)s)
ON CONFLICT DO NOTHING
RETURNING id

-- name: in_the_way
-- The job that has the name of a new one, or else its folder of artefacts.
SELECT name, name = %(name)s AS by_name FROM jobs
WHERE deleted_at IS NULL AND (name = %(name)s OR coalesce(artifact_prefix, name) = %(root)s)
ORDER BY name <> %(name)s

-- name: change
UPDATE jobs
SET config = %(config)s, config_hash = %(config_hash)s, max_attempts = %(max_attempts)s,
    max_page_error_rate = %(max_page_error_rate)s, updated_at = clock_timestamp()
WHERE id = %(job_id)s

-- name: ids
SELECT id, name FROM jobs WHERE name = ANY(%(names)s) AND deleted_at IS NULL

-- name: reaches
-- Whether one of the jobs needs the given job, over however many others.
WITH RECURSIVE needed (id) AS (
    SELECT unnest(%(from_ids)s::bigint[])
    UNION
    SELECT jd.depends_on_id FROM job_dependencies jd JOIN needed ON jd.job_id = needed.id
)
SELECT EXISTS (SELECT 1 FROM needed WHERE id = %(job_id)s) AS circle

-- name: forget_dependencies
DELETE FROM job_dependencies WHERE job_id = %(job_id)s

-- name: add_dependencies
INSERT INTO job_dependencies (job_id, depends_on_id, if_missing)
SELECT %(job_id)s, unnest(%(from_ids)s::bigint[]), unnest(%(if_missing)s::text[])

-- name: dependants
SELECT j.name FROM job_dependencies jd JOIN jobs j ON j.id = jd.job_id
WHERE jd.depends_on_id = %(job_id)s AND j.deleted_at IS NULL
ORDER BY j.name

-- name: delete
UPDATE jobs SET deleted_at = clock_timestamp(), updated_at = clock_timestamp() WHERE id = %(job_id)s

-- name: cancel_tasks
-- The unfinished tasks of a job, or those of them that have one of some numbers.
WITH unfinished AS (
    SELECT id FROM tasks
    WHERE job_id = %(job_id)s AND state IN ('waiting', 'queued', 'running', 'retryable_failed')
      AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
    ORDER BY id
    FOR NO KEY UPDATE
), canceled AS (
    UPDATE tasks t
    SET state = 'canceled', cancel_reason = %(reason)s, finished_at = clock_timestamp(),
        lease_expires_at = NULL, updated_at = clock_timestamp()
    FROM unfinished u
    WHERE t.id = u.id
    RETURNING t.id, t.attempt
)
UPDATE task_attempts a
SET outcome = 'superseded', ended_at = clock_timestamp(), message = %(message)s
FROM canceled c
WHERE a.task_id = c.id AND a.attempt = c.attempt AND a.outcome IS NULL

-- name: count_unfinished
SELECT count(*) AS tasks FROM tasks
WHERE job_id = %(job_id)s AND state IN ('waiting', 'queued', 'running', 'retryable_failed')
