-- name: lock_attempt
SELECT t.id, t.charged, j.max_attempts, j.max_page_error_rate, v.nb_pages
FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
WHERE t.id = %(task_id)s AND t.attempt = %(attempt)s AND t.token = %(token)s AND t.state = 'running'
FOR NO KEY UPDATE OF t

-- name: close_attempt
UPDATE task_attempts
SET outcome = 'died', ended_at = clock_timestamp(), charged = %(charged)s, code = %(code)s, stage = %(stage)s,
    message = %(message)s, fingerprint = %(fingerprint)s, died_at = %(pages)s
WHERE task_id = %(task_id)s AND attempt = %(attempt)s AND outcome IS NULL

-- name: deadly_pages
-- The pages at which as many attempts died, by their own fault, as the job allows, and whether the last one was among them.
SELECT page, bool_or(a.attempt = %(attempt)s) AS just_now
FROM task_attempts a, unnest(a.died_at) page
WHERE a.task_id = %(task_id)s AND a.charged
GROUP BY page
HAVING count(*) >= %(max_attempts)s

-- name: queue_again
UPDATE tasks
SET state = 'queued', charged = %(charged)s, lease_expires_at = NULL, dispatched_at = NULL,
    updated_at = clock_timestamp(), failure_code = %(code)s, failure_stage = %(stage)s,
    failure_message = %(message)s, failure_fingerprint = %(fingerprint)s, failure_hint = %(hint)s
WHERE id = %(task_id)s

-- name: give_up
UPDATE tasks
SET state = 'terminal_failed', charged = %(charged)s, lease_expires_at = NULL, updated_at = clock_timestamp(),
    finished_at = clock_timestamp(), failure_code = %(code)s, failure_stage = %(stage)s,
    failure_message = %(message)s, failure_fingerprint = %(fingerprint)s, failure_hint = %(hint)s
WHERE id = %(task_id)s

-- name: end_worker
-- When it was last heard of stays, as nobody knows when it died.
UPDATE workers
SET stopped_at = clock_timestamp(), stop_reason = %(reason)s, activities = '[]'
WHERE id = %(worker_id)s AND stopped_at IS NULL
