-- name: source_is_known
SELECT EXISTS (SELECT 1 FROM volumes WHERE source = %(source)s) AS known

-- name: add_volume
INSERT INTO volumes (w_id, i_id, source) VALUES (%(w_id)s, %(i_id)s, %(source)s)
ON CONFLICT (w_id, i_id, source) DO NOTHING

-- name: lock_volume
-- Serialises what depends on all tasks of one volume.
SELECT id FROM volumes
WHERE w_id = %(w_id)s AND i_id = %(i_id)s AND source = %(source)s
FOR NO KEY UPDATE

-- name: lock_volume_of_task
SELECT v.id, v.w_id, v.i_id, v.source
FROM tasks t JOIN volumes v ON v.id = t.volume_id
WHERE t.id = %(task_id)s
FOR NO KEY UPDATE OF v

-- name: has_task
SELECT EXISTS (SELECT 1 FROM tasks_of_volume(%(volume_id)s) t WHERE t.job_id = %(job_id)s) AS present

-- name: add_task
-- A task of a job that needs others waits until `release_dependants` finds nothing missing. Attempts go on from the
-- greatest number that any job with this folder of artefacts used for the volume: artefact keys carry them.
INSERT INTO tasks (job_id, volume_id, state, force, adopt_foreign, manifest_etag, attempt, dispatched_at)
SELECT j.id, v.id, CASE WHEN needs.others THEN 'waiting' ELSE 'queued' END, %(force)s, %(adopt_foreign)s, %(manifest_etag)s,
       (SELECT coalesce(max(t.attempt), 0)
        FROM volumes w CROSS JOIN LATERAL tasks_of_volume(w.id) t JOIN jobs same ON same.id = t.job_id
        WHERE coalesce(same.artifact_prefix, same.name) = coalesce(j.artifact_prefix, j.name) AND w.w_id = v.w_id AND w.i_id = v.i_id),
       CASE WHEN %(dispatched)s AND NOT needs.others THEN clock_timestamp() END
FROM jobs j
CROSS JOIN volumes v
CROSS JOIN LATERAL (SELECT EXISTS (SELECT 1 FROM job_dependencies jd WHERE jd.job_id = j.id) AS others) needs
WHERE j.id = ANY(%(job_ids)s) AND v.id = %(volume_id)s
ON CONFLICT DO NOTHING

-- name: outdated_dependencies
-- What a job needs, directly or through others, and what was done for an older version of the volume only. Nobody else
-- would ask for it: whoever enqueued it saw it done.
WITH RECURSIVE needed (job_id) AS (
    SELECT jd.depends_on_id FROM job_dependencies jd WHERE jd.job_id = %(job_id)s
    UNION
    SELECT jd.depends_on_id FROM job_dependencies jd JOIN needed n ON n.job_id = jd.job_id
)
SELECT n.job_id FROM needed n JOIN volumes v ON v.id = %(volume_id)s
WHERE 'done' = (SELECT t.state FROM tasks_of_volume(v.id) t WHERE t.job_id = n.job_id
                ORDER BY t.finished_at IS NOT NULL, t.id DESC LIMIT 1)
  AND NOT EXISTS (SELECT 1 FROM tasks_of_volume(v.id) t WHERE t.job_id = n.job_id AND t.state = 'done'
                  AND t.manifest_etag = v.manifest_etag)

-- name: limit_lock_wait
SELECT set_config('lock_timeout', %(wait)s, true)

-- name: latest_task
-- The volume's unfinished task of the job if there is one, else its newest; its lock makes claims wait for each other.
SELECT t.id, t.state, t.token, t.charged, j.max_attempts, j.deleted_at IS NOT NULL AS job_deleted,
       extract(epoch FROM t.lease_expires_at - clock_timestamp())::float8 AS lease_left,
       extract(epoch FROM t.not_before - clock_timestamp())::float8 AS backoff_left
FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.id = (
    SELECT x.id FROM volumes v CROSS JOIN LATERAL tasks_of_volume(v.id) x
    WHERE x.job_id = %(job_id)s AND v.w_id = %(w_id)s AND v.i_id = %(i_id)s AND v.source = %(source)s
    ORDER BY x.finished_at IS NOT NULL, x.id DESC
    LIMIT 1)
FOR NO KEY UPDATE OF t

-- name: take
-- The claim. A repeated call with the same token changes nothing but the lease.
UPDATE tasks t
SET state = 'running', token = %(token)s, worker_id = %(worker_id)s,
    attempt = t.attempt + (CASE WHEN t.state = 'running' AND t.token = %(token)s THEN 0 ELSE 1 END),
    lease_expires_at = clock_timestamp() + make_interval(secs => %(lease)s),
    started_at = CASE WHEN t.state = 'running' THEN t.started_at ELSE clock_timestamp() END,
    not_before = NULL, updated_at = clock_timestamp()
FROM jobs j, volumes v
WHERE t.id = %(task_id)s AND j.id = t.job_id AND v.id = t.volume_id AND j.deleted_at IS NULL
  AND (t.state = 'queued'
       OR (t.state = 'retryable_failed' AND t.not_before <= clock_timestamp())
       OR (t.state = 'running' AND t.token = %(token)s))
RETURNING t.id, t.uid, t.attempt, t.charged, t.force, t.manifest_etag, t.job_id, v.nb_images_intro, t.adopt_foreign,
          t.replace_foreign

-- name: open_attempt
INSERT INTO task_attempts (task_id, attempt, job_id, worker_id, token, config, config_hash)
SELECT %(task_id)s, %(attempt)s, j.id, %(worker_id)s, %(token)s, j.config, j.config_hash
FROM jobs j WHERE j.id = %(job_id)s
ON CONFLICT (task_id, attempt) DO UPDATE SET token = task_attempts.token
RETURNING config, config_hash, ARRAY(
    SELECT unnest(died.died_at) FROM task_attempts died WHERE died.task_id = %(task_id)s AND died.charged) AS deaths, (
    SELECT t.failure_code FROM tasks t
    JOIN task_attempts before ON before.task_id = t.id AND before.attempt = t.attempt - 1 AND before.code = t.failure_code
    WHERE t.id = %(task_id)s) AS last_failure

-- name: close_attempt
UPDATE task_attempts
SET outcome = %(outcome)s, ended_at = clock_timestamp(), charged = %(charged)s, code = %(code)s, stage = %(stage)s,
    message = %(message)s, fingerprint = %(fingerprint)s, metrics = %(metrics)s
WHERE task_id = %(task_id)s AND attempt = %(attempt)s AND outcome IS NULL

-- name: cancel_task
UPDATE tasks
SET state = 'canceled', cancel_reason = %(reason)s, finished_at = clock_timestamp(), lease_expires_at = NULL,
    updated_at = clock_timestamp()
WHERE id = %(task_id)s AND finished_at IS NULL

-- name: lock_claim
-- Gives the task's row, locked, only while the claim holds it or was the last to hold it.
SELECT id, job_id, volume_id, state, force, adopt_foreign, manifest_etag, cancel_reason, charged,
       extract(epoch FROM not_before - clock_timestamp())::float8 AS backoff_left
FROM tasks
WHERE id = %(task_id)s AND attempt = %(attempt)s AND token = %(token)s
FOR NO KEY UPDATE

-- name: renew
UPDATE tasks
SET lease_expires_at = clock_timestamp() + make_interval(secs => %(lease)s), updated_at = clock_timestamp()
WHERE id = %(task_id)s AND attempt = %(attempt)s AND token = %(token)s AND state = 'running'

-- name: stamp
UPDATE tasks SET manifest_etag = %(manifest_etag)s, updated_at = clock_timestamp() WHERE id = %(task_id)s

-- name: see_manifest
UPDATE volumes
SET manifest_etag = %(manifest_etag)s, nb_pages = %(nb_pages)s, manifest_seen_at = clock_timestamp()
WHERE id = %(volume_id)s

-- name: lacks_dependencies
SELECT EXISTS (SELECT 1 FROM missing_dependencies WHERE task_id = %(task_id)s) AS lacks

-- name: given_up_dependencies
-- What a task needs, is not done, and is not waited for either, with the reason.
SELECT job, reason FROM undone_dependencies WHERE task_id = %(task_id)s AND NOT awaited

-- name: finish
UPDATE tasks
SET state = 'done', finished_at = clock_timestamp(), updated_at = clock_timestamp(), lease_expires_at = NULL,
    manifest_etag = %(manifest_etag)s, config_hash = %(config_hash)s, code_version = %(code_version)s,
    models = %(models)s, inputs = %(inputs)s, artefact_key = %(artefact_key)s, pages_ok = %(pages_ok)s, pages_skipped = %(pages_skipped)s,
    pages_error = %(pages_error)s, counters = %(counters)s,
    failure_code = NULL, failure_stage = NULL, failure_message = NULL, failure_fingerprint = NULL, failure_hint = NULL
WHERE id = %(task_id)s

-- name: release_dependants
-- Tasks of one volume that wait, and lack nothing any more.
UPDATE tasks t
SET state = 'queued', dispatched_at = NULL, updated_at = clock_timestamp()
WHERE t.id IN (SELECT x.id FROM tasks_of_volume(%(volume_id)s) x WHERE x.state = 'waiting') AND t.state || '' = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM missing_dependencies m WHERE m.task_id = t.id)

-- name: dependants_to_dispatch
SELECT j.name AS job, v.w_id, v.i_id, v.source
FROM tasks_of_volume(%(volume_id)s) t
JOIN job_dependencies jd ON jd.job_id = t.job_id JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
WHERE jd.depends_on_id = %(job_id)s AND t.state = 'queued' AND t.dispatched_at IS NULL
ORDER BY j.name

-- name: give_back
UPDATE tasks
SET state = 'queued', lease_expires_at = NULL, dispatched_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE id = %(task_id)s

-- name: put_to_wait
UPDATE tasks
SET state = 'waiting', lease_expires_at = NULL, dispatched_at = NULL, updated_at = clock_timestamp()
WHERE id = %(task_id)s

-- name: reopen
-- `state || ''` here and below, where a task is known by its number: see the view done_tasks.
UPDATE tasks t
SET state = 'canceled', cancel_reason = %(reason)s, finished_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE t.id = %(task_id)s AND t.state || '' = 'done' AND NOT EXISTS (
    SELECT 1 FROM tasks_of_volume(t.volume_id) other
    WHERE other.job_id = t.job_id AND other.finished_at IS NULL)
RETURNING t.job_id, t.volume_id, t.manifest_etag, t.adopt_foreign

-- name: lock_given_up
SELECT t.volume_id FROM tasks t
WHERE t.id = %(task_id)s AND t.state || '' = 'terminal_failed'
  AND NOT EXISTS (SELECT 1 FROM tasks_of_volume(t.volume_id) newer
                  WHERE newer.job_id = t.job_id AND newer.id > t.id
                    AND (newer.finished_at IS NULL OR newer.state = 'done'))
FOR NO KEY UPDATE OF t

-- name: budget
-- What an attempt that failed is judged by.
SELECT j.max_attempts,
       (SELECT count(*) FROM task_attempts a WHERE a.task_id = t.id AND a.outcome = 'retryable_failed')::integer AS retries
FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.id = %(task_id)s

-- name: fail
UPDATE tasks
SET state = %(state)s, charged = %(charged)s, lease_expires_at = NULL, updated_at = clock_timestamp(),
    dispatched_at = clock_timestamp(),
    finished_at = CASE WHEN %(backoff)s::float8 IS NULL THEN clock_timestamp() END,
    not_before = clock_timestamp() + make_interval(secs => %(backoff)s::float8),
    failure_code = %(code)s, failure_message = %(message)s, failure_stage = %(stage)s,
    failure_fingerprint = %(fingerprint)s, failure_hint = %(hint)s,
    pages_ok = %(pages_ok)s, pages_skipped = %(pages_skipped)s, pages_error = %(pages_error)s, counters = %(counters)s
WHERE id = %(task_id)s
RETURNING state, extract(epoch FROM not_before - clock_timestamp())::float8 AS backoff_left
